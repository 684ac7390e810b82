#!/usr/bin/env python3
"""A simulated week of bursty demand: what a video costs and how long people wait, for our policy and for others.

Simulated time, no sleeping. The market, the people and the failures are those of tests/simulators/fleet_week.py.
Caps are out of the way: what is compared is time and money, not refusals. "Hindsight": _fleet_hindsight.py.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import _fleet_hindsight  # noqa: E402  (after the path)
import _fleet_plot  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from gpu.services import fleet, fleet_forecast  # noqa: E402
from gpu.services import offers as offering  # noqa: E402
from gpu.services.fleet_values import Assumptions, Decision, Destroy, Policy, Rent  # noqa: E402
from tests.simulators.fleet_week import Control, Week, rows  # noqa: E402

OURS = Policy(renting=True, max_machines=4, daily_cap_usd=1e6)
WEEK_MINUTES = 9 * 24 * 60.0


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    usd: float
    waits_s: list[float]
    boots: int
    hours: float  # of machines that cost money
    busy: float  # of these, hours of rendering

    @property
    def usd_per_video(self) -> float:
        return self.usd / len(self.waits_s)


def by_policy(policy: Policy, *, forecast: bool = False) -> Control:
    """Our decisions under this policy."""

    def control(week: Week) -> Sequence[Decision]:
        next_job_s = fleet_forecast.expected_gap_s(week.submitted, week.now) if forecast else None
        demand = week.demand(next_job_s)
        return fleet.decide(policy, rows(week.alive()), demand, week.offers(), week.memory, week.spend(), week.now)

    return control


def per_video(week: Week) -> Sequence[Decision]:
    """A machine for every video, given back when it is rendered."""
    alive = week.alive()
    decisions: list[Decision] = []
    for one in alive:
        late = one.row.state == "booting" and week.now_s - one.created_s > 1200
        if one.rendered or late:
            decisions.append(
                Destroy(machine=one.row, reason="its video is done" if one.rendered else "it never booted")
            )
    starting = sum(one.row.state == "booting" and week.now_s - one.created_s <= 1200 for one in alive)
    once = Assumptions(videos_per_rental=1)
    missing = len(week.waiting) - starting
    if missing > 0:
        ranked = offering.rank(week.offers(), OURS, week.memory, once, week.now)
        decisions += [_for_one_video(one) for one in ranked if not one.excluded][:missing]
    return decisions


def _for_one_video(scored: offering.ScoredOffer) -> Rent:
    return Rent(
        offer=scored.offer,
        reason="a video waits",
        reserve_usd=0.0,
        lifetime=timedelta(hours=8),
        usd_per_hour=scored.usd_per_hour - scored.storage_usd_per_hour,
        storage_usd_per_hour=scored.storage_usd_per_hour,
        traffic_usd=scored.traffic_usd,
        seconds_per_video=scored.seconds_per_video,
        boot_estimate_s=scored.boot_s,
    )


def always(machines: int) -> Control:
    policy = replace(OURS, min_machines=machines, max_machines=machines, max_lifetime_minutes=WEEK_MINUTES)
    return by_policy(policy)


STRATEGIES: dict[str, tuple[Callable[[], Control], int]] = {
    "our policy": (lambda: by_policy(OURS, forecast=True), 2),
    "without the forecast": (lambda: by_policy(OURS), 2),
    "with 10 min patience": (lambda: by_policy(replace(OURS, patience_minutes=10), forecast=True), 2),
    "always on, 1 machine": (lambda: always(1), 2),
    "always on, 2 machines": (lambda: always(2), 2),
    "always on, 4 machines": (lambda: always(4), 2),
    "rent for each video": (lambda: per_video, 1),
}
VARIANTS = ("without the forecast", "with 10 min patience")  # too close to ours to be told apart in the plot


def measure(name: str, seed: int) -> tuple[Result, Week]:
    """One strategy through the week of this seed."""
    make, seats = STRATEGIES[name]
    week = Week(seed, make(), seats=seats).run()
    if len(week.waits) != len(week.people):
        raise RuntimeError(f"{name}: {len(week.people) - len(week.waits)} videos were never rendered")
    machines = week.machines.values()
    hours = sum((one.ended_s or 0) - one.created_s for one in machines) / 3600
    busy = sum(one.rendered_s for one in machines) / 3600
    return Result(name, week.usd(), list(week.waits.values()), len(machines), hours, busy), week


def best_of(week: Week, ours: Result) -> Result:
    """What hindsight pays for people to wait no longer, on average, than under our policy."""
    host = _fleet_hindsight.best_host(week.hosts, OURS)
    usd, waits, boots, hours = _fleet_hindsight.hindsight(week.people, host, statistics.mean(ours.waits_s))
    busy = sum(video.work for video in week.people) * host.seconds_per_video / 3600
    return Result("hindsight", usd, waits, boots, hours, busy)


def pooled(results: Sequence[Result]) -> Result:
    waits = [wait for one in results for wait in one.waits_s]
    boots, hours, busy = (
        sum(values) for values in zip(*((one.boots, one.hours, one.busy) for one in results), strict=True)
    )
    return Result(results[0].name, sum(one.usd for one in results), waits, boots, hours, busy)


def show(results: Sequence[Result], weeks: int) -> None:
    table = Table(title=f"A week of bursty demand, {weeks} seeded weeks pooled, {len(results[0].waits_s)} videos")
    columns = ("$ / video", "of hindsight", "$ / week", "wait p50", "wait p95", "wait mean", "boots / week", "busy")
    table.add_column("strategy")
    for name in columns:
        table.add_column(name, justify="right")
    best = results[-1].usd_per_video
    for one in results:
        table.add_row(
            one.name,
            f"{one.usd_per_video:.4f}",
            f"{one.usd_per_video / best:.2f}x",
            f"{one.usd / weeks:.2f}",
            minutes(statistics.median(one.waits_s)),
            minutes(p95(one.waits_s)),
            minutes(statistics.mean(one.waits_s)),
            f"{one.boots / weeks:.0f}",
            f"{one.busy / one.hours:.0%}",
        )
    Console(width=120).print(table)


def p95(waits_s: Sequence[float]) -> float:
    return statistics.quantiles(waits_s, n=20)[18]


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=3, help="seeded weeks to pool (default 3)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG, too")
    options = parser.parse_args()
    began = time.perf_counter()
    found: dict[str, list[Result]] = {name: [] for name in (*STRATEGIES, "hindsight")}
    first: Week | None = None
    for seed in range(1, options.weeks + 1):
        for name in STRATEGIES:
            result, week = measure(name, seed)
            found[name].append(result)
            if name == "our policy":
                first = first or week
                found["hindsight"].append(best_of(week, result))
    results = [pooled(one) for one in found.values()]
    show(results, options.weeks)
    print(f"{options.weeks} simulated weeks in {time.perf_counter() - began:.0f} s")
    if options.plot and first:
        points = [
            _fleet_plot.Point(one.name, one.usd_per_video, p95(one.waits_s))
            for one in results
            if one.name not in VARIANTS
        ]
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(_fleet_plot.draw(points, first.counts, "A week of bursty demand"), encoding="utf-8")


if __name__ == "__main__":
    main()
