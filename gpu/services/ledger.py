"""Money of machines: what is promised to them and what they have cost, under caps shared with cloud calls.

Amounts are US dollars. What counts against a cap is what was spent in the day (or month, UTC) and what is still
promised to machines that are not over: their future is paid for before it begins.
"""

from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu.models import Book, GpuConfig, Instance, InstanceState, LedgerEntry
from gpu.services import caps
from gpu.services.booking import ZERO, Kind, Line, write

CENT_PARTS = Decimal("0.0001")
# What a machine fetches before it is of use: its image, in GB. The models are counted as they come.
IMAGE_GB = Decimal(15)
MODELS_GB = Decimal(40)
HOUR_S = Decimal(3600)
# Between the end of a lifetime and the moment that vast.ai has done what it was told.
SLACK = timedelta(minutes=10)


def reserved() -> Decimal:
    """What the site has promised to machines and cloud calls, and neither spent nor got back."""
    return caps.site_promised()


def reserve(*, instance: Instance, usd: Decimal) -> None:
    """Promise `usd` to an intent; call it inside the transaction that inserts the row. Raises CapReached."""
    # Two intents that count at the same moment would both fit under the cap.
    policy = GpuConfig.objects.select_for_update().get(pk=1)
    usd = usd.quantize(CENT_PARTS, ROUND_CEILING)
    caps.check(caps.site_rooms(policy), usd, what=gettext_noop("A machine"))
    write(_line(instance, Kind.RESERVE, usd, f"reserve:{instance.pk}"))
    Instance.objects.filter(pk=instance.pk).update(reserved_usd=usd)
    instance.reserved_usd = usd


def settle(*, instance: Instance, now: datetime | None = None) -> Decimal:
    """Book what the machine has cost since the last time; answers what was booked. Safe to run twice and at once."""
    now = now or timezone.now()
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        delta = cost(row, now) - row.spent_usd
        if delta <= 0 or row.ledger.filter(kind=Kind.RELEASE).exists():
            return ZERO
        # The amount before is in the key: two that start from the same one cannot both be booked.
        write(_line(row, Kind.SPEND, delta, f"spend:{row.pk}:{row.spent_usd}", at=now))
        row.spent_usd += delta
        Instance.objects.filter(pk=row.pk).update(spent_usd=row.spent_usd)
    instance.spent_usd = row.spent_usd
    return delta


def release(*, instance: Instance) -> None:
    """Book the machine's last cost and give back the rest of its promise; in the transaction that ends it, or later."""
    with transaction.atomic():
        settle(instance=instance)
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        write(_line(row, Kind.RELEASE, max(ZERO, row.reserved_usd - row.spent_usd), f"release:{row.pk}"))


def charge_late(*, label: str, contract: int, usd: Decimal) -> None:
    """Book what a machine has cost that turned up after its row was over. Once per machine."""
    row = Instance.objects.filter(label=label).first()
    if row is None:
        return
    usd = usd.quantize(CENT_PARTS, ROUND_CEILING)
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=row.pk)
        if write(_line(row, Kind.SPEND, usd, f"late:{contract}")):
            Instance.objects.filter(pk=row.pk).update(spent_usd=row.spent_usd + usd)


def _line(instance: Instance, kind: LedgerEntry.Kind, usd: Decimal, key: str, at: datetime | None = None) -> Line:
    return Line(book=Book.MACHINE, kind=kind, subject=instance.pk, usd=usd, key=key, at=at)


def cost(instance: Instance, now: datetime) -> Decimal:
    """What the machine has cost until `now`, never less than vast.ai's bill as far as we can know.

    The GPU counts from the last look at which it was not running; the disk from the moment that create was sent.
    """
    if instance.vast_id is None or instance.sent_at is None:
        return ZERO
    until = _last_sign(instance, now) if instance.is_over else now
    gpu_rate = instance.usd_per_hour - instance.storage_usd_per_hour
    usd = _hours(instance.sent_at, until) * instance.storage_usd_per_hour
    # Never seen, although vast.ai said that it was rented: it may have run all the time, and until its lease ends it.
    unseen = instance.state == InstanceState.LOST and instance.seen_at is None
    usd += _hours(instance.sent_at if unseen else instance.running_at, until) * gpu_rate
    usd += (IMAGE_GB + Decimal(instance.bytes_done) / 10**9) * instance.inet_usd_per_gb
    return usd.quantize(CENT_PARTS, ROUND_CEILING)


def worst_case(*, usd_per_hour: Decimal, inet_usd_per_gb: Decimal, lifetime: timedelta) -> Decimal:
    """What a machine can cost at most: its whole life, the silence after which it ends itself, and its traffic."""
    life = lifetime + timedelta(seconds=settings.SILENCE_LEASE_SECONDS) + SLACK
    return _hours_of(life) * usd_per_hour + (IMAGE_GB + MODELS_GB) * inet_usd_per_gb


def _last_sign(instance: Instance, now: datetime) -> datetime:
    """A machine that is gone has cost money until it ended itself, at the latest."""
    silence = timedelta(seconds=settings.SILENCE_LEASE_SECONDS + 60)
    if instance.state == InstanceState.LOST and instance.seen_at is None:
        return now + silence
    return min(now, (instance.seen_at or instance.sent_at or now) + silence)


def _hours(since: datetime | None, until: datetime) -> Decimal:
    return _hours_of(until - since) if since else ZERO


def _hours_of(span: timedelta) -> Decimal:
    return max(ZERO, Decimal(str(span.total_seconds()))) / HOUR_S
