"""The camera's path: smooth, in the right direction, never past the picture's edge."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from generation.engines.preview_motion import Array, homographies
from generation.engines.preview_words import Axis, Move, parse

WIDTH, HEIGHT = 832, 480
PROMPTS = [
    "zoom in",
    "pull out",
    "pan left",
    "tilt down fast",
    "orbit right",
    "roll clockwise",
    "zoom in and out",
    "handheld",
    "very fast pan right, very fast crane up, fast orbit left, roll clockwise, handheld, then pull back",
]


def path(
    prompt: str,
    *,
    frames: int = 81,
    fps: str = "16",
    seed: int = 7,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> list[Array]:
    return homographies(parse(prompt), width=width, height=height, frames=frames, fps=Fraction(fps), seed=seed)


def seen(matrices: Sequence[Array], x: float, y: float) -> Array:
    """Where the picture is seen at this place of the frame, frame by frame."""
    points = np.stack(matrices) @ np.array([x, y, 1.0])
    return np.asarray(points[:, :2] / points[:, 2:])


def middle(prompt: str, **values: Any) -> Array:
    return seen(path(prompt, **values), WIDTH / 2, HEIGHT / 2)


def magnification(matrices: Sequence[Array]) -> Array:
    left, right = seen(matrices, 0.5, HEIGHT / 2), seen(matrices, WIDTH - 0.5, HEIGHT / 2)
    return np.asarray((WIDTH - 1) / np.linalg.norm(right - left, axis=1))


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("size", [(832, 480), (480, 832), (64, 64)])
def test_no_frame_shows_what_is_outside_of_the_picture(prompt: str, size: tuple[int, int]) -> None:
    width, height = size
    matrices = path(prompt, width=width, height=height)

    for x in (0.5, width - 0.5):
        for y in (0.5, height - 0.5):
            points = seen(matrices, x, y)
            assert (points >= 0.49).all()
            assert (points <= np.array(size) - 0.49).all()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_never_jumps(prompt: str) -> None:
    # Corners move most. A change of speed from frame to frame that stands out from its neighbours is a jerk.
    corner = seen(path(prompt, frames=161, fps="32"), 0.5, 0.5)
    speed = np.diff(corner, axis=0)
    change = np.linalg.norm(np.diff(speed, axis=0), axis=1)

    assert change.max() < 1.6
    assert np.linalg.norm(speed, axis=1).max() < 14


def test_it_starts_and_stops_gently() -> None:
    speed = np.abs(np.diff(middle("pan right")[:, 0]))

    assert speed[0] < 0.1 * speed.max()
    assert speed[-1] < 0.1 * speed.max()
    assert speed.max() < 1.5 * speed.mean()


@pytest.mark.parametrize(
    ("prompt", "axis", "sign"),
    [
        ("pan right", 0, 1),
        ("pan left", 0, -1),
        ("truck right", 0, 1),
        ("truck left", 0, -1),
        ("tilt up", 1, -1),
        ("tilt down", 1, 1),
        ("crane up", 1, -1),
        ("pedestal down", 1, 1),
    ],
)
def test_it_looks_where_the_words_say(prompt: str, axis: int, sign: int) -> None:
    way = middle(prompt)
    travelled = way[-1] - way[0]

    assert travelled[axis] * sign > 0.08 * (WIDTH, HEIGHT)[axis]
    assert abs(travelled[1 - axis]) < 0.03 * WIDTH


def test_zooming_in_begins_with_the_whole_picture_and_pulling_out_ends_with_it() -> None:
    closer, wider = magnification(path("zoom in")), magnification(path("pull out"))

    assert closer[0] == pytest.approx(1, abs=0.03)
    assert closer[-1] > 1.2
    assert wider[-1] == pytest.approx(1, abs=0.03)
    assert wider[0] > 1.2


def test_a_clockwise_camera_turns_the_picture_the_other_way() -> None:
    matrices = path("roll clockwise")
    left, right = seen(matrices, 0.5, HEIGHT / 2), seen(matrices, WIDTH - 0.5, HEIGHT / 2)
    turned = np.degrees(np.arctan2(right[-1, 1] - left[-1, 1], right[-1, 0] - left[-1, 0]))

    assert turned > 4


def test_an_orbit_keeps_its_subject_in_the_middle_and_brings_its_side_closer() -> None:
    matrices = path("orbit right")
    left, right = (seen([matrices[-1]], x, HEIGHT - 0.5) - seen([matrices[-1]], x, 0.5) for x in (0.5, WIDTH - 0.5))

    assert np.abs(middle("orbit right") - [WIDTH / 2, HEIGHT / 2]).max() < 0.02 * WIDTH
    assert left[0, 1] > 1.05 * right[0, 1]  # the nearer side fills the frame with less of the picture


def test_a_camera_at_rest_shows_the_whole_picture_in_every_frame() -> None:
    assert np.allclose(np.stack(path("static camera")), np.eye(3), atol=1e-9)


def test_slowly_goes_less_far_than_fast() -> None:
    slow, usual, fast = (magnification(path(f"{word} zoom in"))[-1] for word in ("slow", "", "fast"))

    assert slow < usual < fast


def test_every_seed_goes_its_own_way_and_always_the_same_one() -> None:
    first, again, other = (np.stack(path("zoom in", seed=seed)) for seed in (7, 7, 8))

    assert (first == again).all()
    assert not np.allclose(first, other)


@pytest.mark.parametrize("frames", [1, 2, 240])
def test_any_number_of_frames_gets_a_path(frames: int) -> None:
    matrices = homographies(
        [Move(Axis.ZOOM, 1)], width=64, height=64, frames=frames, fps=Fraction(30000, 1001), seed=-1
    )

    assert len(matrices) == frames
    assert np.isfinite(np.stack(matrices)).all()
