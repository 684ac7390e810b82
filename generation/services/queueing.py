"""One's own queue: a cancel that can be taken back, the order of what waits, and a pause for all of it."""

from datetime import timedelta
from typing import Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import AlreadyOver, NotWaiting
from generation.models import Preferences, Status, VideoJob
from generation.services import jobs, settling
from generation.services.preferences import change_preferences

UNDO_SECONDS = 6
LONGEST_GRACE_S = 60
AT_ONCE = 200  # cancels that one round carries out

Place = Literal["up", "down", "first", "last"]


def ask_to_cancel(*, job: VideoJob, grace_s: float = UNDO_SECONDS) -> VideoJob:
    """Cancel `job` in `grace_s` seconds, 0 to LONGEST_GRACE_S, unless that is taken back. Raises AlreadyOver.

    Until then it is not started, and goes on if it has started; asking again never makes it later.
    """
    if grace_s <= 0:
        return jobs.cancel_job(job=job)
    now = timezone.now()
    unfinished = VideoJob.objects.unfinished().filter(pk=job.pk)
    at = now + timedelta(seconds=min(grace_s, LONGEST_GRACE_S))
    if not unfinished.filter(cancel_at=None).update(cancel_at=at, updated_at=now) and not unfinished.exists():
        raise AlreadyOver(_("This video has already ended."))
    job.refresh_from_db()
    return job


def take_back_cancel(*, job: VideoJob) -> VideoJob:
    """Let `job` go on as if nobody had asked. Raises AlreadyOver when it was carried out, or the video has ended."""
    # One statement: whoever carries it out asks for the time in the same way, so that only one of the two wins.
    unfinished = VideoJob.objects.unfinished().filter(pk=job.pk)
    if not unfinished.update(cancel_at=None, updated_at=timezone.now()):
        raise AlreadyOver(_("It is too late: this video has already ended."))
    job.refresh_from_db()
    return job


def cancel_due() -> int:
    """Carry out the cancels whose time has come; how many. Safe to run twice and at once."""
    due = VideoJob.objects.unfinished().filter(cancel_at__lte=timezone.now()).order_by("cancel_at")
    keys = list(due.values_list("pk", flat=True)[:AT_ONCE])
    return sum(settling.end(due.filter(pk=pk), jobs.cancelled()) is not None for pk in keys)


def move(*, job: VideoJob, to: Place) -> None:
    """Put a waiting video elsewhere in its owner's own queue. Raises NotWaiting.

    Everybody else's turns stay what they were: the owner's turns are only handed to others of the owner's videos.
    """
    with transaction.atomic():
        # One move at a time in each queue. The key stays untouched, so nothing that refers to the person waits.
        User.objects.select_for_update(no_key=True).get(pk=job.owner_id)
        # Those that somebody is taking right now leave the queue: waiting for them here could be waiting for ever.
        mine = VideoJob.objects.visible().filter(owner=job.owner_id, status=Status.QUEUED)
        rows = list(mine.select_for_update(skip_locked=True, of=("self",)).order_by("rank", "created_at", "pk"))
        here = next((place for place, row in enumerate(rows) if row.pk == job.pk), None)
        if here is None:
            raise NotWaiting(_("This video does not wait any more."))
        ranks = _distinct([row.rank for row in rows])
        rows.insert(_place(to, here, len(rows)), rows.pop(here))
        for row, rank in zip(rows, ranks, strict=True):
            if row.rank != rank:
                VideoJob.objects.filter(pk=row.pk).update(rank=rank)


def _place(to: Place, here: int, length: int) -> int:
    places = {"up": here - 1, "down": here + 1, "first": 0, "last": length - 1}
    return max(0, min(places[to], length - 1))


def _distinct(ranks: list[int]) -> list[int]:
    """The same ranks, raised where two are equal: videos of one moment have one rank until somebody moves them."""
    found: list[int] = []
    for rank in ranks:
        found.append(max(rank, found[-1] + 1) if found else rank)
    return found


def pause(*, owner: User) -> None:
    """Start nothing more of `owner`; what runs goes on."""
    change_preferences(person=owner, queue_paused_at=timezone.now())


def resume(*, owner: User) -> None:
    change_preferences(person=owner, queue_paused_at=None)


def is_paused(*, owner: User) -> bool:
    return Preferences.objects.filter(person=owner).exclude(queue_paused_at=None).exists()
