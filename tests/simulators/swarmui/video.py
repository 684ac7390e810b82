"""Pictures and videos that really decode: a pan over the picture that was sent. Blocking; run it in a thread."""

import base64
import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
MARGIN = 8  # the pan moves over an eighth of the width and the height

# videoformat -> extension, MIME, PyAV codec, pixel format
FORMATS = {
    "h264-mp4": ("mp4", "video/mp4", "libx264", "yuv420p"),
    "h265-mp4": ("mp4", "video/mp4", "libx265", "yuv420p"),
    "webm": ("webm", "video/webm", "libvpx", "yuv420p"),
    "prores": ("mov", "video/quicktime", "prores_ks", "yuv422p10le"),
    "webp": ("webp", "image/webp", "", ""),
    "gif": ("gif", "image/gif", "", ""),
    "gif-hd": ("gif", "image/gif", "", ""),
}
PADDABLE = ("mp4", "mov")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What to encode."""

    width: int
    height: int
    frames: int
    fps: int
    format: str = "h264-mp4"
    boomerang: bool = False
    redrawn: bool = False  # the base stage replaced the picture (initimagecreativity was not 0)

    @property
    def extension(self) -> str:
        return FORMATS[self.format][0] if self.frames > 1 else "png"

    @property
    def mime(self) -> str:
        return FORMATS[self.format][1] if self.frames > 1 else "image/png"


class NotAPictureError(Exception):
    """The bytes do not decode as a picture."""


def encode(picture: bytes | None, clip: Clip, end_picture: bytes | None = None) -> bytes:
    """The clip as a file, from `picture` (none: a made-up one) to `end_picture`. Both are stretched to its size."""
    canvas = _canvas(picture, clip)
    end = _canvas(end_picture, clip) if end_picture is not None else None
    if clip.frames == 1:
        return _still(canvas, clip)
    order = [*range(clip.frames), *(reversed(range(clip.frames)) if clip.boomerang else ())]
    frames = (
        _towards(end, _frame(canvas, clip, index), clip, index) for index in order
    )  # one at a time: all of a 1080p video are gigabytes
    return _encode_video(frames, clip) if FORMATS[clip.format][2] else _encode_animation(frames, clip)


@lru_cache(maxsize=32)
def encode_shared(clip: Clip) -> bytes:
    """The one video that serves every job of this shape in cheap mode."""
    return encode(None, clip)


def preview(picture: bytes | None, clip: Clip, *, animated: bool, size: int) -> str:
    """A data URL: a small animated WebP at 6 fps or a JPEG; at least `size` bytes before base64."""
    small = Clip(width=max(16, clip.width // 4), height=max(16, clip.height // 4), frames=6, fps=6)
    canvas = _canvas(picture, small)
    frames = [Image.fromarray(_frame(canvas, small, index)) for index in range(6)]
    file = io.BytesIO()
    if not animated:
        frames[0].save(file, "JPEG", quality=60)
        return _data_url("image/jpeg", file.getvalue())
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=1000 // 6, quality=40, method=0)
    return _data_url("image/webp", _padded_webp(file.getvalue(), size))


@lru_cache(maxsize=32)
def preview_shared(clip: Clip, *, animated: bool, size: int) -> str:
    return preview(None, clip, animated=animated, size=size)


def free_box(size: int, content: bytes) -> bytes:
    """An MP4 box that players skip; `size` is the whole box, `content` stands at its start."""
    return struct.pack(">I4s", size, b"free") + content


def thumbnail(path: str, *, animated: bool) -> bytes:
    """A small picture of a video or still, animated WebP or JPEG."""
    if path.endswith((".mp4", ".mov", ".webm")):
        with av.open(path) as container:
            images = [
                Image.fromarray(frame.to_ndarray(format="rgb24"))
                for frame, _ in zip(container.decode(video=0), range(8), strict=False)
            ]
    else:
        images = [Image.open(path).convert("RGB")]
    for image in images:
        image.thumbnail((256, 256))
    file = io.BytesIO()
    if animated:
        images[0].save(file, "WEBP", save_all=True, append_images=images[1:], duration=166)
    else:
        images[0].save(file, "JPEG")
    return file.getvalue()


def _canvas(picture: bytes | None, clip: Clip) -> Pixels:
    """The picture, stretched to the size asked for and then enlarged by the room in which the view pans."""
    try:
        image = (
            Image.open(io.BytesIO(picture))
            if picture is not None
            else Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 40)
        )
        image = image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as exc:
        raise NotAPictureError from exc
    if clip.redrawn:
        image = ImageOps.invert(image)
    size = (clip.width + max(8, clip.width // MARGIN), clip.height + max(8, clip.height // MARGIN))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _frame(canvas: Pixels, clip: Clip, index: int) -> Pixels:
    last = max(1, clip.frames - 1)
    left = (canvas.shape[1] - clip.width) * index // last
    top = (canvas.shape[0] - clip.height) * index // last
    return np.ascontiguousarray(canvas[top : top + clip.height, left : left + clip.width])


def _towards(end: Pixels | None, frame: Pixels, clip: Clip, index: int) -> Pixels:
    """The frame, more and more the end picture: all of it at the last one."""
    if end is None:
        return frame
    share = index / max(1, clip.frames - 1)
    mixed = frame * (1 - share) + _frame(end, clip, 0) * share
    return np.ascontiguousarray(mixed.astype(np.uint8))


def _still(canvas: Pixels, clip: Clip) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_frame(canvas, clip, 0)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _encode_video(frames: Iterable[Pixels], clip: Clip) -> bytes:
    extension, _, codec, pixel_format = FORMATS[clip.format]
    file = io.BytesIO()
    with av.open(file, "w", format=extension) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=Fraction(clip.fps), options=_options(codec)))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, pixel_format
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def _options(codec: str) -> dict[str, str]:
    return {
        "libx264": {"crf": "19", "preset": "ultrafast", "threads": "1"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
        "libvpx": {"crf": "23", "deadline": "realtime", "cpu-used": "8"},
    }.get(codec, {"profile": "3"})


def _encode_animation(frames: Iterable[Pixels], clip: Clip) -> bytes:
    images = [Image.fromarray(pixels) for pixels in frames]
    file = io.BytesIO()
    images[0].save(
        file, clip.extension.upper(), save_all=True, append_images=images[1:], duration=1000 // clip.fps, loop=0
    )
    return file.getvalue()


def _padded_webp(data: bytes, size: int) -> bytes:
    missing = size - len(data) - 8
    if missing <= 0:
        return data
    missing += missing % 2
    body = data[8:] + b"PADD" + struct.pack("<I", missing) + bytes(missing)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
