"""A picture that a cloud provider fetches from our own storage, by a link that is good for a few hours."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from generation.models import Attempt, SourceImage, VideoJob
from generation.services import intake
from generation.services.stored_files import delete_keys

# As long as a request may wait in fal's queue and be asked for again by a runner that broke.
LINK_SECONDS = 6 * 3600
END = "-end"


def link_of(job: VideoJob, attempt: Attempt) -> Callable[[], Awaitable[str]] | None:
    """Puts the cropped picture up and answers its address; None where the provider's own upload is used.

    The address opens the picture: it is neither stored nor logged.
    """
    return _link(job, attempt, job.image, (job.focus_x, job.focus_y))


def end_link_of(job: VideoJob, attempt: Attempt) -> Callable[[], Awaitable[str]] | None:
    """The same for the picture that the video shall end with; None also without one."""
    return _link(job, attempt, job.end_image, (0.5, 0.5), END) if job.end_image else None


def _link(
    job: VideoJob, attempt: Attempt, image: SourceImage | None, focus: tuple[float, float], which: str = ""
) -> Callable[[], Awaitable[str]] | None:
    if not _is_wanted():
        return None
    return partial(sync_to_async(_put_up, thread_sensitive=False), job, attempt, image, focus, which)


def take_back(job_id: UUID, attempt_id: UUID) -> None:
    """The attempt is over: the pictures go. Where this is lost in a crash, the sweep for orphans does it."""
    if _is_wanted():
        delete_keys([_key(job_id, attempt_id), _key(job_id, attempt_id, END)])


def _is_wanted() -> bool:
    return settings.FAL_PICTURES == "link" and not isinstance(default_storage, FileSystemStorage)


def _put_up(job: VideoJob, attempt: Attempt, image: SourceImage | None, focus: tuple[float, float], which: str) -> str:
    if image is None or job.width is None or job.height is None:
        raise ValueError("a job without a picture has none to hand over")
    picture = intake.cropped_png(image, width=job.width, height=job.height, focus_x=focus[0], focus_y=focus[1])
    key = _key(job.pk, attempt.pk, which)
    default_storage.save(key, ContentFile(picture))
    address: str = default_storage.url(key, expire=LINK_SECONDS)  # type: ignore[call-arg]  # S3Storage's own argument
    return address


def _key(job_id: UUID, attempt_id: UUID, which: str = "") -> str:
    return f"in/{job_id}/{attempt_id}{which}.png"
