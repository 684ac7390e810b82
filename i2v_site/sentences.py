"""Sentences that stand in rows: written in English where nobody reads, said in the language of who reads them later."""

import re

from django.utils.translation import get_language, gettext

_VALUE = re.compile(r"%\((\w+)\)s")
_known: list["Sentence"] = []


class Sentence:
    """A text with `%(name)s` in it, marked with gettext_noop; called with the values it is the English for a row.

    >>> FRAMES = Sentence(gettext_noop("%(wanted)s frames were asked for; the video has %(got)s."))
    >>> row.message = FRAMES(wanted=81, got=80)
    """

    def __init__(self, english: str) -> None:
        self.english = english
        parts = _VALUE.split(english)
        texts = [part.replace("%%", "%") for part in parts[::2]]
        names = [f"(?P<{name}>.+?)" for name in parts[1::2]]
        pieces = [re.escape(texts[0])]
        for name, text in zip(names, texts[1:], strict=True):
            pieces += [name, re.escape(text)]
        self._pattern = re.compile("".join(pieces), re.DOTALL)
        _known.append(self)
        # The one that says most comes first: "The GPU failed: %(why)s" also fits what says more after the colon.
        _known.sort(key=lambda sentence: -len(_VALUE.sub("", sentence.english)))

    def __call__(self, **values: object) -> str:
        return self.english % values

    def said(self, text: str) -> str | None:
        """`text` in the language that is active, when it is this sentence; its values are looked up as well."""
        match = self._pattern.fullmatch(text)
        return match and gettext(self.english) % {name: _inside(value) for name, value in match.groupdict().items()}


def _inside(value: str) -> str:
    """A value in a sentence: a text of its own, perhaps without the full stop that it has elsewhere."""
    said = translated(value)
    return translated(f"{value}.").removesuffix(".") if said == value else said


def translated(text: str) -> str:
    """A text from a row in the language that is active; as it stands where it is not known."""
    if not text or (get_language() or "en").startswith("en"):
        return text
    if (known := gettext(text)) != text:
        return known
    return next((said for sentence in _known if (said := sentence.said(text)) is not None), text)
