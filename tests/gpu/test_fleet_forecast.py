"""When the next video is expected."""

from collections.abc import Iterable
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from gpu.services.fleet_forecast import expected_gap_s
from tests.gpu.fleet_factories import NOW, minutes


def sent(*ago: float) -> list[datetime]:
    return [NOW - minutes(number) for number in ago]


def every(gap: float, count: int, *, last: float) -> Iterable[float]:
    return (last + gap * number for number in range(count - 1, -1, -1))


def test_too_little_seen_says_nothing():
    assert expected_gap_s([], NOW) is None
    assert expected_gap_s(sent(5, 4, 3, 2, 1), NOW) is None


def test_regular_videos_are_expected_when_they_are_due():
    assert expected_gap_s(sent(*every(10, 12, last=4)), NOW) == 6 * 60


def test_the_short_pauses_of_a_burst_say_nothing_once_it_is_quiet():
    breaks = [600, 480, 360, 240, 120, 60]  # an hour or two between the bursts
    bursts = [start - 0.2 * number for start in breaks for number in range(20)]
    gap = expected_gap_s(sent(*bursts, *every(0.2, 20, last=8)), NOW)
    assert gap is not None
    assert gap > 40 * 60


def test_a_silence_longer_than_any_before_is_taken_to_last_as_long_again():
    assert expected_gap_s(sent(*every(1, 30, last=240)), NOW) == 240 * 60


def test_what_was_sent_after_now_is_not_looked_at():
    past = sent(*every(10, 12, last=4))
    assert expected_gap_s([*past, NOW + minutes(1)], NOW) == expected_gap_s(past, NOW)


@given(st.lists(st.floats(0, 10000), max_size=40))
def test_the_answer_is_a_positive_number_or_none(ago: list[float]):
    gap = expected_gap_s(sent(*sorted(ago, reverse=True)), NOW)
    assert gap is None or 0 < gap < 1e9
