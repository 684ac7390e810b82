"""Looks at one foreign video in a limited process: `python -m generation.services.media_worker`. Knows no Django.

In on stdin: one line of JSON (Order).
Out on stdout: one line of JSON: {"facts": {...}} or {"refused": code, "message"}.
"""

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from generation.limits import die_with_parent, limit_resources
from generation.services.looks import look_of_frame, spread
from generation.services.media_label import LabelledCopy, even

MEMORY_BYTES = 3 * 1024**3
CPU_SECONDS = 240
# One demuxer and the codecs that our engines make: the others' decades of parsers stay out of reach.
CONTAINER, CODECS = "mp4", ("h264", "hevc")
MAX_SIDE = 4096
POSTER_SIDE = 960
LOOP_SIDE, LOOP_FPS, LOOP_SECONDS = 320, 12, 6


@dataclass(frozen=True, slots=True)
class Order:
    parent_pid: int
    path: str
    max_frames: int
    max_seconds: float
    poster: str = ""  # paths of what to make; empty: only check
    loop: str = ""
    labelled: str = ""  # a copy with `label` drawn into it; poster and loop show it too
    label: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    looks: list[str] = field(default_factory=list)  # of frames spread over the video (generation.services.looks)


class Refused(Exception):
    """Not a video that we take."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    die_with_parent(order.parent_pid)
    limit_resources(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    try:
        answer: dict[str, Any] = {"facts": asdict(inspect(order))}
    except Refused as exc:
        answer = {"refused": exc.code, "message": str(exc)}
    except MemoryError:
        answer = {"refused": "too_large", "message": "The video needs too much memory."}
    sys.stdout.write(json.dumps(answer) + "\n")


def inspect(order: Order) -> Facts:
    """Decode every frame once, making poster and loop on the way. Raises Refused."""
    import av

    if os.path.getsize(order.path) == 0:
        raise Refused("damaged", "The result is empty.")
    try:
        # An open file instead of a path: what the video refers to cannot be opened.
        with open(order.path, "rb") as file, av.open(file, format=CONTAINER) as container:
            return _inspect(container, order)
    except (av.FFmpegError, EOFError, ValueError, IndexError) as exc:
        if getattr(exc, "errno", None) == errno.ENOSPC:
            raise  # our disk is full; the video may be fine
        raise Refused("damaged", "The result is damaged or not an MP4 video.") from exc


def _inspect(container: Any, order: Order) -> Facts:
    stream = checked_stream(container)
    fps = stream.average_rate or Fraction(0)
    if not 1 <= fps <= 240:
        raise Refused("bad_rate", "The video has no usable frame rate.")
    size = (stream.codec_context.width, stream.codec_context.height)
    loop = _Loop(order.loop, size, fps) if order.loop else None
    looks = []
    with _wanted_frames(container, stream, order, fps) as frames:
        for count, frame in enumerate(frames, 1):
            if count > order.max_frames or count / fps > order.max_seconds:
                text = f"The video is longer than {order.max_frames} frames or {order.max_seconds:g} s."
                raise Refused("too_long", text)
            if count == 1 and order.poster:
                save_poster(frame, order.poster)
            looks.append(look_of_frame(frame))
            if loop:
                loop.add(frame, count - 1)
    if not looks:
        raise Refused("damaged", "The video has no frames.")
    if loop:
        loop.close()
    if order.labelled:
        size = even(size)
    return Facts(
        width=size[0],
        height=size[1],
        frames=len(looks),
        fps=float(fps),
        duration_s=float(len(looks) / fps),
        looks=spread(looks),
    )


@contextmanager
def _wanted_frames(container: Any, stream: Any, order: Order, fps: Fraction) -> Iterator[Iterator[Any]]:
    """The frames as they are, or with the label, and then written to the labelled copy at the same time."""
    size = (stream.codec_context.width, stream.codec_context.height)
    if not order.labelled:
        yield _of_one_size(_decoded(container, stream), size)
        return
    sounds = list(container.streams.audio)
    copy = LabelledCopy(order.labelled, order.label, source=stream, sounds=sounds, fps=fps)
    yield (copy.draw(frame) for frame in _of_one_size(_decoded(container, stream, sounds, copy.carry), size))
    copy.close()


def _of_one_size(frames: Iterator[Any], size: tuple[int, int]) -> Iterator[Any]:
    for frame in frames:
        if (frame.width, frame.height) != size:
            raise Refused("damaged", "The video changes its size on the way.")
        yield frame


def checked_stream(container: Any) -> Any:
    if not container.streams.video:
        raise Refused("damaged", "The result has no picture track.")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        raise Refused("bad_codec", "The video is neither H.264 nor H.265.")
    if not (0 < context.width <= MAX_SIDE and 0 < context.height <= MAX_SIDE):
        raise Refused("too_large", f"The video is larger than {MAX_SIDE} pixels a side.")
    context.thread_type, context.thread_count = "SLICE", 1
    return stream


def _decoded(
    container: Any, stream: Any, sounds: Sequence[Any] = (), carry: Callable[[Any], None] | None = None
) -> Iterator[Any]:
    packets = 0
    for packet in container.demux(stream, *sounds):
        if carry and packet.stream.index != stream.index:
            carry(packet)
            continue
        packets += packet.size > 0
        # FFmpeg hides gaps by repeating what it has; a person would see a frozen or grey picture.
        if packet.is_corrupt:
            raise Refused("damaged", "The video is damaged or cut off.")
        for frame in packet.decode():
            if frame.is_corrupt:
                raise Refused("damaged", "The video is damaged or cut off.")
            yield frame
    if packets < stream.frames:
        raise Refused("damaged", "The video is cut off.")


def save_poster(frame: Any, path: str) -> None:
    image = frame.to_image()
    image.thumbnail((POSTER_SIDE, POSTER_SIDE))
    image.save(path, "JPEG", quality=82, optimize=True, progressive=True)


class _Loop:
    """A small silent MP4 of the first seconds, for lists."""

    def __init__(self, path: str, size: tuple[int, int], fps: Fraction) -> None:
        import av

        self._step = max(1, math.ceil(fps / LOOP_FPS))
        self._rate = fps / self._step
        self._most = int(LOOP_SECONDS * self._rate) or 1
        scale = min(1.0, LOOP_SIDE / max(size))
        self._width, self._height = (max(2, round(side * scale / 2) * 2) for side in size)
        self._container = av.open(path, "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = self._width, self._height, "yuv420p"
        stream.codec_context.thread_count = 1
        # The cap keeps six seconds of the wildest picture below 400 KB.
        stream.codec_context.options = {"preset": "veryfast", "crf": "28", "maxrate": "450k", "bufsize": "450k"}
        self._stream, self._count = stream, 0

    def add(self, frame: Any, number: int) -> None:
        if number % self._step or self._count >= self._most:
            return
        small = frame.reformat(self._width, self._height, "yuv420p")
        small.pts, small.time_base, small.pict_type = self._count, 1 / self._rate, 0
        self._count += 1
        self._container.mux(self._stream.encode(small))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


if __name__ == "__main__":
    main()
