"""Several videos at once, and what can be made of a finished one."""

from django.urls import path

from generation.pages import after_steps, batches

urlpatterns = [
    path("batches/<uuid:pk>/cancel", batches.cancel, name="batch_cancel"),
    path("batches/<uuid:pk>/retry-failed", batches.retry_failed, name="batch_retry_failed"),
    path("jobs/<uuid:pk>/vary", batches.vary, name="job_vary"),
    path("jobs/<uuid:pk>/smoother", after_steps.smoother, name="job_smoother"),
    path("jobs/<uuid:pk>/bigger", after_steps.bigger, name="job_bigger"),
]
