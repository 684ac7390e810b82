"""Small improvements to a prompt, each with the text as it would be. By rules alone, and pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

MOST = 3  # at a time: a list that grows is not read
FEW_CHARS, FEW_WORDS = 12, 3
SHOUTED_LETTERS, SHOUTED = 12, 0.8

# What is put into a prompt is English, like the prompts that the models were trained with.
CAMERA = "the camera pushes in slowly"
MOTION = "with slow, natural movement"

_PICTURE_OF = re.compile(
    r"^\s*(?:this is |here is )?(?:an?|the|my)?\s*(?:image|picture|photo|photograph|video|clip) of\s+", re.IGNORECASE
)
_CAMERA_WORDS = re.compile(
    r"camera|kamera|\b(?:zoom|pan|pans|panning|tilt|dolly|orbit|crane|tracking shot|push(?:es)? in|pulls? out|"
    r"handheld|static shot|close-?up)\w*",
    re.IGNORECASE,
)
_MOTION_WORDS = re.compile(
    r"\b(?:mov|walk|run|turn|smil|wav|danc|fly|flie|flow|blow|drift|sway|rotat|spin|fall|ris|jump|swim|blink|look|nod|"
    r"breath|flicker|burn|rain|snow|driv|ride|rid|float|shak|open|clos|grow|melt|explod|laugh|talk|speak|wind|pour|"
    r"rippl|shimmer|gallop|slid|roll|climb|glid|swing|bloom|steam|splash|approach|leav|motion|animat|bewegt)\w*",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\s*(?:[,;.]\s*)?\b(?:and |but |with )?"
    r"(?:no|without(?: any)?|avoid(?: any)?|don'?t (?:add|show)|do not (?:add|show))\s+"
    r"([^,;.\n]{2,60}?)(?=\s*(?:[,;.\n]|\band\b|\bbut\b|$))",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"[,;.]?\s*\b(?:(?:and )?then (?:we )?cut to|(?:we )?cut to|next (?:scene|shot)|second (?:scene|shot)|scene 2|"
    r"another scene|meanwhile)\b",
    re.IGNORECASE,
)
_DOUBLED = re.compile(r"\b(\w[\w' -]{0,40}?\w|\w)(?:,?\s+\1\b)+", re.IGNORECASE)
_LATIN = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Hint:
    """One remark. `prompt` and `negative_prompt` are the texts as they would be; None leaves one as it is."""

    code: str
    message: str
    label: str
    prompt: str | None = None
    negative_prompt: str | None = None

    @property
    def changes(self) -> dict[str, str]:
        """The fields that it would set, by their names."""
        given = {"prompt": self.prompt, "negative_prompt": self.negative_prompt}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What was typed; `reads_chars` is about how much of a prompt the model reads."""

    prompt: str
    negative_prompt: str = ""
    reads_chars: int | None = None


def hints(text: Text) -> list[Hint]:
    """At most MOST remarks about this prompt, the gravest first; none for an empty one. Pure."""
    typed = text.prompt.strip()
    if not typed:
        return []
    found = [hint for look in _LOOKS for hint in look(text, typed)]
    # What says too little says neither camera nor motion: one remark is enough.
    codes = {hint.code for hint in found}
    drop = {"no_camera", "no_motion"} if "short" in codes else {"no_camera"} if "no_motion" in codes else set()
    return [hint for hint in found if hint.code not in drop][:MOST]


def _long(text: Text, typed: str) -> Iterator[Hint]:
    reads = text.reads_chars
    if reads and len(typed) > reads:
        message = _("This model reads about %(count)d characters: the end of your prompt is ignored.") % {
            "count": reads
        }
        yield Hint("long", message, _("Cut it there"), prompt=typed[:reads].rsplit(maxsplit=1)[0])


def _shouted(_text: Text, typed: str) -> Iterator[Hint]:
    letters = [char for char in typed if char.isalpha()]
    if len(letters) >= SHOUTED_LETTERS and sum(char.isupper() for char in letters) > SHOUTED * len(letters):
        message = _("Capitals add nothing: models read them like small letters, or worse.")
        yield Hint("capitals", message, _("Write it in small letters"), prompt=_sentence(typed.lower()))


def _picture_words(_text: Text, typed: str) -> Iterator[Hint]:
    rest = _PICTURE_OF.sub("", typed)
    if rest and rest != typed:
        message = _("The picture is there already: say what happens in it.")
        yield Hint("picture_of", message, _("Leave those words out"), prompt=_sentence(rest))


def _negations(text: Text, typed: str) -> Iterator[Hint]:
    unwanted = [match[1].strip() for match in _NEGATED.finditer(typed)]
    if not unwanted:
        return
    rest = _NEGATED.sub("", typed).strip(" ,;.")
    before = text.negative_prompt.strip().rstrip(",")
    new = [word for word in unwanted if word.lower() not in before.lower()]
    message = _("Models often show what a prompt says they should not: name it under “What should not appear”.")
    yield Hint(
        "negation",
        message,
        _("Move “%(words)s” there") % {"words": ", ".join(unwanted)},
        prompt=_sentence(rest),
        negative_prompt=", ".join(filter(None, [before, *new])),
    )


def _cuts(_text: Text, typed: str) -> Iterator[Hint]:
    found = _CUT.search(typed)
    if found and (first := typed[: found.start()].rstrip(" ,;.")):
        message = _(
            "One video shows one scene. Make another one for what comes next: it can begin with the last frame."
        )
        yield Hint("cuts", message, _("Keep the first scene"), prompt=first)


def _doubled(_text: Text, typed: str) -> Iterator[Hint]:
    once = _DOUBLED.sub(r"\1", typed)
    if once != typed:
        yield Hint("repeated", _("Some words stand there twice."), _("Say them once"), prompt=once)


def _short(_text: Text, typed: str) -> Iterator[Hint]:
    if len(typed) < FEW_CHARS or len(typed.split()) < FEW_WORDS:
        message = _("The prompt says little: say who or what moves, and how the camera does.")
        yield Hint("short", message, _add(CAMERA), prompt=_with(typed, CAMERA))


def _motion(_text: Text, typed: str) -> Iterator[Hint]:
    if _is_english(typed) and not _MOTION_WORDS.search(typed) and not _CAMERA_WORDS.search(typed):
        message = _("Nothing moves yet: say what does.")
        yield Hint("no_motion", message, _add(MOTION), prompt=_with(typed, MOTION))


def _camera(_text: Text, typed: str) -> Iterator[Hint]:
    if _is_english(typed) and not _CAMERA_WORDS.search(typed):
        message = _("Nothing is said of the camera: it will move as it likes.")
        yield Hint("no_camera", message, _add(CAMERA), prompt=_with(typed, CAMERA))


_LOOKS: tuple[Callable[[Text, str], Iterator[Hint]], ...] = (
    _long,
    _negations,
    _cuts,
    _shouted,
    _picture_words,
    _doubled,
    _short,
    _motion,
    _camera,
)


def _is_english(text: str) -> bool:
    """Roughly: whether the words that are looked for could stand there at all."""
    letters = _LATIN.findall(text)
    return bool(letters) and sum(letter.isascii() for letter in letters) > 0.9 * len(letters)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _with(text: str, phrase: str) -> str:
    return f"{text.rstrip('.,; ')}, {phrase}"


def _add(phrase: str) -> str:
    return _("Add “%(words)s”") % {"words": phrase}
