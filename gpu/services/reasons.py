"""Why a machine goes, in words that pages can say in another language. Pure."""

from i2v_site.sentences import Sentence


class Reason(Sentence):
    """A phrase, as decisions give it; in a row it may be a sentence of its own, with a full stop behind it."""

    def said(self, text: str) -> str | None:
        phrase = super().said(text.removesuffix("."))
        return f"{phrase}." if phrase and text.endswith(".") else phrase
