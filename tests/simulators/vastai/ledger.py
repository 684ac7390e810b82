"""The truth about what was paid: every machine's GPU, disk and traffic, by the second of the clock."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.simulators.clock import DAY

ITEMS = ("gpu", "disk", "bwd", "bwu")


@dataclass
class Meter:
    """What one contract costs. Rates are $ per second."""

    rates: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ITEMS, 0.0))
    days: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: dict.fromkeys(ITEMS, 0.0)))

    def add(self, item: str, amount: float, at: float) -> None:
        self.days[int(at // DAY)][item] += amount

    @property
    def burn(self) -> float:
        return sum(self.rates.values())

    def totals(self) -> dict[str, float]:
        return {item: sum(day[item] for day in self.days.values()) for item in ITEMS}


class Ledger:
    """Credit is what was granted minus what the meters say; it is never kept a second time."""

    def __init__(self, credit: float) -> None:
        self.granted = credit
        self.meters: dict[int, Meter] = defaultdict(Meter)
        self.broke = False
        self.peak_burn = 0.0

    @property
    def paid(self) -> float:
        return sum(sum(meter.totals().values()) for meter in self.meters.values())

    @property
    def credit(self) -> float:
        return self.granted - self.paid

    @property
    def burn(self) -> float:
        """$ per second right now."""
        return sum(meter.burn for meter in self.meters.values())

    def grant(self, amount: float) -> None:
        self.granted += amount
        self.broke = self.credit <= 0

    def accrue(self, since: float, until: float) -> None:
        """Only ever called within one day."""
        self.peak_burn = max(self.peak_burn, self.burn)
        for meter in self.meters.values():
            for item, rate in meter.rates.items():
                if rate:
                    meter.add(item, rate * (until - since), since)

    def empty_at(self, now: float) -> float:
        """When the credit is used up at today's rates; infinity when that has been dealt with."""
        if self.broke or not self.burn:
            return float("inf")
        return now + max(0.0, self.credit) / self.burn
