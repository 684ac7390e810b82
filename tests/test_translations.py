"""Every text for people exists in German: nothing is missing, nothing is doubtful, and every placeholder is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from generation import live_words
from generation.models import Attempt, Status
from generation.templatetags.dollars import dollars
from generation.templatetags.prices import roughly
from generation.templatetags.words import duration, ordinal_in_line
from tests import factories

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = ROOT / "i2v_site" / "locale" / "de" / "LC_MESSAGES"
DOMAINS = ("django", "djangojs")
PLACEHOLDERS = re.compile(r"%\(\w+\)[sd]|%[sd]\b|\{\w+\}")
# Not our texts: other people's code, and what only developers see.
IGNORED = (".venv", ".data", "tests", "docker", "scripts")


def catalogue(domain: str) -> polib.POFile:
    return polib.pofile(str(MESSAGES / f"{domain}.po"))


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_is_translated_and_none_is_doubtful(domain: str) -> None:
    texts = catalogue(domain)
    assert len(texts) > 100
    assert [entry.msgid for entry in texts if entry.fuzzy or entry.obsolete or not entry.translated()] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_placeholder_stands_in_the_translation_too(domain: str) -> None:
    wrong = []
    for entry in catalogue(domain):
        wanted = {frozenset(PLACEHOLDERS.findall(text)) for text in (entry.msgid, entry.msgid_plural) if text}
        given = entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]
        wrong += [text for text in given if frozenset(PLACEHOLDERS.findall(text)) not in wanted]
    assert wrong == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_is_loaded_is_what_was_written(domain: str) -> None:
    loaded = {(one.msgid, one.msgid_plural): one for one in polib.mofile(str(MESSAGES / f"{domain}.mo"))}
    written = {(one.msgid, one.msgid_plural): one for one in catalogue(domain)}
    assert loaded.keys() == written.keys()
    assert all(loaded[key].msgstr == one.msgstr for key, one in written.items())


def test_every_literal_of_a_template_is_known() -> None:
    """Without the tools of GNU gettext too: what a template translates must stand in the catalogue."""
    known = {entry.msgid for entry in catalogue("django")}
    literal = re.compile(r"""\{%\s*translate\s+(?:"([^"]*)"|'([^']*)')""")
    found = {
        one[0] or one[1] for file in (ROOT / "templates").rglob("*.*") for one in literal.findall(file.read_text())
    }
    assert len(found) > 200
    assert sorted(found - known) == []


def test_every_literal_of_a_script_is_known() -> None:
    known = {entry.msgid for entry in catalogue("djangojs")}
    literal = re.compile(r'\bn?gettext\(\s*"((?:[^"\\]|\\.)*)"')
    scripts = (ROOT / "generation" / "static" / "generation").glob("*.js")
    found = {text for file in scripts for text in literal.findall(file.read_text())}
    assert len(found) > 50
    assert sorted(found - known) == []


def test_extracting_finds_no_text_that_the_catalogue_does_not_have(tmp_path: Path) -> None:
    if not shutil.which("xgettext"):
        pytest.skip("GNU gettext is not installed, so texts cannot be extracted.")
    # Links to the sources, so that nothing is written into them.
    for name in ("generation", "gpu", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "manage.py", tmp_path)  # a link would lead Python's imports back
    shutil.copytree(ROOT / "i2v_site", tmp_path / "i2v_site", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "i2v_site.settings"}
    for domain in DOMAINS:
        options = [f"--ignore={name}" for name in IGNORED]
        command = [sys.executable, "manage.py", "makemessages", "-l", "de", "-d", domain, "--symlinks", *options]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=100)
        extracted = polib.pofile(str(tmp_path / "i2v_site/locale/de/LC_MESSAGES" / f"{domain}.po"))
        assert [one.msgid for one in extracted if one.fuzzy or not (one.obsolete or one.translated())] == []


def test_what_engines_say_is_marked_as_they_say_it() -> None:
    files = [*(ROOT / "generation/engines").glob("*.py"), *(ROOT / "generation/services").glob("media*.py")]
    # Long sentences stand on several lines.
    sources = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))
    said = (*live_words.PROGRESS, *live_words.FAILURES)
    assert [text for text in said if text not in sources] == []
    shapes = [re.sub(r"%\\\(\w+\\\)s", r"\\{.+?\\}", re.escape(one.english)) for one in live_words.OF_ONE_CASE]
    assert [shape for shape in shapes if not re.search(shape, sources)] == []


def test_numbers_are_written_as_in_the_language() -> None:
    with translation.override("de"):
        said = [duration(4.5), duration(3700), dollars(1234.5), dollars(-0.04), roughly(7.25), ordinal_in_line(2)]
    assert said == ["4,5 s", "1 h 1 min", "1.234,50 $", "-0,0400 $", "7,2 s", "An Stelle 2 der Reihe"]


# --- pages -----------------------------------------------------------------------------------------------------------

ENGLISH = re.compile(
    r"\b(the|your|you|and|with|videos? (?:is|are)|were|create|delete|settings|library|search|queue|cancel)\b", re.I
)
TAGS = re.compile(r"<(?:script|style|code|pre)\b.*?</(?:script|style|code|pre)>|<[^>]*>", re.S)
COMMA_IN_ATTRIBUTE = re.compile(r'\s(?:value|min|max|step|width|height|data-[a-z-]+)="-?\d+,\d+"')


def english_in(text: str) -> list[str]:
    """Each English word, with what stands around it."""
    return [" ".join(text[max(0, one.start() - 40) : one.end() + 40].split()) for one in ENGLISH.finditer(text)]


@pytest.fixture
def german(person: User) -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    client.force_login(person)
    return client


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert '<html lang="de" dir="ltr">' in answer.text, path
    # A comma is no decimal point for scripts and browsers.
    assert COMMA_IN_ATTRIBUTE.findall(answer.text) == [], path
    return TAGS.sub(" ", answer.text)


def test_no_page_has_english_left_in_it(german: Client, person: User) -> None:
    made = [
        factories.job(person, status=status, prompt="Katze", progress=0.425, error_code="x", video_key="out/a.mp4")
        for status in Status
    ]
    paths = ["/", "/library", "/queue", "/settings", "/settings/preferences", "/settings/webhooks", "/notices"]
    paths += ["/spend", "/settings/data", "/check", "/report", "/account/email/", "/account/logout/", "/nowhere"]
    for path in [*paths, *(f"/jobs/{job.pk}" for job in made)]:
        text = page(german, path)
        assert english_in(text) == [], path


def test_what_belongs_to_one_case_is_said_in_german_as_well(german: Client, person: User) -> None:
    why = {"error_code": "engine_error", "error_message": "The GPU server reported: out of luck"}
    failed = factories.job(person, status=Status.FAILED, **why)
    assert "Der GPU-Server meldet: out of luck" in page(german, f"/jobs/{failed.pk}")

    waits = factories.job(person, status=Status.RENDERING, message="Number 3 in line at fal.ai")
    assert "An Stelle 3 der Reihe bei fal.ai" in page(german, f"/jobs/{waits.pk}")

    done = factories.job(person, status=Status.SUCCEEDED, video_key="out/a.mp4", finished_at=timezone.now())
    drift = ["81 frames were asked for; the video has 80.", "fal.ai rewrote the prompt."]
    factories.attempt(done, outcome=Attempt.Outcome.STORED, drift=drift, ended_at=timezone.now())
    assert "81 Bilder waren verlangt; das Video hat 80." in page(german, f"/jobs/{done.pk}")


def test_staff_pages_are_german_too(staff: User) -> None:
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    client.force_login(staff)
    for path in ("/staff/fleet", "/staff/gpu", "/staff/spend"):
        text = page(client, path)
        assert english_in(text) == [], path


def test_a_person_who_is_not_signed_in_reads_german(db: None) -> None:
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    for path in ("/account/login/", "/account/password/reset/", "/account/signup/"):
        assert english_in(page(client, path)) == [], path


def test_an_answer_of_the_api_is_in_the_language_that_was_asked_for(person: User) -> None:
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    assert client.get("/api/nothing").json()["error"]["message"] == "Hier ist nichts, was du sehen darfst."


def test_the_scripts_texts_may_be_kept_for_ever(client: Client) -> None:
    from generation.pages.shell import texts_version

    answer = client.get(f"/texts/de.{texts_version()}.js")
    assert "Warteschlange" in answer.text
    assert "Kalender" not in answer.text  # the admin brings its own
    assert "immutable" in answer["Cache-Control"]
    assert "Cookie" not in answer.get("Vary", "")
    assert client.get("/texts/de.older.js").status_code == 404
    assert client.get(f"/texts/xx.{texts_version()}.js").status_code == 404
