"""Finished videos as material: their frames by number, forwards and backwards, and their sound. Knows no Django.

Runs in the limited process only. Nothing here holds more than a piece of a video: frames come as they are asked for.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from generation.services.media_worker import CONTAINER, Refused, checked_stream

Sound = NDArray[np.float32]
SOUND_RATE = 48_000
# What our cloud models send; other kinds of sound are dropped rather than that more parsers come within reach.
SOUND_CODECS = ("aac",)
# H.264 and H.265 reorder at most 16 frames, so a key frame this far back comes before the wanted one in every order.
_SEEK_MARGIN = 32
_HELD_BYTES = 256 * 1024**2  # decoded frames that are turned around at once


class Source:
    """One of our MP4s, whole or from frame `start` up to and without `end`. Raises Refused."""

    def __init__(self, path: str, start: int = 0, end: int | None = None) -> None:
        if os.path.getsize(path) == 0:
            raise Refused("damaged", "The video is empty.")
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        # An open file instead of a path: what the video refers to cannot be opened.
        self._container: Any = av.open(self._file, format=CONTAINER)
        self.stream: Any = checked_stream(self._container)
        self.rate: Fraction = self.stream.average_rate or Fraction(0)
        if not 1 <= self.rate <= 240:
            raise Refused("bad_rate", "The video has no usable frame rate.")
        self._times = self._presentation_times()
        self.start, self.end = start, min(end or len(self._times), len(self._times))
        if self.start >= self.end:
            raise Refused("bad_range", f"The video has only {len(self._times)} frames.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()
        self._file.close()

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def size(self) -> tuple[int, int]:
        return self.stream.codec_context.width, self.stream.codec_context.height

    def _presentation_times(self) -> list[int]:
        packets = self._container.demux(self.stream)
        return sorted(
            packet.pts for packet in packets if packet.size and packet.pts is not None and not packet.is_discard
        )

    def frames(self, start: int | None = None, end: int | None = None) -> Iterator[Any]:
        """The decoded frames, in order; every one is there, or it raises Refused."""
        first, stop = self.start if start is None else start, self.end if end is None else end
        self._container.seek(self._times[max(0, first - _SEEK_MARGIN)], stream=self.stream)
        wanted = iter(range(first, stop))
        due = next(wanted)
        for frame in self._container.decode(self.stream):
            if frame.pts is None or frame.pts < self._times[due]:
                continue
            if frame.pts != self._times[due] or frame.is_corrupt:
                break
            yield frame
            following = next(wanted, None)
            if following is None:
                return
            due = following
        raise Refused("damaged", "The video is damaged or cut off.")

    def backwards(self) -> Iterator[Any]:
        """All frames but the first and the last, from behind: in pieces that fit into memory."""
        width, height = self.size
        piece = max(1, _HELD_BYTES // (width * height * 3 // 2))
        stop = self.end - 1
        while stop > self.start + 1:
            first = max(self.start + 1, stop - piece)
            held = deque(self.frames(first, stop))
            while held:
                yield held.pop()
            stop = first

    def sound(self) -> Sound | None:
        """Two channels, exactly as long as the frames; None without sound, or with one of another kind."""
        with open(self._path, "rb") as file, av.open(file, format=CONTAINER) as container:
            track = next(iter(container.streams.audio), None)
            if track is None or track.codec_context is None or track.codec_context.name not in SOUND_CODECS:
                return None
            begin = float(self._times[self.start] * self.stream.time_base)
            return _cut(_heard(container, track), begin, round(len(self) / self.rate * SOUND_RATE))


def _heard(container: Any, track: Any) -> Iterator[tuple[float, Sound]]:
    """Pieces of sound in the one form that we mix in, each with its time in seconds."""
    # One channel is doubled by us: FFmpeg would make it quieter.
    layout = "mono" if track.codec_context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=SOUND_RATE)
    at: float | None = None
    for frame in container.decode(track):
        if at is None:
            at = float(frame.time or 0)
        for piece in resampler.resample(frame):
            samples = np.broadcast_to(piece.to_ndarray().astype(np.float32), (2, piece.samples))
            yield at, samples
            at += samples.shape[1] / SOUND_RATE


def _cut(pieces: Iterable[tuple[float, Sound]], begin: float, length: int) -> Sound:
    out = np.zeros((2, length), np.float32)
    for at, samples in pieces:
        place = round((at - begin) * SOUND_RATE)
        if place >= length:
            break
        first, last = max(0, place), min(length, place + samples.shape[1])
        if first < last:
            out[:, first:last] = samples[:, first - place : last - place]
    return out


# --- frames on their way ------------------------------------------------------------------------------------------


def at_rate(frames: Iterable[Any], have: Fraction, want: Fraction) -> Iterator[Any]:
    """Frames shown `have` a second as `want` a second: left out or repeated, never mixed."""
    made = 0
    for number, frame in enumerate(frames):
        while made * have < (number + 1) * want:
            yield frame
            made += 1


def count_at_rate(count: int, have: Fraction, want: Fraction) -> int:
    """How many frames `at_rate` makes of `count`."""
    return -(-count * want // have)


def through(frames: Iterable[Any], source: Source, filters: Sequence[tuple[str, str]]) -> Iterator[Any]:
    """Frames after FFmpeg's filters, given by name and arguments."""
    graph = av.filter.Graph()
    last: Any = graph.add_buffer(template=source.stream)
    for name, arguments in filters:
        following = graph.add(name, arguments)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    for frame in frames:
        graph.push(frame)
        yield from ready(graph)
    graph.push(None)
    yield from ready(graph)


def ready(graph: Any) -> Iterator[Any]:
    """What the graph can give without being given more."""
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
