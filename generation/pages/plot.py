"""The fleet over time as SVG paths and as words: no script and no inline style is needed to show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpu.queries import Point

WIDTH, HEIGHT = 1000, 100  # of the drawing; the page stretches it
TABLE_ROWS = 12


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its path, the same closed to the ground, and its numbers as words."""

    name: str
    css: str
    line: str
    area: str
    latest: str
    peak: str


@dataclass(frozen=True, slots=True)
class Plot:
    series: list[Series]
    ticks: list[datetime]
    rows: list[Point]  # for those who read instead of look
    summary: str
    hours: int
    width: int = WIDTH
    height: int = HEIGHT


def draw(points: Sequence[Point], *, hours: int, now: datetime) -> Plot | None:
    """None when there is nothing to draw yet."""
    if not points:
        return None
    since = now - timedelta(hours=hours)
    series = [
        _series("Machines", "plot-machines", points, lambda one: one.machines, _count, since, now),
        _series("Videos waiting", "plot-waiting", points, lambda one: one.waiting, _count, since, now),
        _series("Spent in this time", "plot-spent", points, lambda one: one.spent_usd, _dollars, since, now),
    ]
    quarters = [since + timedelta(hours=hours) * part / 4 for part in range(5)]
    step = -(-len(points) // TABLE_ROWS)
    return Plot(series, quarters, list(points[::-step]), _summary(points, hours), hours)


def _series(
    name: str,
    css: str,
    points: Sequence[Point],
    value: Callable[[Point], float],
    words: Callable[[float], str],
    since: datetime,
    now: datetime,
) -> Series:
    values = [value(one) for one in points]
    top = max(*values, 1e-9) if len(values) > 1 else max(values[0], 1e-9)
    span = (now - since).total_seconds()
    places = [WIDTH * min(max((one.at - since).total_seconds() / span, 0), 1) for one in points]
    heights = [HEIGHT - (HEIGHT - 4) * number / top for number in values]
    # A count holds until it changes; a slope between two counts would show machines that never were.
    steps = [f"H{x:.1f}V{y:.1f}" for x, y in zip(places[1:], heights[1:], strict=True)]
    line = f"M{places[0]:.1f},{heights[0]:.1f}{''.join(steps)}"
    area = f"{line}V{HEIGHT}H{places[0]:.1f}Z"
    return Series(name, css, line, area, words(values[-1]), words(max(values)))


def _count(number: float) -> str:
    return f"{number:.0f}"


def _dollars(number: float) -> str:
    return f"${number:.2f}"


def _summary(points: Sequence[Point], hours: int) -> str:
    last = points[-1]
    most, longest = max(one.machines for one in points), max(one.waiting for one in points)
    return (
        f"In the last {hours} hours at most {most} machines ran, at most {longest} videos waited and "
        f"${last.spent_usd:.2f} were spent. Now: {last.machines} machines, {last.waiting} videos waiting."
    )
