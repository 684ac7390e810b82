"""What clips are called, and what each kind does, for people."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from generation.models import Clip

Kind = Clip.Kind

NAMES: dict[str, Promise] = {
    Kind.TRIM: gettext_lazy("Trimmed"),
    Kind.JOIN: gettext_lazy("Joined"),
    Kind.BOOMERANG: gettext_lazy("Back and forth"),
    Kind.SMOOTH: gettext_lazy("Smoother"),
    Kind.ENLARGE: gettext_lazy("Bigger"),
    Kind.GIF: gettext_lazy("GIF"),
    Kind.WEBP: gettext_lazy("WebP"),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One thing to make of a whole video with one press."""

    kind: str
    name: Promise
    about: Promise


WAYS = (
    Way(
        Kind.BOOMERANG,
        NAMES[Kind.BOOMERANG],
        gettext_lazy("To the end and back again, so that it loops without a jump."),
    ),
    Way(Kind.GIF, NAMES[Kind.GIF], gettext_lazy("At most 480 pixels wide, 12 frames a second, 256 colours.")),
    Way(Kind.WEBP, NAMES[Kind.WEBP], gettext_lazy("A moving picture with all colours, smaller than a GIF.")),
    Way(
        Kind.SMOOTH,
        gettext_lazy("Smoother on the CPU (motion estimation)"),
        gettext_lazy("Twice the frames a second. The new ones are guessed from movement and can look wrong."),
    ),
    Way(
        Kind.ENLARGE,
        NAMES[Kind.ENLARGE],
        gettext_lazy("Twice as wide and high, up to 4096 pixels. It adds no detail."),
    ),
)


def name_of(clip: Clip) -> str:
    return str(NAMES[clip.kind])


def problem_of(clip: Clip) -> str:
    """Why it failed; the sentences stand where they are stored (services.clip_storing)."""
    return _(clip.error_message) if clip.error_message else ""


def facts_of(clip: Clip) -> str:
    """How long and how large a finished clip is."""
    if not clip.frames or not clip.fps:
        return ""
    values = {
        "frames": clip.frames,
        "seconds": f"{clip.frames / clip.fps:.1f}",
        "size": f"{clip.width}×{clip.height}",  # noqa: RUF001 (a multiplication sign)
    }
    return (
        ngettext(
            "%(frames)d frame, %(seconds)s s, %(size)s",
            "%(frames)d frames, %(seconds)s s, %(size)s",
            clip.frames,
        )
        % values
    )


def sound_of(clip: Clip) -> str:
    """Said only where sound was lost on the way."""
    if clip.options.get("sound_dropped"):
        return _("Without sound: not all of the videos have one.")
    return ""
