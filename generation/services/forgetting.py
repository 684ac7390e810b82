"""Forgets what nobody looks at any more: old notices with their deliveries, and secrets that were replaced."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from generation.models import Delivery, Notice, WebhookEndpoint

KEPT_DAYS = 90
# Small enough that a worker never holds the database for long.
AT_ONCE = 500
ROUNDS = 40


def forget() -> int:
    """Delete notices that are older than 90 days or about a deleted video, unless one is still on its way; how many.

    The rest goes in the next hour.
    """
    _drop_old_secrets()
    before = timezone.now() - timedelta(days=KEPT_DAYS)
    on_its_way = Delivery.objects.filter(state=Delivery.State.DUE).values("notice")
    # A notice holds the prompt, and who deletes a video deletes its words too.
    deleted = Q(job__deleted_at__isnull=False) | Q(job=None, kind__startswith="job.")
    old = Notice.objects.filter(Q(created_at__lt=before) | deleted).exclude(pk__in=on_its_way).order_by()
    gone = 0
    for _ in range(ROUNDS):
        ids = list(old.values_list("pk", flat=True)[:AT_ONCE])
        Notice.objects.filter(pk__in=ids).delete()
        gone += len(ids)
        if len(ids) < AT_ONCE:
            break
    return gone


def _drop_old_secrets() -> None:
    over = WebhookEndpoint.objects.filter(old_secret_until__lt=timezone.now())
    over.update(old_secret="", old_secret_until=None)
