"""Clips that nobody works on: their task was lost, or their worker."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generation.models import Clip
from i2v_site import queue


def ring_for_clips() -> None:
    """Ring for clips that are due and held by nobody, once a minute each, and for files that are to be deleted."""
    now = timezone.now()
    pause = timedelta(seconds=settings.SWEEP_SECONDS * 2)
    lost = Q(lease_until__lt=now) | Q(lease_until=None, created_at__lt=now - timedelta(seconds=settings.SWEEP_SECONDS))
    waiting = Clip.objects.filter(lost, state__in=(Clip.State.QUEUED, Clip.State.MAKING), deleted_at=None)
    for pk in waiting.values_list("pk", flat=True):
        with transaction.atomic():
            # Back in the queue: `lease_until` is then only when to ring again. A worker that was slow has lost it.
            again = {"state": Clip.State.QUEUED, "lease_token": "", "lease_until": now + pause}
            if waiting.filter(pk=pk).update(**again):
                queue.ring("generation.tasks.make_clip", str(pk))
    for pk in Clip.objects.exclude(deleted_at=None).values_list("pk", flat=True):
        with transaction.atomic():
            queue.ring("generation.tasks.purge_clip", str(pk))
