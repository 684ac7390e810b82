"""Deleting videos, with a while to change one's mind: hidden at once, purged after the grace."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from generation.models import TERMINAL, Status, VideoJob
from generation.services import settling, shares
from generation.services.stored_files import delete_keys, keys_of_attempt, spool_key

UNDO_SECONDS = 30


def delete_jobs(*, owner: User, jobs: Iterable[VideoJob]) -> list[UUID]:
    """Hide these videos of `owner` at once, cancel the unfinished ones, and stop their links; the ids that were hidden.

    Until the sweep purges them, UNDO_SECONDS later at the earliest, `restore_jobs` brings them back.
    """
    ids = [job.pk for job in jobs]
    mine = set(VideoJob.objects.owned_by(owner).filter(pk__in=ids).values_list("pk", flat=True))
    return [pk for pk in ids if pk in mine and _delete(pk)]


def delete_job(*, job: VideoJob) -> None:
    """The same for one, whoever asks."""
    _delete(job.pk)


def _delete(pk: UUID) -> bool:
    now = timezone.now()
    rows = VideoJob.objects.filter(pk=pk)
    with transaction.atomic():
        settling.end(rows.unfinished(), {"status": Status.CANCELLED, "finished_at": now, "message": ""})
        return rows.filter(deleted_at=None).update(deleted_at=now, updated_at=now) == 1


def restore_jobs(*, owner: User, ids: Iterable[UUID]) -> list[UUID]:
    """Bring deleted videos of `owner` back, with their links; the ids of those whose purge had not begun.

    What was unfinished stays cancelled.
    """
    deleted = VideoJob.objects.filter(owner=owner, purge_began_at=None).exclude(deleted_at=None)
    # One at a time: its purge may begin at this moment, and one of the two conditional updates finds nothing.
    return [pk for pk in ids if deleted.filter(pk=pk).update(deleted_at=None, updated_at=timezone.now())]


def purgeable() -> QuerySet[VideoJob]:
    """Deleted videos that nobody can want back any more."""
    return VideoJob.objects.filter(deleted_at__lte=timezone.now() - timedelta(seconds=UNDO_SECONDS))


def purge_job(*, job_id: str) -> None:
    """Delete the files of a deleted job, then its row; while somebody still holds a lease on it the row stays.

    Safe to run twice. From its first moment on the job cannot be restored.
    """
    mine = purgeable().filter(pk=job_id, status__in=TERMINAL)
    if not mine.update(purge_began_at=Coalesce("purge_began_at", timezone.now())):
        return
    job = mine.first()
    if job is None:
        return  # another delivery of the same task was quicker
    for pk in job.attempts.values_list("pk", flat=True):
        delete_keys([*keys_of_attempt(job.pk, pk), spool_key(pk)])
    delete_keys([f"out/{job.pk}"])  # the local storage's empty folder
    if not job.cost_is_final or shares.is_still_counted(job):
        _erase(job)
        return
    # A holder that has yet to tell the engine needs the row to know what it was.
    VideoJob.objects.filter(pk=job.pk, lease_token="").delete()


def _erase(job: VideoJob) -> None:
    """Leave of the job what its machine's or the provider's bill still needs: no word and no picture of its person."""
    rows = VideoJob.objects.filter(pk=job.pk, lease_token="")
    words = {"prompt": "", "negative_prompt": "", "alt_text": "", "image_url": ""}
    rows.update(**words, image=None, end_image=None, poster_key="", loop_key="")
    job.tags.clear()
    job.share_links.all().delete()
    job.attempts.update(request_sent={}, engine_metadata={})
