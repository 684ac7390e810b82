"""Dollars by day as bars."""

from datetime import date, timedelta
from decimal import Decimal

from generation.pages.plot import HEIGHT, WIDTH, DayPlot, Stack, draw_days

DAYS = [date(2026, 11, 1) + timedelta(days=number) for number in range(30)]


def drawn(**stacks: dict[int, str]) -> DayPlot:
    parts = [
        Stack(name, f"bar-{name}", {DAYS[day - 1]: Decimal(usd) for day, usd in usd.items()})
        for name, usd in stacks.items()
    ]
    plot = draw_days(DAYS, parts)
    assert plot is not None
    return plot


def test_without_money_there_is_nothing_to_draw() -> None:
    assert draw_days(DAYS, [Stack("Machines", "bar-machine", {})]) is None


def test_the_scale_ends_at_a_round_number() -> None:
    assert [drawn(m={3: usd}).top for usd in ("0.0031", "0.4", "1", "1.01", "2.1", "7", "870")] == [
        Decimal(top) for top in ("0.004", "0.4", "1", "1.6", "3", "8", "1000")
    ]


def test_parts_stand_on_each_other_and_stay_inside() -> None:
    machine, cloud = drawn(m={1: "1"}, c={1: "3"}).bars
    assert (machine.height, machine.y) == ("25.0", "75.0")
    assert (cloud.height, cloud.y) == ("75.0", "0.0")
    assert machine.x == cloud.x


def test_every_day_has_its_place() -> None:
    first, last = drawn(m={1: "1", 30: "1"}).bars
    assert 0 < float(first.x) < WIDTH / 30
    assert WIDTH * 29 / 30 < float(last.x) < float(last.x) + float(last.width) < WIDTH


def test_the_smallest_amount_can_still_be_seen() -> None:
    small = drawn(m={1: "0.0001", 2: "100"}).bars[0]
    assert (small.height, small.y) == ("1.0", f"{HEIGHT - 1:.1f}")


def test_a_day_that_only_gave_back_is_in_the_table_and_no_bar() -> None:
    plot = drawn(m={1: "1", 2: "-0.2"})
    assert len(plot.bars) == 1
    assert [row.total for row in plot.rows] == [Decimal(1), Decimal("-0.2")]


def test_only_corrections_are_drawn_as_nothing() -> None:
    assert drawn(m={2: "-0.2"}).bars == []


def test_words_say_what_the_drawing_shows() -> None:
    plot = drawn(m={1: "1", 3: "0.5"}, c={3: "0.9"})
    assert plot.summary == "$2.40 on 2 days; the most was $1.40 on 3 November."
    assert [bar.words for bar in plot.bars] == ["1 Nov: m $1.00", "3 Nov: m $0.5000", "3 Nov: c $0.9000"]
