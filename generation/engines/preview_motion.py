"""Where the camera stands in every frame, as homographies from the frame to the picture.

The picture is a flat wall that fills the view of a camera straight in front of it. Moving the camera means moving it
in three dimensions; the whole path is zoomed in just so far that it never sees past the wall's edge.
"""

import math
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from generation.engines.preview_words import Axis, Move

Array = NDArray[np.float64]
Path = dict[Axis, Array]

_FIELD_OF_VIEW = math.radians(45)
# (reach per second, most that is ever reached). Zoom counts in natural logarithms, pan, tilt, truck and pedestal in
# frame widths or heights, roll and orbit in radians. Chosen by eye on 2 to 15 s videos.
_PACE: dict[Axis, tuple[float, float]] = {
    Axis.ZOOM: (0.055, 0.7),
    Axis.PAN: (0.035, 0.28),
    Axis.TRUCK: (0.035, 0.28),
    Axis.TILT: (0.045, 0.28),
    Axis.PEDESTAL: (0.045, 0.28),
    Axis.ROLL: (math.radians(1.7), math.radians(14)),
    Axis.ORBIT: (math.radians(9), math.radians(50)),
}
# These go from one side of the middle to the other; roll begins level and zoom at the whole picture.
_CENTRED = (Axis.PAN, Axis.TILT, Axis.TRUCK, Axis.PEDESTAL, Axis.ORBIT)
_RAMP = 0.22  # share of a move spent on speeding up, and again on slowing down
_MOST_OVERSCAN = 1.9
_FADE = 0.12  # share of the video in which a shake comes or goes
# Hertz; no whole-number ratios, so the wobble does not repeat in sight.
_SHAKE_RATES = (0.43, 0.97, 1.71, 2.93)


def homographies(
    moves: Sequence[Move], *, width: int, height: int, frames: int, fps: Fraction, seed: int
) -> list[Array]:
    """One 3x3 matrix per frame; it takes pixel positions of the frame to positions in the picture of the same size.

    Positions are continuous: the centre of the first pixel is (0.5, 0.5). None of them shows what is outside.
    """
    path = _path(moves, frames=frames, fps=fps, seed=seed)
    for _ in range(40):
        overscan = _overscan(path, width, height)
        if overscan <= _MOST_OVERSCAN:
            break
        # So much at once would leave a blurred detail of the picture: do the same, smaller.
        path = {axis: values if axis == Axis.ZOOM else values * 0.9 for axis, values in path.items()}
    return [_homography(path, i, overscan, width, height) for i in range(frames)]


def eased(t: Array) -> Array:
    """0 to 1 over 0 to 1: speeds up along half a cosine, goes on evenly, slows down the same way."""
    t = np.clip(t, 0.0, 1.0)
    top = 1 / (1 - _RAMP)

    def ramp(x: Array) -> Array:
        return np.asarray(top * 0.5 * (x - _RAMP / math.pi * np.sin(math.pi * x / _RAMP)))

    even = top * (t - _RAMP / 2)
    slowing = np.where(t > 1 - _RAMP, 1 - ramp(1 - t), even)
    return np.asarray(np.where(t < _RAMP, ramp(t), slowing))


def _path(moves: Sequence[Move], *, frames: int, fps: Fraction, seed: int) -> Path:
    """The value of every axis in every frame."""
    chance = random.Random(seed)  # noqa: S311 (a picture's wobble, not a secret)
    duration = frames / float(fps)
    t = np.arange(frames) / max(1, frames - 1)
    path: Path = {axis: np.zeros(frames) for axis in _PACE}
    for move in moves:
        vigour = chance.uniform(0.94, 1.06)
        if move.axis == Axis.SHAKE:
            _shake(path, abs(move.amount) * _faded(move, t), t * duration, chance)
            continue
        share = move.end - move.start
        reach = _reach(move.axis, move.amount * vigour, duration * share)
        path[move.axis] = path[move.axis] + reach * eased((t - move.start) / share)
    if any(move.axis != Axis.SHAKE for move in moves):
        # No person moves along a ruler: every seed drifts a little its own way.
        for axis in (Axis.TRUCK, Axis.PEDESTAL):
            path[axis] = path[axis] + chance.uniform(-0.012, 0.012) * eased(t)
    return {axis: _placed(axis, values) for axis, values in path.items()}


def _reach(axis: Axis, amount: float, seconds: float) -> float:
    pace, most = _PACE[axis]
    return most * math.tanh(pace * amount * seconds / most)


def _placed(axis: Axis, values: Array) -> Array:
    if axis in _CENTRED:
        return np.asarray(values - (values.max() + values.min()) / 2)
    if axis == Axis.ZOOM:
        return np.asarray(values - min(0.0, values.min()))
    return values


def _faded(move: Move, t: Array) -> Array:
    """How much of a shake is there: all of it in its share of the video, easing in and out of it."""
    begun = eased((t - move.start) / _FADE + 1) if move.start > 0 else np.ones_like(t)
    ended = eased((t - move.end) / _FADE) if move.end < 1 else np.zeros_like(t)
    return np.asarray(begun * (1 - ended))


def _shake(path: Path, amount: Array, seconds: Array, chance: random.Random) -> None:
    for axis, size in ((Axis.TRUCK, 0.006), (Axis.PEDESTAL, 0.008), (Axis.ROLL, math.radians(0.35))):
        wobble = np.zeros_like(seconds)
        for rate in _SHAKE_RATES:
            wobble += np.sin(math.tau * rate * seconds + chance.uniform(0, math.tau)) / (1 + rate)
        path[axis] = path[axis] + amount * size * wobble


def _homography(path: Path, i: int, overscan: float, width: int, height: int) -> Array:
    distance = width / (2 * math.tan(_FIELD_OF_VIEW / 2))
    orbit = path[Axis.ORBIT][i]
    # Sideways on the circle round the middle of the picture, and turned to keep looking at it.
    x = path[Axis.TRUCK][i] * width + distance * math.sin(orbit)
    y = -path[Axis.PEDESTAL][i] * height
    depth = distance * math.cos(orbit)
    yaw = math.atan2(path[Axis.PAN][i] * width, distance) - orbit
    pitch = math.atan2(path[Axis.TILT][i] * height, distance)
    focal = distance * overscan * math.exp(path[Axis.ZOOM][i])
    from_pixels = np.array([[1 / focal, 0, -width / 2 / focal], [0, 1 / focal, -height / 2 / focal], [0, 0, 1]])
    to_wall = np.array([[depth, 0, x + width / 2], [0, depth, y + height / 2], [0, 0, 1]])
    return np.asarray(to_wall @ _turned(yaw, pitch, path[Axis.ROLL][i]) @ from_pixels)


def _turned(yaw: float, pitch: float, roll: float) -> Array:
    """The camera's directions in the room, x to the right, y down, z towards the wall."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    turned = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilted = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rolled = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(turned @ tilted @ rolled)


def _overscan(path: Path, width: int, height: int) -> float:
    """The least zoom with which no frame shows anything outside of the picture."""
    if _inside(path, 1.0, width, height):
        return 1.0
    low, high = 1.0, 4.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _inside(path, middle, width, height) else (middle, high)
    return high


def _inside(path: Path, overscan: float, width: int, height: int) -> bool:
    # The outermost pixel centres; half a pixel in, where the resampling has all its neighbours.
    corners = np.array([[x, y, 1] for x in (0.5, width - 0.5) for y in (0.5, height - 0.5)]).T
    matrices = np.stack([_homography(path, i, overscan, width, height) for i in range(len(path[Axis.ZOOM]))])
    seen = matrices @ corners
    x, y = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    slack = 1e-6
    return bool(
        (x >= 0.5 - slack).all()
        and (x <= width - 0.5 + slack).all()
        and (y >= 0.5 - slack).all()
        and (y <= height - 0.5 + slack).all()
    )
