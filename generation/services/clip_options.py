"""What may be asked of each kind of clip, and how long it would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from generation.clip_queries import Length
from generation.errors import ClipRefused
from generation.models import Clip
from generation.services.media import MAX_FRAMES, MAX_SECONDS

Kind = Clip.Kind
MAX_PARTS = 20
FILE_ENDINGS = {Kind.GIF: ".gif", Kind.WEBP: ".webp"}


@dataclass(frozen=True, slots=True)
class Range:
    """A number with its default; whole numbers where `whole`. With `off`, 0 is taken as well."""

    least: float
    most: float
    default: float
    whole: bool = True
    off: bool = False

    def takes(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.least <= value <= self.most or (self.off and value == 0)


OPTIONS: dict[str, dict[str, Range]] = {
    Kind.JOIN: {"crossfade_s": Range(0.2, 1.0, 0, whole=False, off=True)},
    Kind.BOOMERANG: {"loops": Range(1, 10, 1)},
    Kind.GIF: {"width": Range(64, 720, 480), "fps": Range(1, 25, 12)},
    Kind.WEBP: {"width": Range(64, 1280, 720), "fps": Range(1, 30, 16)},
}


def ending(kind: str) -> str:
    return FILE_ENDINGS.get(Kind(kind), ".mp4")


def checked(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this kind with its defaults. Raises ClipRefused naming the option."""
    known = OPTIONS.get(kind, {})
    for name, value in given.items():
        if name not in known:
            raise ClipRefused(_("This kind of clip has no such option."), field=name)
        if not known[name].takes(value):
            limits = {"least": f"{known[name].least:g}", "most": f"{known[name].most:g}"}
            raise ClipRefused(_("Give a number from %(least)s to %(most)s.") % limits, field=name)
    return {name: given.get(name, option.default) for name, option in known.items()}


def refuse_too_long(kind: str, lengths: Sequence[Length], options: Mapping[str, Any]) -> None:
    """Raises ClipRefused when the clip would be over the limits; the worker looks again at the files themselves."""
    frames, fps = _outcome(kind, lengths, options)
    if frames > MAX_FRAMES or frames / fps > MAX_SECONDS:
        limits = {"seconds": f"{MAX_SECONDS:g}", "frames": MAX_FRAMES}
        raise ClipRefused(_("A clip has at most %(seconds)s seconds and %(frames)d frames.") % limits)


def _outcome(kind: str, lengths: Sequence[Length], options: Mapping[str, Any]) -> tuple[int, Fraction]:
    fps = lengths[0].fps
    frames = sum(-(-length.frames * fps // length.fps) for length in lengths)
    if kind == Kind.JOIN:
        return frames - round(options["crossfade_s"] * fps) * (len(lengths) - 1), fps
    if kind == Kind.BOOMERANG:
        return (2 * frames - 2) * options["loops"], fps
    if kind == Kind.SMOOTH:
        return 2 * frames - 1, 2 * fps
    return frames, fps
