"""What we remember of physical machines: how long they boot, how fast they download, what went wrong on them."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from gpu.models import Host, Instance

# How much the newest boot weighs in the average.
NEWEST = 0.3


def failed(instance: Instance, *, reason: str, now: datetime) -> None:
    """The machine was of no use: its host is not rented again for a while."""
    if instance.host_id is None:
        return
    Host.objects.filter(pk=instance.host_id).update(
        failures=F("failures") + 1,
        last_failure=reason[:200],
        avoid_until=now + timedelta(minutes=settings.HOST_AVOID_MINUTES),
        seen_at=now,
    )


def avoid(instance: Instance, *, minutes: int, now: datetime) -> None:
    """Take no offer of this host for a while; it has done nothing wrong."""
    Host.objects.filter(instances=instance).update(avoid_until=now + timedelta(minutes=minutes))


def booted(instance: Instance, *, now: datetime) -> None:
    """The machine is ready for the first time."""
    if instance.host_id is None or instance.sent_at is None:
        return
    with transaction.atomic():
        host = Host.objects.select_for_update().get(pk=instance.host_id)
        seconds = (now - instance.sent_at).total_seconds()
        host.boots += 1
        host.boot_seconds = average(host.boot_seconds, seconds)
        if instance.download_mbps:
            host.download_mbps = average(host.download_mbps, instance.download_mbps)
        host.seen_at = now
        host.save(update_fields=["boots", "boot_seconds", "download_mbps", "seen_at"])


def average(before: float | None, newest: float) -> float:
    return newest if before is None else round(before + NEWEST * (newest - before), 3)
