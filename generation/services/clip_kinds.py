"""How each kind of clip is made: which frames in which order, in which size and at which rate. Knows no Django."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np

from generation.services.clip_films import Film, in_colours
from generation.services.clip_sources import SOUND_RATE, Sound, Source, at_rate, count_at_rate, through
from generation.services.media_worker import MAX_SIDE, Refused

Options = dict[str, Any]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be written. `frames` begins anew at every call."""

    size: Size
    rate: Fraction
    count: int
    frames: Callable[[], Iterator[Any]]
    sound: Sound | None = None
    sound_dropped: bool = False


def plan(kind: str, sources: Sequence[Source], options: Options) -> Plan:
    """Raises Refused."""
    return _PLANS[kind](sources, options)


def write(kind: str, made: Plan, film: Film, sources: Sequence[Source]) -> None:
    """Write all frames of the plan in the format of its kind."""
    frames: Iterator[Any] = made.frames()
    if kind == "gif":
        film.open_gif()
        frames = in_colours(made.frames, size=made.size, rate=made.rate)
    elif kind == "webp":
        film.open_webp()
    else:
        film.open_mp4(sources[0], made.sound)
    for frame in frames:
        film.add(frame)
    film.close()


def _even(size: Size) -> Size:
    """H.264 in the form that every browser plays has even sides only."""
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def _trim(sources: Sequence[Source], _options: Options) -> Plan:
    (source,) = sources
    return Plan(_even(source.size), source.rate, len(source), source.frames, source.sound())


# --- one after the other ------------------------------------------------------------------------------------------


def _join(sources: Sequence[Source], options: Options) -> Plan:
    """In the size and at the rate of the first; smaller and larger ones are scaled to fit, with black at the sides."""
    first = sources[0]
    size, rate = _even(first.size), first.rate
    most = round(options["crossfade_s"] * rate)
    counts = [count_at_rate(len(source), source.rate, rate) for source in sources]
    fades = _fades(counts, most)
    heard = [source.sound() for source in sources]
    sounds = [sound for sound in heard if sound is not None]
    complete = len(sounds) == len(sources)

    def frames() -> Iterator[Any]:
        return _faded([_fitted(source, size, rate) for source in sources], fades)

    return Plan(
        size=size,
        rate=rate,
        count=sum(counts) - sum(fades),
        frames=frames,
        sound=_faded_sound(sounds, counts, fades, rate) if complete else None,
        sound_dropped=bool(sounds) and not complete,
    )


def _fades(counts: Sequence[int], most: int) -> list[int]:
    """How many frames each pair shares: as asked, but no frame of a short part belongs to both its neighbours."""
    fades: list[int] = []
    left = counts[0]
    for count in counts[1:]:
        fades.append(min(most, left, count))
        left = count - fades[-1]
    return fades


def _fitted(source: Source, size: Size, rate: Fraction) -> Iterator[Any]:
    frames: Iterator[Any] = source.frames()
    if source.size != size:
        width, height = size
        fit = f"{width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=lanczos"
        middle = f"{width}:{height}:(ow-iw)/2:(oh-ih)/2:black"
        frames = through(
            frames, source, [("scale", fit), ("pad", middle), ("setsar", "1"), ("format", "pix_fmts=yuv420p")]
        )
    return at_rate(frames, source.rate, rate)


def _faded(parts: Sequence[Iterator[Any]], fades: Sequence[int]) -> Iterator[Any]:
    """All parts; the last frames of one, as many as its fade has, are mixed with the first ones of the next."""
    tail: deque[Any] = deque()
    for part, hold in zip(parts, [*fades, 0], strict=True):
        shared = len(tail)
        for number, new in enumerate(islice(part, shared), start=1):
            yield _mixed(tail.popleft(), new, number / (shared + 1))
        for frame in part:
            tail.append(frame)
            if len(tail) > hold:
                yield tail.popleft()


def _mixed(old: Any, new: Any, share: float) -> Any:
    before, after = (frame.to_ndarray(format="yuv420p").astype(np.float32) for frame in (old, new))
    mixed = before + (after - before) * share
    return av.VideoFrame.from_ndarray(np.rint(mixed).astype(np.uint8), format="yuv420p")


def _faded_sound(sounds: Sequence[Sound], counts: Sequence[int], fades: Sequence[int], rate: Fraction) -> Sound:
    """The sounds where their frames are; where two share frames, one goes as the other comes."""

    def samples(frames: int) -> int:
        return round(frames / rate * SOUND_RATE)

    out = np.zeros((2, samples(sum(counts) - sum(fades))), np.float32)
    begin = 0
    for sound, count, before, after in zip(sounds, counts, [0, *fades], [*fades, 0], strict=True):
        place, coming, going = samples(begin), samples(before), samples(after)
        part = sound[:, : min(samples(count), out.shape[1] - place)].copy()
        part[:, :coming] *= np.linspace(0, 1, coming, dtype=np.float32)[: part.shape[1]]
        if going:
            part[:, -going:] *= np.linspace(1, 0, going, dtype=np.float32)[-part.shape[1] :]
        out[:, place : place + part.shape[1]] += part
        begin += count - after
    return out


# --- turned around, smoother, bigger ------------------------------------------------------------------------------


def _boomerang(sources: Sequence[Source], options: Options) -> Plan:
    """There and back, `loops` times; the first and the last frame are shown once each time, so nothing stops."""
    (source,) = sources

    def frames() -> Iterator[Any]:
        for _ in range(options["loops"]):
            yield from source.frames()
            yield from source.backwards()

    there_and_back = max(1, 2 * len(source) - 2)
    return Plan(_even(source.size), source.rate, there_and_back * options["loops"], frames)


def _smooth(sources: Sequence[Source], _options: Options) -> Plan:
    """A frame between every two, where FFmpeg guesses that things have moved."""
    (source,) = sources
    count, rate = 2 * len(source) - 1, 2 * source.rate
    guess = f"fps={rate}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"

    def frames() -> Iterator[Any]:
        steady = through(_paced(source), source, [("minterpolate", guess), ("format", "pix_fmts=yuv420p")])
        return islice(steady, count)

    return Plan(_even(source.size), rate, count, frames, source.sound())


def _paced(source: Source) -> Iterator[Any]:
    """Frames at even times from 0, and the last one more than once: the filter gives none near its end."""
    step = 1 / source.rate / source.stream.time_base
    frame = None
    for number, frame in enumerate(source.frames()):
        frame.pts = round(number * step)
        yield frame
    if frame is not None:
        for extra in range(3):
            again = frame.reformat(format=frame.format.name)
            again.pts, again.time_base = round((len(source) + extra) * step), source.stream.time_base
            yield again


def _enlarge(sources: Sequence[Source], _options: Options) -> Plan:
    """Twice as wide and high, or as much as MAX_SIDE leaves: no detail is added."""
    (source,) = sources
    factor = min(Fraction(2), Fraction(MAX_SIDE, max(source.size)))
    if factor <= 1:
        raise Refused("too_large", f"The video has {MAX_SIDE} pixels a side already.")
    size = _even((int(source.size[0] * factor), int(source.size[1] * factor)))
    filters = [("scale", f"{size[0]}:{size[1]}:flags=lanczos"), ("format", "pix_fmts=yuv420p")]
    return Plan(size, source.rate, len(source), lambda: through(source.frames(), source, filters), source.sound())


# --- moving pictures ----------------------------------------------------------------------------------------------


def _moving(sources: Sequence[Source], options: Options) -> Plan:
    """At most `width` wide and at most `fps` a second, without sound; never larger or quicker than the video."""
    (source,) = sources
    scale = min(Fraction(1), Fraction(options["width"], source.size[0]))
    size = _even((round(source.size[0] * scale), round(source.size[1] * scale)))
    rate = min(source.rate, Fraction(options["fps"]))
    smaller = [("scale", f"{size[0]}:{size[1]}:flags=lanczos")]

    def frames() -> Iterator[Any]:
        return through(at_rate(source.frames(), source.rate, rate), source, smaller)

    return Plan(size, rate, count_at_rate(len(source), source.rate, rate), frames)


_PLANS: dict[str, Callable[[Sequence[Source], Options], Plan]] = {
    "trim": _trim,
    "join": _join,
    "boomerang": _boomerang,
    "smooth": _smooth,
    "enlarge": _enlarge,
    "gif": _moving,
    "webp": _moving,
}
