"""What is said when a video is not what was asked for."""

from dataclasses import dataclass
from typing import Any

import pytest

from generation.services.drift import drift_of


@dataclass(frozen=True)
class Facts:
    width: int = 832
    height: int = 480
    frames: int = 81
    fps: float = 16.0


ASKED: dict[str, Any] = {"expects": {"width": 832, "height": 480, "shorter_side": 480, "frames": 81, "fps": 16}}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts(), ""),
        (Facts(width=848), ""),
        (Facts(width=1280, height=720), "832x480 was asked for; the video is 1280x720."),
        (Facts(width=480, height=480), "832x480 was asked for; the video is 480x480."),
        (Facts(frames=69), "81 frames were asked for; the video has 69."),
        (Facts(fps=24), "16 frames a second were asked for; the video has 24."),
    ],
)
def test_what_was_ignored_is_told(facts: Facts, words: str) -> None:
    assert drift_of(ASKED, facts, {}) == ([words] if words else [])


def test_a_square_may_have_the_side_or_the_pixels_that_its_resolution_names() -> None:
    asked = {"expects": {"width": 960, "height": 960, "shorter_side": 720}}
    for side in (960, 720):
        assert drift_of(asked, Facts(width=side, height=side), {}) == []
    assert drift_of(asked, Facts(width=480, height=480), {}) != []


def test_a_length_is_compared_by_seconds_where_seconds_were_sent() -> None:
    asked = {"expects": {"seconds": 5.0}}
    assert drift_of(asked, Facts(frames=121, fps=24), {}) == []
    assert drift_of(asked, Facts(frames=241, fps=24), {}) == ["5 seconds were asked for; the video lasts 10.0."]


def test_what_the_providers_answer_showed_comes_first() -> None:
    told = {"drift": ["Seed 7 was asked for; 8 was used."]}
    assert drift_of(ASKED, Facts(frames=80), told)[0] == "Seed 7 was asked for; 8 was used."


def test_nothing_is_said_about_what_was_not_asked_for() -> None:
    assert drift_of({}, Facts(frames=1), {}) == []
    assert drift_of({"width": 64, "videoframes": 9}, Facts(), {"drift": "text"}) == []
