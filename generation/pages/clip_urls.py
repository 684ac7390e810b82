"""What is made from finished videos: cut, joined, in other formats; storylines."""

from django.urls import path

from generation.pages import clips, frames, storylines

urlpatterns = [
    path("jobs/<uuid:pk>/frame", frames.take, name="job_frame"),
    path("jobs/<uuid:pk>/clips", clips.of_job, name="job_clips"),
    path("jobs/<uuid:pk>/storyline", storylines.storyline, name="storyline"),
    path("jobs/<uuid:pk>/storyline/again", storylines.again, name="storyline_again"),
    path("jobs/<uuid:pk>/storyline/join", storylines.join, name="storyline_join"),
    path("clips", clips.all_clips, name="clips"),
    path("clips/<uuid:pk>", clips.one, name="clip"),
    path("clips/<uuid:pk>/delete", clips.delete, name="clip_delete"),
    path("clips/<uuid:pk>/<str:kind>", clips.media, name="clip_media"),
]
