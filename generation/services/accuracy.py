"""How wrong the estimates were: what was foretold at the submit against what really happened."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from django.utils import timezone

from generation.models import Attempt
from generation.services.history import busy_seconds

DAYS = 30
LOOKED_AT = 5000  # videos; the newest


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one quantity. Shares: 0.2 is 20 %. `bias` above 0: foretold too high. None without videos."""

    videos: int
    median_error: float | None
    inside: float | None  # the share of videos within the range that was shown
    bias: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The errors of one model's estimates, or of all (`slug` and `name` empty)."""

    slug: str
    name: str
    seconds: Errors
    usd: Errors


@dataclass(frozen=True, slots=True)
class _Pair:
    foretold: float
    low: float
    high: float
    real: float


def accuracy(days: int = DAYS) -> tuple[Accuracy, list[Accuracy]]:
    """All videos of the last `days` together, and each model's, those with most videos first. One query."""
    seconds: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    dollars: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for row in _rows(days):
        model = (row["job__model__slug"], row["job__model__name"])
        foretold = row["job__estimate"]
        if (real := busy_seconds(row["timings"])) and foretold.get("seconds"):
            seconds[model].append(_pair(foretold, "seconds", real))
        true_usd = float(row["job__direct_usd"] + row["job__share_usd"])
        # Only what is final is known, and free videos would make every estimate look perfect.
        if row["job__cost_is_final"] and true_usd and foretold.get("usd"):
            dollars[model].append(_pair(foretold, "usd", true_usd))
    models = sorted(seconds.keys() | dollars.keys(), key=lambda model: (-len(seconds[model]), model))
    each = [Accuracy(*model, _errors(seconds[model]), _errors(dollars[model])) for model in models]
    return Accuracy("", "", _errors(_all(seconds)), _errors(_all(dollars))), each


def _rows(days: int) -> Sequence[dict[str, Any]]:
    since = timezone.now() - timedelta(days=days)
    ended = Attempt.objects.filter(outcome=Attempt.Outcome.STORED, ended_at__gte=since).exclude(job__estimate={})
    whose = ("job__model__slug", "job__model__name", "job__estimate", "timings")
    money = ("job__direct_usd", "job__share_usd", "job__cost_is_final")
    return list(ended.order_by("-ended_at").values(*whose, *money)[:LOOKED_AT])


def _pair(foretold: dict[str, Any], name: str, real: float) -> _Pair:
    usual = float(foretold[name])
    return _Pair(usual, float(foretold.get(f"{name}_low", usual)), float(foretold.get(f"{name}_high", usual)), real)


def _all(found: dict[tuple[str, str], list[_Pair]]) -> list[_Pair]:
    return [pair for pairs in found.values() for pair in pairs]


def _errors(pairs: list[_Pair]) -> Errors:
    if not pairs:
        return Errors(0, None, None, None)
    off = [pair.foretold / pair.real - 1 for pair in pairs]
    inside = sum(pair.low <= pair.real <= pair.high for pair in pairs) / len(pairs)
    return Errors(len(pairs), median(abs(value) for value in off), inside, median(off))
