"""What is remarked about a prompt, and what it would become."""

import pytest

from generation.services.prompt_help import MOST, Text, hints

GOOD = "A woman turns her head and smiles while the camera pushes in slowly"


def codes(prompt: str, reads_chars: int | None = None) -> list[str]:
    return [hint.code for hint in hints(Text(prompt=prompt, reads_chars=reads_chars))]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "   ",
        GOOD,
        "Leaves move in the wind, the camera stays still",
        "Die Frau lächelt, die Kamera fährt langsam näher",
        "كاميرا تقترب ببطء من البيت",
    ],
)
def test_nothing_is_remarked_about_a_good_prompt(prompt: str) -> None:
    assert codes(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "code", "becomes"),
    [
        ("zoom", "short", "zoom, the camera pushes in slowly"),
        ("a red house on a hill", "no_motion", "a red house on a hill, with slow, natural movement"),
        ("The dog runs over the grass.", "no_camera", "The dog runs over the grass, the camera pushes in slowly"),
        ("Image of a dog that runs, camera pans left", "picture_of", "A dog that runs, camera pans left"),
        ("A picture of waves, slow zoom in", "picture_of", "Waves, slow zoom in"),
        ("THE CAMERA PUSHES IN TO HER FACE", "capitals", "The camera pushes in to her face"),
        ("very very slow zoom in", "repeated", "very slow zoom in"),
        ("slow zoom, slow zoom, on the door", "repeated", "slow zoom, on the door"),
        ("The camera pans left. Cut to a beach.", "cuts", "The camera pans left"),
    ],
)
def test_a_remark_says_what_the_prompt_would_become(prompt: str, code: str, becomes: str) -> None:
    [found] = [hint for hint in hints(Text(prompt=prompt)) if hint.code == code]
    assert (found.prompt, found.negative_prompt) == (becomes, None)
    assert found.changes == {"prompt": becomes}


@pytest.mark.parametrize(
    ("prompt", "becomes", "unwanted"),
    [
        ("Slow zoom in, no blur", "Slow zoom in", "ugly, blur"),
        ("Slow zoom in without text and no people", "Slow zoom in", "ugly, text, people"),
        ("No UGLY, slow zoom in", "Slow zoom in", "ugly"),
    ],
)
def test_what_shall_not_appear_moves_to_where_it_belongs(prompt: str, becomes: str, unwanted: str) -> None:
    [found] = [hint for hint in hints(Text(prompt=prompt, negative_prompt="ugly")) if hint.code == "negation"]
    assert found.changes == {"prompt": becomes, "negative_prompt": unwanted}


def test_a_prompt_is_cut_between_words_where_the_model_stops_to_read() -> None:
    [found] = [hint for hint in hints(Text(prompt=GOOD, reads_chars=20)) if hint.code == "long"]
    assert found.prompt == "A woman turns her"
    assert "long" not in codes(GOOD, reads_chars=500)


def test_words_that_only_begin_like_a_negation_are_left_alone() -> None:
    assert codes("A notable man nods, knows the way and walks north, camera follows") == []


def test_there_are_never_more_remarks_than_one_reads() -> None:
    bad = "PICTURE OF A HOUSE HOUSE, NO PEOPLE. CUT TO THE SEA"
    assert len(codes(bad, reads_chars=20)) == MOST


def test_what_is_applied_is_not_remarked_again() -> None:
    text = Text(prompt="Image of of a dog, no cats. Cut to a tree")
    for _turn in range(8):
        found = hints(text)
        if not found:
            break
        text = Text(prompt=found[0].changes["prompt"], negative_prompt=found[0].negative_prompt or text.negative_prompt)
    assert hints(text) == []
