"""Checks of prompts, pictures and videos: what they stop, what they pass on to staff, and that a failing one blocks."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.errors import OutputBlocked, PictureRefused, PromptBlocked
from generation.models import AuditEntry, Batch, Blocked, IdempotencyKey, Report, SourceImage, Status, VideoJob
from generation.services import batches, checks, content_rules
from generation.services.asking import JobRequest
from generation.services.checks import trouble
from generation.services.intake import store_picture
from generation.services.outputs import store
from generation.services.verdicts import Decision, Stage, Subject, Verdict
from tests import factories
from tests.generation.test_fingerprints import scene
from tests.generation.test_media import video
from tests.generation.test_outputs import job_of, keys, storing

MINE = "tests.generation.test_checks"


def allows(_subject: Subject) -> Verdict:
    return Verdict(Decision.ALLOW)


def asks(_subject: Subject) -> Verdict:
    return Verdict(Decision.REVIEW, "Not sure.", "doubt")


def blocks(_subject: Subject) -> Verdict:
    return Verdict(Decision.BLOCK, "Not here.", "house")


def raises(subject: Subject) -> Verdict:
    raise RuntimeError(subject.text)


def hangs(_subject: Subject) -> Verdict:
    time.sleep(3)
    return Verdict(Decision.ALLOW)


def babbles(_subject: Subject) -> Any:
    return {"decision": "allow"}


@pytest.fixture
def using(settings: Settings) -> Callable[..., None]:
    def use(*names: str) -> None:
        settings.CONTENT_CHECKS = [f"{MINE}.{name}" for name in names]

    return use


def subject(text: str) -> Subject:
    return Subject(stage=Stage.PROMPT, person_id=1, text=text)


@pytest.mark.parametrize("text", [
    "a naked child", "Nude TEENS at the beach", "s e x with a minor", "n4ked k1ds", "násty nüde lolita", "lolicon",
    "undress her slowly", "Make  her\nnaked", "nudify", "a man rapes a woman", "NACKTES KIND",
])  # fmt: skip
def test_what_is_never_made_is_blocked(text: str) -> None:
    assert content_rules.word_rule(subject(text)).decision == Decision.BLOCK


@pytest.mark.parametrize("text", [
    "a child plays in the sand", "slow zoom in", "the sextant of a ship", "an analysis of grapes", "Essex at dawn",
    "she undressed the salad", "the baby smiles", "a kind woman in a sexy dress", "a sexy baby blue car",
    "a stripped pine table", "children read comic strips",
])  # fmt: skip
def test_harmless_words_are_left_alone(text: str) -> None:
    assert content_rules.word_rule(subject(text)).decision == Decision.ALLOW


def test_a_nude_is_looked_at_by_staff() -> None:
    assert content_rules.word_rule(subject("a nude statue")).decision == Decision.REVIEW


def test_an_operator_adds_words_and_a_sentence_of_their_own(settings: Settings) -> None:
    row = {"name": "house", "decision": "block", "groups": [["gnome*"]], "message": "No gnomes."}
    settings.CONTENT_WORDS = json.dumps([row])

    assert content_rules.word_rule(subject("two gnomes dance")) == Verdict(Decision.BLOCK, "No gnomes.", "house")


@pytest.mark.parametrize("words", ["{", '[{"name": "x"}]', '[{"name": "x", "decision": "maybe", "groups": [["a"]]}]'])
def test_words_that_cannot_be_used_block_and_the_site_is_not_ready(
    person: User, settings: Settings, words: str
) -> None:
    settings.CONTENT_WORDS = words

    assert trouble() == "CONTENT_WORDS is not in the form of content_words.json."
    with pytest.raises(PromptBlocked):
        checks.check_prompt(person=person, prompt="slow zoom in")


@pytest.mark.parametrize("bad", ["raises", "hangs", "babbles", "is_nowhere"])
def test_a_check_that_fails_blocks(
    person: User, settings: Settings, using: Callable[..., None], bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CONTENT_CHECK_SECONDS = 0.2
    using("allows", bad)
    with pytest.raises(PromptBlocked, match="out of order"):
        checks.check_prompt(person=person, prompt="a secret wish")

    assert AuditEntry.objects.get().details == {"category": "check_failed"}
    assert "secret wish" not in caplog.text


@pytest.mark.parametrize(("names", "decision"), [
    (("allows",), Decision.ALLOW), (("allows", "asks"), Decision.REVIEW), (("asks", "allows"), Decision.REVIEW),
    ((), Decision.ALLOW),
])  # fmt: skip
def test_the_strictest_answer_counts(
    person: User, using: Callable[..., None], names: tuple[str, ...], decision: Decision
) -> None:
    using(*names)

    assert checks.check_prompt(person=person, prompt="in").decision == decision


def test_block_is_stricter_than_review(person: User, using: Callable[..., None]) -> None:
    using("blocks", "asks")
    with pytest.raises(PromptBlocked, match="Not here"):
        checks.check_prompt(person=person, prompt="in")


@pytest.mark.parametrize("more", [{}, {"rule": "cheapest"}])
def test_a_blocked_prompt_is_a_422_that_changes_nothing_but_the_audit(
    api: APIClient, person: User, more: dict[str, str]
) -> None:
    image = factories.source_image(person)
    wish = {"image_id": str(image.pk), "prompt": "a naked child"} | more
    answer = api.post("/api/jobs", wish, format="json", headers={"Idempotency-Key": "k"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "prompt_blocked")
    assert not VideoJob.objects.exists()
    assert not IdempotencyKey.objects.filter(status_code__isnull=False).exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.details) == (
        "prompt_blocked",
        f"person:{person.pk}",
        {"category": "minors"},
    )


def test_one_blocked_prompt_blocks_its_whole_batch(person: User) -> None:
    image = factories.source_image(person)
    wishes = [JobRequest(prompt=words, image=image) for words in ("zoom in", "a naked child")]
    with pytest.raises(PromptBlocked):
        batches.submit_batch(owner=person, requests=wishes)

    assert (VideoJob.objects.count(), AuditEntry.objects.count()) == (0, 1)


def ended(person: User, **values: Any) -> VideoJob:
    why = {"status": Status.FAILED, "error_code": "x", "error_message": "It broke."}
    return factories.job(person, **why | values)


def test_a_prompt_that_is_blocked_by_now_is_not_made_again_and_the_audit_says_so(
    api: APIClient, person: User, using: Callable[..., None]
) -> None:
    job = ended(person)
    using("blocks")
    answer = api.post(f"/api/jobs/{job.pk}/retry", {}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "prompt_blocked")
    assert (VideoJob.objects.count(), AuditEntry.objects.get().action) == (1, "prompt_blocked")


def test_of_a_batch_nothing_is_made_again_when_one_prompt_is_blocked_by_now(person: User) -> None:
    batch = Batch.objects.create(owner=person)
    for prompt in ("zoom in", "a naked child"):
        ended(person, batch=batch, prompt=prompt)
    with pytest.raises(PromptBlocked):
        batches.retry_failed(batch=batch)

    assert (VideoJob.objects.count(), AuditEntry.objects.get().action) == (2, "prompt_blocked")


def test_a_prompt_to_be_reviewed_is_made_and_staff_are_asked(api: APIClient, person: User) -> None:
    image = factories.source_image(person)
    api.post("/api/jobs", {"image_id": str(image.pk), "prompt": "a nude statue"}, format="json")

    report = Report.objects.get()
    assert (report.kind, report.job, report.state) == ("check", VideoJob.objects.get(), "open")


def test_a_blocked_picture_is_not_kept(person: User, using: Callable[..., None]) -> None:
    using("blocks")
    with pytest.raises(PictureRefused, match="Not here"):
        store_picture(owner=person, file=io.BytesIO(factories.png()))

    assert not SourceImage.objects.exists()
    assert AuditEntry.objects.get().action == "picture_blocked"


def test_a_picture_to_be_reviewed_is_kept_and_staff_are_asked(person: User, using: Callable[..., None]) -> None:
    using("asks")
    image = store_picture(owner=person, file=io.BytesIO(factories.png()))

    assert Report.objects.get().address == f"picture:{image.pk}"


def test_a_picture_that_was_taken_down_is_not_taken_again(person: User) -> None:
    image = store_picture(owner=person, file=io.BytesIO(factories.png()))
    Blocked.objects.create(sha256=image.sha256)
    image.delete()
    with pytest.raises(PictureRefused) as refused:
        store_picture(owner=person, file=io.BytesIO(factories.png()))

    assert refused.value.code == "picture_blocked"


def test_a_blocked_video_fails_and_leaves_no_file(person: User, using: Callable[..., None], tmp_path: Path) -> None:
    using("blocks")
    attempt = storing(person, spooled=video(tmp_path / "v.mp4").read_bytes())
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    assert (job.status, job.error_code, job.error_message) == (Status.FAILED, "output_blocked", "Not here.")
    assert (float(job.cost_usd), len(keys())) == (0.0, 0)
    assert AuditEntry.objects.get().subject == f"job:{job.pk}"


def test_a_video_that_looks_like_one_taken_down_is_blocked(person: User, tmp_path: Path) -> None:
    from generation.services.media import check_video

    path = scene(tmp_path / "v.mp4")
    Blocked.objects.create(sha256="0" * 64, looks=check_video(path).looks)
    attempt = storing(person, spooled=path.read_bytes())
    other = storing(person, spooled=scene(tmp_path / "other.mp4", seed=2).read_bytes())
    for one in (attempt, other):
        store(attempt_id=str(one.pk))

    assert job_of(attempt).error_code == "output_blocked"
    assert job_of(other).status == Status.SUCCEEDED


def test_a_video_to_be_reviewed_succeeds_and_staff_are_asked(
    person: User, using: Callable[..., None], tmp_path: Path
) -> None:
    using("asks")
    attempt = storing(person, spooled=video(tmp_path / "v.mp4").read_bytes())
    store(attempt_id=str(attempt.pk))

    assert job_of(attempt).status == Status.SUCCEEDED
    assert Report.objects.get().job == job_of(attempt)


def test_a_slow_check_of_a_video_is_held_by_the_caller(person: User, using: Callable[..., None]) -> None:
    using("blocks")
    held: list[str] = []

    def hold(act: Callable[[], Verdict]) -> Verdict:
        held.append("held")
        return act()

    with pytest.raises(OutputBlocked):
        checks.check_output(job=factories.job(person), path=Path("x"), sha256="1", looks=[], hold=hold)
    assert held == ["held"]


def test_the_create_page_says_why_a_prompt_is_refused(client: Client, person: User) -> None:
    client.force_login(person)
    image = factories.source_image(person)
    model = factories.preview_model()
    values = {"prompt": "a naked child", "image_id": str(image.pk), "model": model.slug, "rights": "on"}
    answer = client.post("/", values)

    assert answer.status_code == 422
    assert "never made here" in answer.content.decode()
