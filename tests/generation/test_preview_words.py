"""Camera words in prompts."""

import pytest

from generation.engines.preview_words import DEFAULT, STRONGEST, Axis, parse

ZOOM, PAN, TILT, TRUCK, PEDESTAL, ROLL, ORBIT, SHAKE = (Axis(name) for name in Axis)


@pytest.mark.parametrize(
    ("prompt", "axis", "sign"),
    [
        ("zoom in", ZOOM, 1),
        ("slow zoom", ZOOM, 1),
        ("The camera zooms out.", ZOOM, -1),
        ("push in", ZOOM, 1),
        ("slow push-in on her face", ZOOM, 1),
        ("pull back from the table", ZOOM, -1),
        ("PULL OUT", ZOOM, -1),
        ("dolly in", ZOOM, 1),
        ("dolly out", ZOOM, -1),
        ("the camera moves forward through the trees", ZOOM, 1),
        ("moves closer to her face", ZOOM, 1),
        ("camera pans to the left", PAN, -1),
        ("pan right across the valley", PAN, 1),
        ("pan from left to right", PAN, 1),
        ("pan from right to left", PAN, -1),
        ("tilt up", TILT, 1),
        ("the camera tilts down gently", TILT, -1),
        ("truck left", TRUCK, -1),
        ("dolly right", TRUCK, 1),
        ("camera drifts to the left", TRUCK, -1),
        ("tracking shot", TRUCK, 1),
        ("crane up", PEDESTAL, 1),
        ("pedestal down", PEDESTAL, -1),
        ("the camera rises", PEDESTAL, 1),
        ("roll clockwise", ROLL, 1),
        ("rotate counter-clockwise", ROLL, -1),
        ("rotates anticlockwise", ROLL, -1),
        ("orbit", ORBIT, 1),
        ("orbit left around the subject", ORBIT, -1),
        ("the camera circles around the car clockwise", ORBIT, -1),
        ("handheld", SHAKE, 1),
        ("hand-held footage", SHAKE, 1),
        ("camera shake", SHAKE, 1),
    ],
)
def test_camera_words_move_the_right_axis_the_right_way(prompt: str, axis: Axis, sign: int) -> None:
    (move,) = parse(prompt)

    assert (move.axis, move.amount > 0) == (axis, sign > 0)


@pytest.mark.parametrize(
    "prompt",
    ["", "a cat", "waves roll in", "a frying pan of soup", "still life with apples", "she looks left", "a fast car"],
)
def test_words_that_are_not_about_the_camera_leave_the_slow_push_in(prompt: str) -> None:
    assert parse(prompt) == DEFAULT


@pytest.mark.parametrize(
    "prompt",
    ["static camera", "a dog; the camera stays still", "no camera movement", "locked-off shot", "Still.", "no zoom"],
)
def test_a_camera_that_shall_rest_rests(prompt: str) -> None:
    assert parse(prompt) == ()


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        ("zoom slowly in", "zoom in"),
        ("zoom in", "fast zoom in"),
        ("very slowly pan left", "slowly pan left"),
        ("quickly pan left", "very quickly pan left"),
        ("slowly, orbit", "orbit"),
        ("gentle movement", "a cat"),
    ],
)
def test_speed_words_change_how_far_it_goes(slower: str, faster: str) -> None:
    assert abs(parse(slower)[0].amount) < abs(parse(faster)[0].amount)


def test_any_mix_is_understood_with_a_speed_for_each() -> None:
    moves = {move.axis: move.amount for move in parse("Pan right, slowly zoom in and tilt up, handheld")}

    assert moves == {PAN: 1, ZOOM: 0.5, TILT: 1, SHAKE: 1}


def test_a_bare_direction_repeats_the_verb_before_it() -> None:
    assert [(move.axis, move.amount) for move in parse("pan left and up")] == [(PAN, -1), (TILT, 1)]


@pytest.mark.parametrize(
    "prompt", ["zoom in, then pan left", "zoom in and then pan left", "zoom in followed by pan left"]
)
def test_then_makes_one_move_follow_the_other(prompt: str) -> None:
    first, second = parse(prompt)

    assert (first.axis, first.start, first.end) == (ZOOM, 0, 0.5)
    assert (second.axis, second.start, second.end) == (PAN, 0.5, 1)


def test_opposite_moves_follow_each_other() -> None:
    there, back = parse("zoom in and out")

    assert (there.amount, back.amount, there.end, back.start) == (1, -1, 0.5, 0.5)


def test_what_is_forbidden_is_not_done() -> None:
    assert [move.axis for move in parse("no zoom, pan left, without shaking")] == [PAN]


@pytest.mark.parametrize(
    "prompt", ["very very fast " * 100 + "zoom in", "zoom in " * 250, "\u200f\u0000 \U0001f3a5" * 300]
)
def test_no_prompt_asks_for_more_than_the_strongest_move(prompt: str) -> None:
    assert all(abs(move.amount) <= STRONGEST for move in parse(prompt))
