"""The panel beside a video, the list of clips and the page of one, without scripts and with htmx."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from generation.clip_queries import clips_of, lengths_of
from generation.models import Attempt, Clip, ClipPart, VideoJob
from generation.pages.clips import clips_context
from generation.services.clip_storing import GONE, MADE_IN_VAIN, REASONS
from generation.services.clips import Part, make_clip, store_clip
from tests import factories
from tests.generation.numbered import film, finished, grey_of

HTMX = {"hx-request": "true"}


@pytest.fixture(scope="module")
def content() -> bytes:
    return film([grey_of(number) for number in range(10)])


@pytest.fixture
def job(person: User, content: bytes) -> VideoJob:
    return finished(person, content, prompt="a red fox runs")


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def made(job: VideoJob, kind: str = "trim") -> Clip:
    clip = make_clip(owner=job.owner, kind=kind, parts=[Part(job)])
    store_clip(clip_id=str(clip.pk))
    clip.refresh_from_db()
    return clip


def test_trimming_counts_frames_as_people_do(page: Client, job: VideoJob) -> None:
    answer = page.post(f"/jobs/{job.pk}/clips", {"kind": "trim", "first": 3, "last": 6})

    part = ClipPart.objects.get()
    assert answer.headers["Location"] == f"/jobs/{job.pk}#clips"
    assert (part.clip.kind, part.start_frame, part.end_frame) == ("trim", 2, 6)


@pytest.mark.parametrize("kind", ["boomerang", "gif", "webp", "smooth", "enlarge"])
def test_every_other_way_is_one_press(page: Client, job: VideoJob, kind: str) -> None:
    page.post(f"/jobs/{job.pk}/clips", {"kind": kind})

    assert Clip.objects.get().kind == kind


@pytest.mark.parametrize("values", [
    {"kind": "trim", "first": 6, "last": 3},
    {"kind": "trim", "first": 1, "last": 11},
    {"kind": "trim", "first": "x"},
    {"kind": "join"},
    {},
])  # fmt: skip
def test_what_cannot_be_made_is_said_and_makes_nothing(page: Client, job: VideoJob, values: dict[str, object]) -> None:
    with_script = page.post(f"/jobs/{job.pk}/clips", values, headers=HTMX)
    without = page.post(f"/jobs/{job.pk}/clips", values, follow=True)

    assert with_script.status_code == 422
    assert 'role="alert"' in with_script.content.decode()
    assert 'class="note error"' in without.content.decode()
    assert not Clip.objects.exists()


def test_the_list_asks_again_only_while_something_is_made(page: Client, job: VideoJob) -> None:
    text = page.post(f"/jobs/{job.pk}/clips", {"kind": "gif"}, headers=HTMX).content.decode()
    again = text.split('hx-get="')[1].split('"')[0]
    assert page.get(again, headers=HTMX).status_code == 204
    store_clip(clip_id=str(Clip.objects.get().pk))
    done = page.get(again, headers=HTMX).content.decode()

    assert "hx-trigger" not in done
    assert "10 frames, 1.2 s, 96" in done
    assert "Download" in done


def test_the_panel_offers_nothing_for_a_video_that_is_not_there(person: User, job: VideoJob) -> None:
    job.hidden_at = timezone.now()

    assert clips_context(job) == {}
    assert clips_context(factories.job(person)) == {}


def test_clips_of_a_video_are_those_made_of_it_and_still_there(person: User, job: VideoJob) -> None:
    mine, deleted, of_another = (Clip.objects.create(owner=person, kind="trim") for _ in range(3))
    other = factories.job(person, status="succeeded", video_key="out/o.mp4")
    for clip, source in ((mine, job), (deleted, job), (of_another, other)):
        ClipPart.objects.create(clip=clip, job=source, position=0)
    Clip.objects.filter(pk=deleted.pk).update(deleted_at=timezone.now())

    assert list(clips_of(job)) == [mine]


def test_a_video_is_as_long_as_its_stored_file_and_else_as_was_asked_for(person: User) -> None:
    done = {"status": "succeeded", "video_key": "out/v.mp4", "frames": 81, "fps": 16}
    looked_at, not_looked_at = factories.job(person, **done), factories.job(person, **done)
    ended = timezone.now()
    stored = {"outcome": Attempt.Outcome.STORED, "engine_metadata": {"stored": {"frames": 80, "fps": 24.0}}}
    factories.attempt(looked_at, number=1, ended_at=ended, **stored)
    broken = {"outcome": Attempt.Outcome.FAILED, "engine_metadata": {"stored": {"frames": 7, "fps": 5.0}}}
    factories.attempt(looked_at, number=2, ended_at=ended, **broken)
    factories.attempt(not_looked_at, ended_at=ended, outcome=Attempt.Outcome.STORED)

    found = lengths_of([looked_at, not_looked_at])
    assert [(one.frames, float(one.fps)) for one in found.values()] == [(80, 24.0), (81, 16.0)]


@pytest.mark.parametrize("count", [1, 8])
def test_the_panel_takes_two_queries_however_many_clips_there_are(job: VideoJob, count: int) -> None:
    for number in range(count):
        clip = Clip.objects.create(owner=job.owner, kind="trim", created_at=timezone.now() + timedelta(minutes=number))
        ClipPart.objects.create(clip=clip, job=job, position=0)
    with CaptureQueriesContext(connection) as queries:
        assert len(clips_context(job)["clips"]) == count
    assert len(queries) == 2


def test_a_finished_video_can_be_played_and_downloaded_under_a_telling_name(page: Client, job: VideoJob) -> None:
    clip = made(job)
    text = page.get(f"/clips/{clip.pk}").content.decode()
    file = page.get(f"/clips/{clip.pk}/file?download=1", follow=True)

    assert f'src="/clips/{clip.pk}/file"' in text
    assert "a red fox runs" in text
    assert file.headers["Content-Type"] == "video/mp4"
    assert 'filename="a-red-fox-runs-trim.mp4"' in file.headers["Content-Disposition"]
    assert page.get(f"/clips/{clip.pk}/poster", follow=True).headers["Content-Type"] == "image/jpeg"
    assert page.get(f"/clips/{clip.pk}/else").status_code == 404


def test_a_gif_is_shown_as_a_picture_with_its_type(page: Client, job: VideoJob) -> None:
    clip = made(job, "gif")

    assert '<img class="clip-moving"' in page.get(f"/clips/{clip.pk}").content.decode()
    assert page.get(f"/clips/{clip.pk}/file", follow=True).headers["Content-Type"] == "image/gif"


@pytest.mark.parametrize(("state", "words"), [
    ("queued", "Waits for its turn"), ("making", "In the making"), ("failed", MADE_IN_VAIN),
])  # fmt: skip
def test_every_state_has_words(page: Client, job: VideoJob, state: str, words: str) -> None:
    clip = make_clip(owner=job.owner, kind="trim", parts=[Part(job)])
    Clip.objects.update(state=state, error_code="making_failed", error_message=MADE_IN_VAIN)

    for path in (f"/clips/{clip.pk}", "/clips"):
        assert words in page.get(path).content.decode()
    assert page.get(f"/clips/{clip.pk}/file").status_code == 404


def test_what_was_taken_down_is_not_shown_but_said(page: Client, job: VideoJob) -> None:
    clip = made(job)
    Clip.objects.update(hidden_at=timezone.now())

    for path in (f"/clips/{clip.pk}", "/clips"):
        text = page.get(path).content.decode()
        assert "It was taken down" in text
        assert "/file" not in text
    assert page.get(f"/clips/{clip.pk}/file").status_code == 404


def test_deleting_asks_first(page: Client, job: VideoJob) -> None:
    clip = made(job)
    question = page.post(f"/clips/{clip.pk}/delete")
    assert (question.status_code, Clip.objects.get().deleted_at) == (200, None)
    answer = page.post(f"/clips/{clip.pk}/delete", {"confirmed": "1"})

    assert answer.headers["Location"] == f"/jobs/{job.pk}#clips"
    assert page.get(f"/clips/{clip.pk}").status_code == 404
    assert "There are no clips yet." in page.get("/clips").content.decode()


def test_a_clip_outlives_its_video(page: Client, job: VideoJob) -> None:
    clip = made(job)
    VideoJob.objects.all().delete()

    assert page.get(f"/clips/{clip.pk}").status_code == 200
    assert page.get(f"/clips/{clip.pk}/file?download=1", follow=True).status_code == 200
    assert page.post(f"/clips/{clip.pk}/delete", {"confirmed": "1"}).headers["Location"] == "/clips"


@pytest.mark.parametrize("count", [1, 9])
def test_the_list_of_clips_takes_the_same_queries_for_any_number(page: Client, person: User, count: int) -> None:
    Clip.objects.bulk_create(Clip(owner=person, kind="trim") for _ in range(count))
    page.get("/clips")
    with CaptureQueriesContext(connection) as queries:
        page.get("/clips")
    ours = [query for query in queries if "generation_clip" in query["sql"]]
    assert len(ours) == 2


def test_a_long_list_has_pages(page: Client, person: User) -> None:
    Clip.objects.bulk_create(Clip(owner=person, kind="trim") for _ in range(30))

    first, second = (page.get(f"/clips?page={number}").content.decode() for number in (1, 2))
    assert (first.count("data-clip="), second.count("data-clip=")) == (24, 6)
    assert "Older" in first
    assert "Newer" in second


def test_clips_of_others_are_not_there(page: Client, stranger: User, content: bytes) -> None:
    job = finished(stranger, content)
    clip = Clip.objects.create(owner=stranger, kind="trim", state="done", key="clip/x.mp4")
    for pk in (clip.pk, uuid.uuid4()):
        assert page.get(f"/clips/{pk}").status_code == 404
        assert page.get(f"/clips/{pk}/file").status_code == 404
        assert page.post(f"/clips/{pk}/delete", {"confirmed": "1"}).status_code == 404
    assert page.get(f"/jobs/{job.pk}/clips").status_code == 404
    assert page.post(f"/jobs/{job.pk}/clips", {"kind": "gif"}).status_code == 404


def test_every_reason_is_a_whole_sentence_in_the_readers_language() -> None:
    with translation.override("en"):
        for sentence in (*REASONS.values(), GONE, MADE_IN_VAIN):
            assert sentence.endswith(".")
            assert "%" not in sentence


def test_the_operator_sees_clips_and_changes_none(client: Client, staff: User, job: VideoJob) -> None:
    clip = made(job)
    client.force_login(staff)
    change = client.get(f"/admin/generation/clip/{clip.pk}/change/")

    assert clip.sha256 in change.content.decode()
    assert client.get("/admin/generation/clip/").status_code == 200
    assert client.post(f"/admin/generation/clip/{clip.pk}/change/", {"state": "failed"}).status_code == 403
    assert client.post(f"/admin/generation/clip/{clip.pk}/delete/", {"post": "yes"}).status_code == 403
