"""Draws a visible label into a video while it is decoded, in the limited process. Knows no Django."""

import math
from fractions import Fraction
from typing import Any

# Of the shorter side: can be read on a phone, and covers little.
TEXT_SHARE = 0.045
LEAST_TEXT = 9  # pixels
BOX_DARKNESS = 0.6
BLACK, WHITE, NEUTRAL = 16.0, 235.0, 128.0


def even(size: tuple[int, int]) -> tuple[int, int]:
    """Without a last odd column or row, for which there is no colour."""
    return size[0] // 2 * 2, size[1] // 2 * 2


class LabelledCopy:
    """The same video with a label in its lower right corner; sound is carried over as it is."""

    def __init__(self, path: str, text: str, *, source: Any, sounds: list[Any], fps: Fraction) -> None:
        import av

        context = source.codec_context
        self._width, self._height = even((context.width, context.height))
        self._box = _box(text, self._width, self._height)
        self._rate, self._count = fps, 0
        self._container = av.open(path, "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})
        self._stream: Any = self._container.add_stream("libx264", rate=fps)
        self._stream.width, self._stream.height, self._stream.pix_fmt = self._width, self._height, "yuv420p"
        mine = self._stream.codec_context
        mine.thread_count, mine.gop_size = 1, max(1, math.ceil(fps))
        for name in ("colorspace", "color_primaries", "color_trc", "color_range"):
            setattr(mine, name, getattr(context, name))
        mine.options = {"preset": "veryfast", "crf": "16"}
        self._sounds = {sound.index: self._container.add_stream_from_template(sound) for sound in sounds}

    def draw(self, frame: Any) -> Any:
        """Write the frame with the label; what was written."""
        import av

        planes = frame.reformat(self._width, self._height, "yuv420p").to_ndarray()
        _blend(planes, self._box, self._width, self._height)
        drawn: Any = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        drawn.pts, drawn.time_base = self._count, 1 / self._rate
        drawn.colorspace, drawn.color_range = frame.colorspace, frame.color_range
        self._count += 1
        self._container.mux(self._stream.encode(drawn))
        return drawn

    def carry(self, packet: Any) -> None:
        """A packet of sound."""
        if packet.dts is not None:
            packet.stream = self._sounds[packet.stream.index]
            self._container.mux(packet)

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def _box(text: str, width: int, height: int) -> Any:
    """Two layers of the label's size: how far it covers (0 to 1), and how bright it is."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    size = max(LEAST_TEXT, round(min(width, height) * TEXT_SHARE))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    while right - left > width * 0.9 and size > LEAST_TEXT // 2:
        size -= 1
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
    pad = size // 2
    # Even sides, because colour has half as many points.
    sides = (min(width, round(right - left) + 2 * pad) // 2 * 2, min(height, round(bottom - top) + 2 * pad) // 2 * 2)
    covers, letters = Image.new("L", sides), Image.new("L", sides)
    ImageDraw.Draw(covers).rounded_rectangle((0, 0, sides[0] - 1, sides[1] - 1), radius=pad, fill=255)
    ImageDraw.Draw(letters).text((pad - left, pad - top), text, fill=255, font=font)
    letter = np.asarray(letters, np.float32) / 255
    cover = np.maximum(np.asarray(covers, np.float32) / 255 * BOX_DARKNESS, letter)
    return cover, BLACK + letter * (WHITE - BLACK)


def _blend(planes: Any, box: Any, width: int, height: int) -> None:
    """Draw the box into a frame's planes (yuv420p as one array), in place."""
    cover, bright = box
    high, wide = cover.shape
    margin = max(2, min(width, height) // 40) // 2 * 2
    x, y = max(0, width - wide - margin) // 2 * 2, max(0, height - high - margin) // 2 * 2
    part = planes[y : y + high, x : x + wide]
    part[:] = (part * (1 - cover) + bright * cover + 0.5).astype(planes.dtype)
    half = cover.reshape(high // 2, 2, wide // 2, 2).mean(axis=(1, 3))
    colours = planes[height:].reshape(2, height // 2, width // 2)
    for colour in colours:
        part = colour[y // 2 : (y + high) // 2, x // 2 : (x + wide) // 2]
        part[:] = (part * (1 - half) + NEUTRAL * half + 0.5).astype(planes.dtype)
