"""How a picture looks, in 64 bits that survive another size and another encoding (dHash). Knows no Django.

Each bit says whether a small grey picture gets brighter from one pixel to the next.
"""

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 9, 8
BITS = (WIDTH - 1) * HEIGHT
# How many frames of a video are kept, spread over it.
FRAMES = 5
# Steps that encoding alone makes in an even area say nothing.
_NOISE = 2
# Fewer or more bits than that: an even area or a plain gradient, of which very many pictures look the same.
_LEAST_BITS = 6


def look_of_grey(grey: Sequence[int]) -> str:
    """Of 9 x 8 grey values, row by row: 16 hex digits."""
    bits = 0
    for row in range(HEIGHT):
        for column in range(WIDTH - 1):
            at = row * WIDTH + column
            bits = bits << 1 | (grey[at + 1] > grey[at] + _NOISE)
    return f"{bits:016x}"


def look_of_image(image: Any) -> str:
    """Of a Pillow image."""
    from PIL import Image

    return look_of_grey(image.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BOX).tobytes())


def look_of_frame(frame: Any) -> str:
    """Of a PyAV frame; it is made small before it is turned into a picture."""
    # In two steps: the scaler reads only a few pixels around each point, so a large frame would flicker.
    small = frame.reformat(WIDTH * 16, HEIGHT * 16, "gray8", interpolation="AREA")
    return look_of_image(small.to_image())


def spread(looks: Sequence[str]) -> list[str]:
    """FRAMES of all frames' looks: the first, the last, and those evenly between."""
    if len(looks) <= FRAMES:
        return list(looks)
    return [looks[round(number * (len(looks) - 1) / (FRAMES - 1))] for number in range(FRAMES)]


def is_telling(look: str) -> bool:
    """Whether a picture with this look has anything by which it could be known again."""
    return _LEAST_BITS <= int(look, 16).bit_count() <= BITS - _LEAST_BITS


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """By how many of 64 bits the frames of `one` differ from the frame of `other` nearest to each; 64 for none."""
    mine = [int(look, 16) for look in one if is_telling(look)]
    theirs = [int(look, 16) for look in other if is_telling(look)]
    if not mine or not theirs:
        return float(BITS)
    return sum(min((a ^ b).bit_count() for b in theirs) for a in mine) / len(mine)


def is_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Every frame looks exactly the same, and they have something by which they are known."""
    return len(one) > 1 and list(one) == list(other) and all(map(is_telling, one))
