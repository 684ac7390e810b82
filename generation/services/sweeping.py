"""What the clock looks after: rows that nobody holds, and leftovers."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop
from django_q.models import Success

from generation.models import TERMINAL, Attempt, IdempotencyKey, Status, VideoJob
from generation.services import clip_sweeping, deleting, erasing, jobs, outputs, queueing, settling, shares, takedown
from i2v_site import queue

TASK_ROWS_DAYS = 2
WAITED_TOO_LONG = gettext_noop("Nothing could render this video in time. Try again, or ask an operator.")
WAITED_IN_PAUSE = gettext_noop("Your queue was paused for too long. Resume it and try again.")


def sweep() -> None:
    """Ring again for what is due and held by nobody; end what waited too long. Safe to run twice or late."""
    _ring_for_results()
    _ring_for_purges()
    clip_sweeping.ring_for_clips()
    queueing.cancel_due()
    _close_attempts()
    _end_old(timezone.now() - timedelta(hours=settings.QUEUE_DEADLINE_HOURS))
    settling.close_leftovers()
    shares.book_shares()
    takedown.delete_blocked_pictures()
    erasing.ring_open()


def _free() -> Q:
    return Q(lease_until=None) | Q(lease_until__lt=timezone.now())


def _ring_for_purges() -> None:
    """Deleted jobs, when their grace is over; one that is erased waits until its machine's bill is known."""
    deleted = deleting.purgeable().filter(_free())
    erased = Q(prompt="", finished_at__gt=timezone.now() - shares.BILLS_COME_WITHIN)
    for pk in deleted.exclude(erased).values_list("pk", flat=True):
        with transaction.atomic():
            queue.ring("generation.tasks.purge_job", str(pk))


def _ring_for_results() -> None:
    """Results whose task was lost with its worker. A long queue is not a lost task: one ring a minute and job."""
    now = timezone.now()
    fresh = now - timedelta(seconds=settings.SWEEP_SECONDS)
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    waiting = VideoJob.objects.filter(_free(), due, status=Status.STORING, updated_at__lt=fresh)
    for pk in Attempt.objects.filter(ended_at=None, job__in=waiting).values_list("pk", flat=True):
        with transaction.atomic():
            mine = waiting.filter(attempts=pk)
            if mine.update(next_attempt_at=now + timedelta(seconds=settings.SWEEP_SECONDS * 2)):
                queue.ring("generation.tasks.store_result", str(pk))


def _close_attempts() -> None:
    """A job that ended while no one held it, cancelled on its way to storage, leaves an attempt open."""
    # Open money comes first: how the attempt stood says who pays.
    left = Attempt.objects.filter(ended_at=None, job__status__in=TERMINAL, job__lease_token="", job__cost_is_final=True)
    left.update(ended_at=timezone.now(), outcome=Attempt.Outcome.CANCELLED)


def _end_old(before: datetime) -> None:
    waiting = VideoJob.objects.filter(status=Status.QUEUED, created_at__lt=before)
    for pk, paused_at in waiting.values_list("pk", "owner__preferences__queue_paused_at"):
        why = {"error_code": "deadline_queue", "error_message": WAITED_IN_PAUSE if paused_at else WAITED_TOO_LONG}
        settling.end(waiting.filter(pk=pk), jobs.ended(Status.FAILED) | why)


def clean_up() -> None:
    """Delete files without a row, answers that nobody repeats any more, and the queue's own old records."""
    outputs.sweep_orphans()
    shares.book_bills()
    now = timezone.now()
    IdempotencyKey.objects.filter(created_at__lt=now - timedelta(hours=settings.IDEMPOTENCY_HOURS)).delete()
    Success.objects.filter(stopped__lt=now - timedelta(days=TASK_ROWS_DAYS)).delete()
