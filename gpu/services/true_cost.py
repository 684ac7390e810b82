"""What a video on a rented GPU really costs: its own seconds, and its fair share of boot, download, idle and storage.

Pure: no database, no clock. Amounts are US dollars. What a machine has cost beside its videos (its overhead) is shared
in proportion to the videos' own seconds, so that the parts of one machine add up to what it took.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import TypeVar
from uuid import UUID

ZERO = Decimal(0)
PLACES = Decimal("0.000001")
HOUR_S = Decimal(3600)
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCost:
    """One rented machine: what its GPU takes, and what it has cost in all by now."""

    machine_id: UUID
    gpu_name: str
    usd_per_hour: Decimal  # GPU and storage, running
    spent_usd: Decimal  # corrected by vast.ai's own bill once that is known
    over: bool
    billed: bool  # over, and its bill is settled: `spent_usd` does not change any more
    ended_at: datetime | None

    def direct_usd(self, seconds: float) -> Decimal:
        """What so many seconds of rendering on it cost."""
        return direct(seconds, self.usd_per_hour)


def direct(seconds: float, usd_per_hour: Decimal) -> Decimal:
    """The price of so many seconds, to six places."""
    return (Decimal(str(max(0.0, seconds))) * usd_per_hour / HOUR_S).quantize(PLACES, ROUND_HALF_UP)


def overhead(spent: Decimal, directs: Iterable[Decimal]) -> Decimal:
    """What a machine has cost beside its videos. Below zero when their seconds overlapped: then it is a rebate."""
    return spent - sum(directs, ZERO)


def shares(total: Decimal, directs: Mapping[Key, Decimal]) -> dict[Key, Decimal]:
    """`total` in proportion to `directs`, in millionths of a dollar that add up to it exactly.

    Videos without seconds of their own get nothing; without any seconds at all nobody does.
    """
    weight = sum(directs.values(), ZERO)
    if weight <= 0:
        return dict.fromkeys(directs, ZERO)
    total = total.quantize(PLACES, ROUND_HALF_UP)
    exact = {key: total * one / weight for key, one in directs.items()}
    found = {key: one.quantize(PLACES, ROUND_FLOOR) for key, one in exact.items()}
    # Largest remainder: the millionths that rounding down left go to those who lost most by it.
    left = int((total - sum(found.values(), ZERO)) / PLACES)
    for key in sorted(exact, key=lambda one: exact[one] - found[one], reverse=True)[:left]:
        found[key] += PLACES
    return found


def ratio(machines: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The usual overhead per dollar of video, from (spent, direct) of machines that are over; None without any.

    A machine that made nothing is the operator's loss and says nothing about videos.
    """
    made = [(spent, own) for spent, own in machines if own > 0]
    own = sum((one for _, one in made), ZERO)
    return max(ZERO, sum((spent for spent, _ in made), ZERO) / own - 1) if own else None


def provisional_share(own: Decimal, *, spent: Decimal, directs: Decimal, usual: Decimal | None) -> Decimal:
    """A video's share while its machine still runs.

    `spent` and `directs` are the machine's so far, this video included. The first videos of a machine would carry its
    whole boot, so what is usual is the most that is asked for now; the rest comes out when the machine is over.
    """
    if directs <= 0:
        return ZERO
    so_far = max(ZERO, spent / directs - 1)
    rate = so_far if usual is None else min(so_far, usual)
    return (own * rate).quantize(PLACES, ROUND_HALF_UP)
