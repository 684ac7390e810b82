"""Files that are written frame by frame: MP4, GIF, WebP, each with the poster of its first frame. Knows no Django."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np

from generation.services.clip_sources import SOUND_RATE, Sound, Source, ready
from generation.services.looks import look_of_frame, spread
from generation.services.media_worker import save_poster

_THREADS = 2
_SOUND_PIECE = 1024
_SOUND_BITS = 160_000


class Film:
    """An H.264 MP4 that browsers play from its first bytes, or a moving picture in another format."""

    def __init__(self, path: str, poster: str, *, size: tuple[int, int], rate: Fraction) -> None:
        self._path, self._poster = path, poster
        self.size, self.rate, self.frames = size, rate, 0
        self._looks: list[str] = []
        self._out: Any = None
        self._stream: Any = None

    def open_mp4(self, like: Source, sound: Sound | None) -> None:
        """Begin with the sound: the muxer holds it back until the pictures that it belongs to come."""
        # 0: however long it must hold it back, so that both lie side by side in the file.
        options = {"movflags": "+faststart", "fflags": "+bitexact", "max_interleave_delta": "0"}
        self._out = av.open(self._path, "w", format="mp4", options=options)
        self._stream = self._out.add_stream("libx264", rate=self.rate)
        context = self._stream.codec_context
        context.width, context.height = self.size
        context.pix_fmt, context.thread_count = "yuv420p", _THREADS
        context.options = {"crf": "18", "preset": "fast"}
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(like.stream.codec_context, name))
        if sound is not None:
            self._write(sound)

    def _write(self, sound: Sound) -> None:
        track = self._out.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        track.codec_context.bit_rate = _SOUND_BITS
        for place in range(0, sound.shape[1], _SOUND_PIECE):
            piece = np.ascontiguousarray(sound[:, place : place + _SOUND_PIECE])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, place, Fraction(1, SOUND_RATE)
            self._out.mux(track.encode(frame))
        self._out.mux(track.encode(None))

    def open_gif(self) -> None:
        self._out = av.open(self._path, "w", format="gif", options={"loop": "0"})
        self._stream = self._out.add_stream("gif", rate=self.rate)
        self._shape("pal8")

    def open_webp(self) -> None:
        self._out = av.open(self._path, "w", format="webp", options={"loop": "0"})
        self._stream = self._out.add_stream("libwebp_anim", rate=self.rate)
        self._stream.codec_context.options = {"quality": "80", "compression_level": "4"}
        self._shape("yuv420p")

    def _shape(self, pixels: str) -> None:
        context = self._stream.codec_context
        context.width, context.height = self.size
        context.pix_fmt = pixels

    def add(self, frame: Any) -> None:
        if self.frames == 0:
            save_poster(frame, self._poster)
        self._looks.append(look_of_frame(frame))
        pixels = self._stream.codec_context.pix_fmt
        if (frame.width, frame.height, frame.format.name) != (*self.size, pixels):
            frame = frame.reformat(*self.size, pixels)
        frame.pts, frame.time_base, frame.pict_type = self.frames, 1 / self.rate, 0
        self._out.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        self._out.mux(self._stream.encode(None))
        self._out.close()

    def looks(self) -> list[str]:
        """By what a copy is known again; call it at the end."""
        return spread(self._looks)


def in_colours(frames: Callable[[], Any], *, size: tuple[int, int], rate: Fraction) -> Any:
    """Frames in the 256 colours that suit all of them best; `frames` is called twice, so that none need be kept."""
    counting = _graph(size, rate)
    palettegen = counting.add("palettegen")
    counting.source.link_to(palettegen)
    palettegen.link_to(counting.add("buffersink"))
    counting.graph.configure()
    for number, frame in enumerate(frames()):
        counting.push(frame, number)
    counting.graph.push(None)
    (palette,) = ready(counting.graph)
    yield from _painted(frames(), palette, size, rate)


def _painted(frames: Any, palette: Any, size: tuple[int, int], rate: Fraction) -> Any:
    painting = _graph(size, rate)
    paint = painting.add("paletteuse", "dither=sierra2_4a")
    colours = painting.graph.add_buffer(
        width=palette.width, height=palette.height, format=palette.format, time_base=1 / rate
    )
    painting.source.link_to(paint, 0, 0)
    colours.link_to(paint, 0, 1)
    paint.link_to(painting.add("buffersink"))
    painting.graph.configure()
    palette.pts, palette.time_base = 0, 1 / rate
    colours.push(palette)
    colours.push(None)
    for number, frame in enumerate(frames):
        painting.push(frame, number)
        yield from ready(painting.graph)
    painting.source.push(None)
    yield from ready(painting.graph)


class _Painting:
    """A graph whose frames come from `source`, in RGB and of one size."""

    def __init__(self, size: tuple[int, int], rate: Fraction) -> None:
        self.graph: Any = av.filter.Graph()
        self._size, self._rate = size, rate
        self.source: Any = self.graph.add_buffer(
            width=size[0], height=size[1], format=av.VideoFormat("rgb32"), time_base=1 / rate
        )

    def add(self, name: str, arguments: str = "") -> Any:
        return self.graph.add(name, arguments) if arguments else self.graph.add(name)

    def push(self, frame: Any, number: int) -> None:
        plain = frame.reformat(*self._size, "rgb32")
        plain.pts, plain.time_base = number, 1 / self._rate
        self.source.push(plain)


_graph = _Painting
