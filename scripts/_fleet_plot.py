"""The simulated week as a picture: what each strategy costs and how long people wait, and the week as it went."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, TOP, BOTTOM = 1000, 330, 250
LEFT, RIGHT = 70, 20
INK, FAINT, OURS, BEST, OTHER = "#1f2933", "#d5dbe1", "#0b7a75", "#c2410c", "#64748b"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    usd_per_video: float
    wait_p95_s: float


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic scale; `ticks` in the data's own units."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def draw(points: Sequence[Point], counts: Sequence[tuple[float, int, int]], title: str) -> str:
    """An SVG: strategies by cost and wait above, machines and waiting videos of our policy over the week below."""
    height = TOP + BOTTOM + 60
    body = [*_strategies(points), *_week(counts, TOP + 60)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}" role="img" aria-label="{escape(title)}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            _text(LEFT, 26, title, size=17, weight=600),
            *body,
            "</svg>\n",
        ]
    )


def _strategies(points: Sequence[Point]) -> Iterable[str]:
    x = Axis(0.01, 0.6, LEFT, WIDTH - RIGHT - 160, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5))
    y = Axis(3, 120, TOP - 30, 60, (3, 5, 10, 20, 40, 80))
    yield _text(LEFT, 48, "95 of 100 videos wait less than this many minutes", fill=OTHER)
    yield _text(x.end, TOP + 8, "dollars for a video", fill=OTHER, anchor="end")
    for tick in x.ticks:
        yield _line(x.at(tick), y.start, x.at(tick), y.end)
        yield _text(x.at(tick), y.start + 18, f"${tick:g}", fill=OTHER, anchor="middle")
    for tick in y.ticks:
        yield _line(x.start, y.at(tick), x.end, y.at(tick))
        yield _text(x.start - 8, y.at(tick) + 4, f"{tick:g}", fill=OTHER, anchor="end")
    for point in points:
        place = x.at(point.usd_per_video), y.at(max(point.wait_p95_s / 60, y.low))
        colour = {"our policy": OURS, "hindsight": BEST}.get(point.name, OTHER)
        yield f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="6" fill="{colour}"/>'
        yield _text(place[0] + 10, place[1] + 4, point.name, fill=colour, weight=600)


def _week(counts: Sequence[tuple[float, int, int]], top: float) -> Iterable[str]:
    """Two strips, each with the ten minutes' largest: videos that wait, and machines."""
    slots = _by_ten_minutes(counts)
    strips = (
        ("videos wait", BEST, [waiting for _, waiting in slots]),
        ("machines", OURS, [count for count, _ in slots]),
    )
    yield _text(LEFT, top - 14, "One of the weeks under our policy", weight=600)
    half = (BOTTOM - 50) / 2
    for number, (name, colour, values) in enumerate(strips):
        bottom = top + (number + 1) * half + number * 14
        yield from _strip(name, colour, values, bottom, half - 6)
    for day, name in enumerate(DAYS):
        yield _text(
            LEFT + (day + 0.5) * (WIDTH - LEFT - RIGHT) / 7, top + BOTTOM - 14, name, fill=OTHER, anchor="middle"
        )


def _strip(name: str, colour: str, values: Sequence[int], bottom: float, height: float) -> Iterable[str]:
    most = max(1, *values)
    for day in range(8):
        x = LEFT + day * (WIDTH - LEFT - RIGHT) / 7
        yield _line(x, bottom - height, x, bottom)
    yield _steps(values, (WIDTH - LEFT - RIGHT) / len(values), bottom, height / most, colour)
    yield _line(LEFT, bottom, WIDTH - RIGHT, bottom, INK)
    yield _text(LEFT - 8, bottom - height + 10, str(most), fill=colour, anchor="end")
    yield _text(LEFT - 8, bottom, "0", fill=colour, anchor="end")
    yield _text(LEFT + 6, bottom - height + 10, name, fill=colour, weight=600)


def _by_ten_minutes(counts: Sequence[tuple[float, int, int]]) -> list[tuple[int, int]]:
    slots = [(0, 0)] * (7 * 144)
    for at_s, machines, waiting in counts:
        slot = int(at_s // 600)
        if slot < len(slots):
            slots[slot] = (max(slots[slot][0], machines), max(slots[slot][1], waiting))
    return slots


def _steps(values: Sequence[int], step: float, bottom: float, scale: float, colour: str) -> str:
    path = [f"M{LEFT} {bottom:.0f}"]
    before = None
    for number, value in enumerate(values):
        if value != before:
            path.append(f"H{LEFT + number * step:.1f}V{bottom - value * scale:.1f}")
        before = value
    path.append(f"H{LEFT + len(values) * step:.1f}V{bottom:.0f}Z")
    return f'<path d="{"".join(path)}" fill="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start", size: int = 13, weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
