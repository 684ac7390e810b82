"""Sentences that stand in rows in English, with what was put into them, read in another language."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from django.utils import translation
from django.utils.translation import gettext_noop

from i2v_site import sentences
from i2v_site.sentences import Sentence, translated

GERMAN = {
    "%(wanted)s frames were asked for; the video has %(got)s.": "%(wanted)s Bilder verlangt; das Video hat %(got)s.",
    "It failed: %(why)s": "Es ging schief: %(why)s",
    "It failed: the disk was %(share)s%% full.": "Es ging schief: Die Platte war zu %(share)s%% voll.",
    "Nothing happened.": "Nichts geschah.",
}


@pytest.fixture(autouse=True)
def german() -> Iterator[dict[str, Sentence]]:
    """A catalogue of four texts, and sentences of this test alone."""
    with (
        patch.object(sentences, "_known", []),
        patch.object(sentences, "gettext", lambda text: GERMAN.get(text, text)),
        translation.override("de"),
    ):
        yield {text: Sentence(gettext_noop(text)) for text in GERMAN if "%(" in text}


def test_what_was_put_into_a_sentence_stays_in_it() -> None:
    text = "81 frames were asked for; the video has 80."
    assert translated(text) == "81 Bilder verlangt; das Video hat 80."
    with translation.override("en"):
        assert translated(text) == text


def test_a_sentence_writes_its_english(german: dict[str, Sentence]) -> None:
    share = german["It failed: the disk was %(share)s%% full."]
    assert share(share=97) == "It failed: the disk was 97% full."


def test_the_sentence_that_says_most_is_taken() -> None:
    assert translated("It failed: the disk was 97% full.") == "Es ging schief: Die Platte war zu 97% voll."
    assert translated("It failed: the disk was old.") == "Es ging schief: the disk was old."


def test_what_stands_in_a_sentence_is_looked_up_as_well() -> None:
    assert translated("It failed: Nothing happened.") == "Es ging schief: Nichts geschah."
    assert translated("It failed: It failed: \nfire") == "Es ging schief: Es ging schief: \nfire"


@pytest.mark.parametrize("text", ["", "Nobody knows this.", "81 frames were asked for; the video has 80. Or not?"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert translated(text) == text


def test_texts_without_values_are_looked_up() -> None:
    assert translated("Nothing happened.") == "Nichts geschah."
