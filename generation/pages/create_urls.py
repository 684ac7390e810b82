"""The page where a video begins, and the parts of it that come later."""

from django.urls import path

from generation.pages import create, pictures

urlpatterns = [
    path("", create.create, name="create"),
    path("create/settings", create.settings_fields, name="create_settings"),
    path("create/estimate", create.estimate, name="create_estimate"),
    path("create/preset", create.save_preset, name="save_preset"),
    path("create/hints", create.prompt_hints, name="create_hints"),
    path("create/videos", pictures.videos, name="create_videos"),
    path("create/videos/<uuid:pk>", pictures.frames, name="create_frames"),
    path("pictures", pictures.pictures, name="pictures"),
]
