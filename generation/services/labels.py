"""The visible label in a video: whether it is drawn, and what it says."""

from django.conf import settings
from django.contrib.auth.models import User

from generation.models import Provider, VideoJob
from generation.services.preferences import preferences_of

# In English wherever the video is seen: it belongs to the file, not to a page.
GENERATED = "AI-generated video"
PREVIEW = "Motion preview"


def is_a_choice() -> bool:
    """Whether people may decide about it."""
    return bool(settings.VISIBLE_LABEL == "optional")


def settled(*, asked: bool) -> bool:
    """Whether the label is drawn, after what the operator allows or demands."""
    return asked if is_a_choice() else bool(settings.VISIBLE_LABEL == "always")


def usual_for(person: User) -> bool:
    """What `person` has set for videos that say nothing about it."""
    if not is_a_choice():
        return settled(asked=False)
    return preferences_of(person).visible_label


def text_for(job: VideoJob) -> str:
    """What is drawn into the video; empty: nothing."""
    if not job.visible_label:
        return ""
    return PREVIEW if job.model.provider == Provider.PREVIEW else GENERATED
