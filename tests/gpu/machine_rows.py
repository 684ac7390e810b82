"""Rows of the fleet: single ones for tests, and a whole lively fleet to look at."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from gpu.models import Book, FleetSample, FleetStatus, Host, Instance, InstanceEvent, InstanceState, LedgerEntry
from gpu.services import booking, config
from gpu.services.booking import Line

S = InstanceState


def host(machine_id: int = 24817, **values: Any) -> Host:
    return Host.objects.get_or_create(machine_id=machine_id, defaults=values)[0]


def instance(state: str = S.READY, **values: Any) -> Instance:
    """A machine in this state, an hour old, with what a machine in this state has."""
    pk, now = uuid.uuid4(), timezone.now()
    created = values.get("created_at", now - timedelta(hours=1))
    row: dict[str, Any] = {
        "pk": pk,
        "label": f"i2v/test/{pk}",
        "state": state,
        "gpu_name": "RTX 4090",
        "usd_per_hour": Decimal("0.41"),
        "reserved_usd": Decimal("2.87"),
        "reason": "12 videos wait; booting pays off after 4.",
        "created_at": created,
        "state_since": created,
        "lease_until": now + timedelta(minutes=40),
        "max_until": created + timedelta(hours=6),
    }
    if state not in (S.REQUESTED, S.CREATING, S.FAILED):
        row |= {"vast_id": 30_000_000 + Instance.objects.count(), "sent_at": created + timedelta(seconds=4)}
    if state in (S.PROVISIONING, S.READY, S.DRAINING, S.DESTROYING, S.DESTROYED):
        row["running_at"] = created + timedelta(seconds=95)
    if state in (S.READY, S.DRAINING, S.DESTROYING, S.DESTROYED):
        row |= {"ready_at": created + timedelta(seconds=412), "url": f"http://203.0.113.9:{40_000 + pk.int % 9999}"}
    return Instance.objects.create(**row | values)


def event(of: Instance, kind: str, message: str, at: datetime | None = None) -> InstanceEvent:
    return InstanceEvent.objects.create(instance=of, kind=kind, message=message, at=at or timezone.now())


def spent(of: Instance, usd: str, at: datetime | None = None) -> LedgerEntry:
    return booked(of, LedgerEntry.Kind.SPEND, usd, at=at)


def booked(of: Instance, kind: LedgerEntry.Kind, usd: str, *, at: datetime | None = None) -> LedgerEntry:
    key = f"{kind}:{uuid.uuid4().hex}"
    booking.write(Line(book=Book.MACHINE, subject=of.pk, kind=kind, usd=Decimal(usd), at=at, key=key))
    return LedgerEntry.objects.get(key=key)


def lively_fleet() -> list[Instance]:
    """A fleet in which everything happens at once; returns its living machines."""
    now = timezone.now()
    row = config.load()
    row.renting, row.max_machines, row.daily_cap_usd = True, 4, Decimal(10)
    row.save()
    FleetStatus.objects.create(pk=1, credit_usd=Decimal("21.37"), listed_at=now)
    known = host(24817, boots=7, boot_seconds=391.0, download_mbps=1680.0, seconds_per_video=94.0, failures=1)
    ready = instance(host=known, gpu_use_percent=97.0, spent_usd=Decimal("0.84"))
    log = "\n".join(f"[12:{minute:02d}:07] swarmui: generated 81 frames in {90 + minute % 7} s" for minute in range(40))
    Instance.objects.filter(pk=ready.pk).update(log_tail=log)
    for seconds, kind, message in [
        (0, "requested", "Asked for: 12 videos wait. Up to $2.87 are set aside for it."),
        (5, "rented", "Rented as 30000000, for $0.410 an hour."),
        (95, "provisioning", "Its container runs. Models are downloaded and SwarmUI starts."),
        (120, "progress", "Download 0.1 of 26.2 GB at 198 MB/s"),
        (412, "ready", "Ready after 6.9 minutes; $0.05 so far."),
    ]:
        event(ready, kind, message, ready.created_at + timedelta(seconds=seconds))
    young = now - timedelta(seconds=190)
    loading = instance(
        S.PROVISIONING, host=host(25002, boots=2, boot_seconds=430.0), gpu_name="RTX 5090", created_at=young,
        step="download", bytes_done=14_200_000_000, bytes_total=26_200_000_000, download_mbps=1680.0,
        usd_per_hour=Decimal("0.62"), trouble="SwarmUI does not answer yet (ConnectError).",
    )  # fmt: skip
    event(loading, "requested", "Asked for: 12 videos wait.", young)
    event(loading, "rented", "Rented as 30000001, for $0.620 an hour.", young + timedelta(seconds=6))
    stuck = instance(
        S.BOOTING, created_at=now - timedelta(minutes=17), host=host(25777), offer={"boot_estimate_s": 600}
    )
    ending = instance(
        S.DESTROYING, end_reason="Idle for 10 minutes.", destroy_tries=3, state_since=now - timedelta(minutes=7)
    )
    for number in range(6):
        began = now - timedelta(hours=7 * number + 9)
        state = (S.DESTROYED, S.DESTROYED, S.LOST, S.DESTROYED, S.FAILED, S.DESTROYED)[number]
        cost = Decimal(number * 37 % 90) / 100 if state != S.FAILED else Decimal(0)
        over = instance(
            state, created_at=began, ended_at=began + timedelta(minutes=20 + 31 * number), spent_usd=cost, host=known,
            end_reason=("Idle for 10 minutes.", "Asked for by staff.", "Gone without our doing.", "Idle for long.",
                        "The offer was gone before it could be rented.", "Its lifetime ended.")[number],
        )  # fmt: skip
        booked(over, LedgerEntry.Kind.RELEASE, "1")
    spent(ready, "0.84")
    spent(ready, "7.41", now.replace(hour=0, minute=1))
    samples(now)
    return [ready, loading, stuck, ending]


def samples(now: datetime, hours: int = 24) -> None:
    start, rows, spend = now.replace(second=0, microsecond=0), [], Decimal(40)
    for minute in range(hours * 60, 0, -1):
        wave = (minute // 97) % 4
        spend += Decimal("0.0068") * wave
        waiting = max(0, 14 - minute % 97 // 5) if wave else minute % 3
        rows.append(FleetSample(at=start - timedelta(minutes=minute), machines=wave, waiting=waiting, spend_usd=spend))
    FleetSample.objects.bulk_create(rows)
