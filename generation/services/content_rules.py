"""The default check of prompts: words by category, with hurdles for the simplest disguises.

It stops what is plainly asked for. It understands nothing: operators who need more name a check of their own
(settings.CONTENT_CHECKS). Categories in the form of content_words.json can be added (settings.CONTENT_WORDS); each may
have a "message" for the person.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from generation.services.verdicts import ALLOW, Decision, Stage, Subject, Verdict

_OWN = Path(__file__).with_name("content_words.json")
# What stands for letters in words that hide. "1" is read as i; words with an l are found without disguise only.
_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_SEPARATED = re.compile(r"\b(?:\w[ ._*-]+){2,}\w\b")
_BETWEEN = re.compile(r"[ ._*-]+")

_SENTENCES = {
    "minors": _("Sexual content with children or young people is never made here."),
    "intimate_without_consent": _("Intimate pictures of people without their consent are never made here."),
    "sexual_violence": _("Sexual violence is never made here."),
}


@dataclass(frozen=True, slots=True)
class Category:
    """Words that count together. With `groups`, one word of each group must stand in the text."""

    name: str
    decision: Decision
    message: object
    groups: tuple[re.Pattern[str], ...]

    def is_in(self, texts: tuple[str, ...]) -> bool:
        return all(any(group.search(text) for text in texts) for group in self.groups)


def word_rule(subject: Subject) -> Verdict:
    """The check itself: judges prompts, and lets pictures and videos through."""
    if subject.stage != Stage.PROMPT:
        return ALLOW
    texts = readings(subject.text)
    worst = ALLOW
    for category in categories(settings.CONTENT_WORDS):
        if category.is_in(texts):
            found = Verdict(category.decision, category.message, category.name)
            if found.decision == Decision.BLOCK:
                return found
            worst = found
    return worst


def readings(text: str) -> tuple[str, ...]:
    """The text without case and accents; with look-alikes as letters; and with s.p.a.c.e.d letters put together."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold()
    letters = plain.translate(_LEET)
    joined = _SEPARATED.sub(lambda found: _BETWEEN.sub("", found[0]), letters)
    return plain, letters, joined


@cache
def categories(more: str) -> tuple[Category, ...]:
    """Our own categories, and those in the JSON `more`. ValueError, KeyError, TypeError: it cannot be used."""
    rows: list[dict[str, Any]] = json.loads(_OWN.read_text("utf-8"))
    if more:
        rows += json.loads(more)
    return tuple(_category(row) for row in rows)


def _category(row: dict[str, Any]) -> Category:
    groups = tuple(_pattern(words) for words in row["groups"])
    if not groups:
        raise ValueError(f"The category {row['name']} has no words.")
    return Category(
        str(row["name"]), Decision(row["decision"]), row.get("message") or _SENTENCES.get(row["name"], ""), groups
    )


def _pattern(words: list[str]) -> re.Pattern[str]:
    if not words:
        raise ValueError("A group has no words.")
    # A star at the end stands for any ending; everything else is a whole word.
    parts = (re.escape(word[:-1]) + r"\w*" if word.endswith("*") else re.escape(word) for word in words)
    return re.compile(r"(?<!\w)(?:" + "|".join(parts).replace(r"\ ", r"\s+") + r")(?!\w)")
