"""What a machine costs beside the videos it makes: boot, download, idle time and storage, as a share of their price."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.core.cache import cache

from generation.models import Attempt
from generation.services.history import busy_seconds
from gpu.services import gpus
from gpu.services.outlook import USUAL_BOOT

REMEMBERED_SECONDS = 30
HOUR_S = 3600
# Until a machine has ended: as much again as the videos themselves, and at most three times that.
GUESSED, GUESSED_HIGH = 1.0, 3.0
MACHINES_FOR_A_RANGE = 3


@dataclass(frozen=True, slots=True)
class Usual:
    """Of machines that are over: the dollars an hour (None: no machine has ended), and overhead per dollar of video."""

    usd_per_hour: Decimal | None
    share: float
    share_high: float
    machines: int

    @property
    def boot_s(self) -> float:
        return USUAL_BOOT.total_seconds()


def usual() -> Usual:
    """What machines have lately been like; up to REMEMBERED_SECONDS old."""
    found = cache.get("machine-overhead")
    if found is None:
        found = _look()
        cache.set("machine-overhead", found, REMEMBERED_SECONDS)
    return found  # type: ignore[no-any-return]  # the cache gives back what was put there


def _look() -> Usual:
    ended = gpus.lately_ended()
    busy = _busy_seconds([machine.id for machine in ended])
    spent, direct, shares = 0.0, 0.0, []
    for machine in ended:
        videos_usd = busy[machine.id] / HOUR_S * float(machine.usd_per_hour)
        if videos_usd:  # one that made nothing is the operator's loss, nobody's share
            spent, direct = spent + float(machine.spent_usd), direct + videos_usd
            shares.append(max(0.0, float(machine.spent_usd) / videos_usd - 1))
    prices = sorted(machine.usd_per_hour for machine in ended)
    price = prices[len(prices) // 2] if prices else None
    if not shares:
        return Usual(price, GUESSED, GUESSED_HIGH, 0)
    share = max(0.0, spent / direct - 1)
    # One or two machines have not shown how badly it can go.
    high = max(shares) if len(shares) >= MACHINES_FOR_A_RANGE else max(GUESSED_HIGH, *shares)
    return Usual(price, share, max(share, high), len(shares))


def _busy_seconds(machines: list[UUID]) -> dict[UUID, float]:
    """Seconds that each machine spent on videos that were kept, in one query."""
    found: dict[UUID, float] = defaultdict(float)
    kept = Attempt.objects.filter(machine__in=machines, outcome=Attempt.Outcome.STORED)
    for machine, timings in kept.values_list("machine", "timings"):
        if machine is not None:
            found[machine] += busy_seconds(timings)
    return found
