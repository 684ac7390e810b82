"""Money: what is promised to machines, what they have cost, and the caps that neither may break.

Amounts are US dollars. What counts against a cap is what was spent in the day (or month, UTC) and what is still
promised to machines that are not over: their future is paid for before it begins.
"""

from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from gpu.errors import CapReached
from gpu.models import Book, GpuConfig, Instance, InstanceState, LedgerEntry

ZERO = Decimal(0)
CENT_PARTS = Decimal("0.0001")
# What a machine fetches before it is of use: its image, in GB. The models are counted as they come.
IMAGE_GB = Decimal(15)
MODELS_GB = Decimal(40)
HOUR_S = Decimal(3600)
# Between the end of a lifetime and the moment that vast.ai has done what it was told.
SLACK = timedelta(minutes=10)


def spend_today() -> Decimal:
    return spent_since(timezone.now().replace(hour=0, minute=0, second=0, microsecond=0))


def spend_this_month() -> Decimal:
    return spent_since(timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0))


def spent_since(moment: datetime) -> Decimal:
    booked = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.SPEND, at__gte=moment)
    return booked.aggregate(total=Sum("usd"))["total"] or ZERO


def reserved() -> Decimal:
    """What is promised to machines and neither spent nor given back."""
    open_rows = Instance.objects.filter(reserved_usd__gt=0).exclude(ledger__kind=LedgerEntry.Kind.RELEASE)
    return sum(
        (max(ZERO, promised - spent) for promised, spent in open_rows.values_list("reserved_usd", "spent_usd")), ZERO
    )


def reserve(*, instance: Instance, usd: Decimal) -> None:
    """Promise `usd` to an intent; call it inside the transaction that inserts the row. Raises CapReached."""
    # Two intents that count at the same moment would both fit under the cap.
    policy = GpuConfig.objects.select_for_update().get(pk=1)
    usd = usd.quantize(CENT_PARTS, ROUND_CEILING)
    promised = reserved()
    for name, cap, spent in (
        ("day", policy.daily_cap_usd, spend_today()),
        ("month", policy.monthly_cap_usd, spend_this_month()),
    ):
        if spent + promised + usd > cap:
            raise CapReached(
                f"A machine may cost up to ${usd:.2f}. With ${spent:.2f} spent and ${promised:.2f} promised that is "
                f"above the cap of ${cap:.2f} a {name}."
            )
    LedgerEntry.objects.create(
        book=Book.MACHINE,
        subject=instance.pk,
        instance=instance,
        kind=LedgerEntry.Kind.RESERVE,
        usd=usd,
        key=f"reserve:{instance.pk}",
        at=timezone.now(),
    )
    Instance.objects.filter(pk=instance.pk).update(reserved_usd=usd)
    instance.reserved_usd = usd


def settle(*, instance: Instance, now: datetime | None = None) -> Decimal:
    """Book what the machine has cost since the last time; answers what was booked. Safe to run twice and at once."""
    now = now or timezone.now()
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        delta = cost(row, now) - row.spent_usd
        if delta <= 0 or row.ledger.filter(kind=LedgerEntry.Kind.RELEASE).exists():
            return ZERO
        # The amount before is in the key: two that start from the same one cannot both be booked.
        LedgerEntry.objects.create(
            book=Book.MACHINE,
            subject=row.pk,
            instance=row,
            kind=LedgerEntry.Kind.SPEND,
            usd=delta,
            key=f"spend:{row.pk}:{row.spent_usd}",
            at=now,
        )
        row.spent_usd += delta
        Instance.objects.filter(pk=row.pk).update(spent_usd=row.spent_usd)
    instance.spent_usd = row.spent_usd
    return delta


def release(*, instance: Instance) -> None:
    """Book the machine's last cost and give back the rest of its promise; in the transaction that ends it, or later."""
    with transaction.atomic():
        settle(instance=instance)
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        LedgerEntry.objects.get_or_create(
            key=f"release:{row.pk}",
            defaults={
                "book": Book.MACHINE,
                "subject": row.pk,
                "instance": row,
                "kind": LedgerEntry.Kind.RELEASE,
                "usd": max(ZERO, row.reserved_usd - row.spent_usd),
                "at": timezone.now(),
            },
        )


def charge_late(*, label: str, contract: int, usd: Decimal) -> None:
    """Book what a machine has cost that turned up after its row was over. Once per machine."""
    row = Instance.objects.filter(label=label).first()
    if row is None:
        return
    usd = usd.quantize(CENT_PARTS, ROUND_CEILING)
    with transaction.atomic():
        _, is_new = LedgerEntry.objects.get_or_create(
            key=f"late:{contract}",
            defaults={
                "book": Book.MACHINE,
                "subject": row.pk,
                "instance": row,
                "kind": LedgerEntry.Kind.SPEND,
                "usd": usd,
                "at": timezone.now(),
            },
        )
        if is_new:
            Instance.objects.filter(pk=row.pk).update(spent_usd=F("spent_usd") + usd)


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
