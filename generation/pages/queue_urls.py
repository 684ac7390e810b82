"""One's own queue: what is in it, in which order, and changing one's mind."""

from django.urls import path

from generation.pages import queue

urlpatterns = [
    path("queue", queue.queue, name="queue"),
    path("queue/part", queue.part, name="queue_part"),
    path("queue/live", queue.live, name="queue_live"),
    path("queue/pause", queue.pause, name="queue_pause"),
    path("jobs/<uuid:pk>/cancel", queue.cancel, name="job_cancel"),
    path("jobs/<uuid:pk>/cancel/undo", queue.take_back, name="job_cancel_undo"),
    path("jobs/<uuid:pk>/move", queue.move, name="job_move"),
]
