"""The fleet and the money over time, as SVG shapes and as words: no script and no inline style is needed to show it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generation.templatetags.dollars import dollars
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
        _series(_("Machines"), "plot-machines", points, lambda one: one.machines, _count, since, now),
        _series(_("Videos waiting"), "plot-waiting", points, lambda one: one.waiting, _count, since, now),
        _series(_("Spent in this time"), "plot-spent", points, lambda one: one.spent_usd, _dollars, since, now),
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
    return _(
        "In the last %(hours)s hours: machines at a time %(most)s at most, videos waiting %(longest)s at most, "
        "$%(spent_usd)s spent. Now: machines %(machines)s, videos waiting %(waiting)s."
    ) % {
        "hours": hours,
        "most": most,
        "longest": longest,
        "spent_usd": f"{last.spent_usd:.2f}",
        "machines": last.machines,
        "waiting": last.waiting,
    }


# --- dollars by day, as stacked bars ----------------------------------------------------------------------------------

_STEPS = tuple(map(Decimal, ("1", "1.6", "2", "3", "4", "5", "6", "8", "10")))
BAR_GAP = 0.28  # of a day's width
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Stack:
    """One part of every bar: what it is called, its style, and its dollars by day."""

    name: str
    css: str
    usd: Mapping[date, Decimal]

    @property
    def total(self) -> Decimal:
        return sum(self.usd.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of the drawing; its places are text, so that no language's decimal comma comes in."""

    css: str
    words: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class DayRow:
    day: date
    parts: list[Decimal]
    total: Decimal


@dataclass(frozen=True, slots=True)
class DayPlot:
    stacks: list[Stack]
    bars: list[Bar]
    rows: list[DayRow]  # only days with money, for those who read instead of look
    ticks: list[date]  # the first, the middle and the last day
    top: Decimal  # what the upper edge of the drawing stands for
    summary: str
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> Decimal:
        return self.top / 2


def draw_days(days: Sequence[date], stacks: Sequence[Stack]) -> DayPlot | None:
    """None when nothing was spent. A day that only gave money back is in the table; a bar cannot show it."""
    rows = [_day_row(day, stacks) for day in days if any(day in stack.usd for stack in stacks)]
    if not rows:
        return None
    top = _round_top(max(sum((max(ZERO, usd) for usd in row.parts), ZERO) for row in rows))
    places = {day: number * WIDTH / len(days) for number, day in enumerate(days)}
    bars = [bar for row in rows for bar in _bars(row, stacks, places[row.day], WIDTH / len(days), top)]
    ticks = [days[0], days[len(days) // 2], days[-1]]
    return DayPlot(list(stacks), bars, rows, ticks, top, _day_summary(rows))


def _day_row(day: date, stacks: Sequence[Stack]) -> DayRow:
    parts = [stack.usd.get(day, ZERO) for stack in stacks]
    return DayRow(day, parts, sum(parts, ZERO))


def _bars(row: DayRow, stacks: Sequence[Stack], x: float, width: float, top: Decimal) -> list[Bar]:
    bars, ground = [], float(HEIGHT)
    for stack, usd in zip(stacks, row.parts, strict=True):
        if usd <= 0:
            continue
        # Thinner than this nobody would see that something was spent.
        height = max(1.0, float(usd / top) * HEIGHT)
        ground -= height
        words = f"{date_format(row.day, 'j M')}: {stack.name} {dollars(usd)}"
        left, wide = x + width * BAR_GAP / 2, width * (1 - BAR_GAP)
        bars.append(Bar(stack.css, words, f"{left:.1f}", f"{ground:.1f}", f"{wide:.1f}", f"{height:.1f}"))
    return bars


def _round_top(most: Decimal) -> Decimal:
    """The next round number above, of which half is one that people can read as well."""
    power = Decimal(1).scaleb(most.adjusted()) if most > 0 else Decimal("0.01")
    return next(power * step for step in _STEPS if power * step >= most)


def _day_summary(rows: Sequence[DayRow]) -> str:
    most = max(rows, key=lambda row: row.total)
    total = sum((row.total for row in rows), ZERO)
    words = ngettext(
        "%(total)s on %(count)s day; the most was %(most)s on %(day)s.",
        "%(total)s on %(count)s days; the most was %(most)s on %(day)s.",
        len(rows),
    )
    return words % {
        "total": dollars(total),
        "count": len(rows),
        "most": dollars(most.total),
        "day": date_format(most.day, "j F"),
    }
