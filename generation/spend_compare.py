"""Own GPU against cloud: what a video really cost on each, side by side."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from statistics import median

from generation.models import Provider, Status, VideoJob
from gpu.months import Month

LOOK_BACK = timedelta(days=90)
ROWS_READ = 20_000  # the newest; a median needs no more
# Sizes of the two sides seldom agree to the pixel: 832x480 and 848x480 are both called 480p.
CLASSES = (240, 360, 480, 580, 720, 1080, 1440, 2160)


@dataclass(frozen=True, slots=True)
class Range:
    """US dollars per video."""

    videos: int
    median_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal


@dataclass(frozen=True, slots=True)
class Comparison:
    family: str
    size: str  # "480p"
    own: Range | None
    cloud: Range | None

    @property
    def cheaper(self) -> str:
        """ "own" or "cloud"; "" while there is only one side, or they are equal."""
        if not self.own or not self.cloud or self.own.median_usd == self.cloud.median_usd:
            return ""
        return "own" if self.own.median_usd < self.cloud.median_usd else "cloud"

    @property
    def times(self) -> float | None:
        """How many times the dearer side's median is the cheaper one's; None when they cannot be compared."""
        if not self.cheaper or not self.own or not self.cloud:
            return None
        low, high = sorted((self.own.median_usd, self.cloud.median_usd))
        return float(high / low) if low > 0 else None


def compare(month: Month) -> list[Comparison]:
    """Videos made in the 90 days up to the month's end that cost something, by model family and size."""
    costs: dict[tuple[str, str], dict[str, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    for provider, family, slug, width, height, direct, share in _rows(month):
        place = (family or slug, size_class(min(width, height)))
        costs[place]["cloud" if provider == Provider.FAL else "own"].append(direct + share)
    return [
        Comparison(family, size, _range(sides["own"]), _range(sides["cloud"]))
        for (family, size), sides in sorted(costs.items(), key=lambda row: (row[0][0], int(row[0][1][:-1])))
    ]


def _rows(month: Month) -> list[tuple[str, str, str, int, int, Decimal, Decimal]]:
    made = VideoJob.objects.filter(
        status=Status.SUCCEEDED,
        finished_at__gte=month.until - LOOK_BACK,
        finished_at__lt=month.until,
        direct_usd__gt=0,
        width__gt=0,
        height__gt=0,
        model__provider__in=(Provider.SWARMUI, Provider.FAL),
    )
    columns = ("model__provider", "model__family", "model__slug", "width", "height", "direct_usd", "share_usd")
    return list(made.order_by("-finished_at").values_list(*columns)[:ROWS_READ])


def size_class(side: int) -> str:
    """ "480p" for a shorter side of about 480 pixels."""
    return f"{min(CLASSES, key=lambda one: abs(one - side))}p"


def _range(costs: list[Decimal]) -> Range | None:
    return Range(len(costs), median(costs), min(costs), max(costs)) if costs else None
