"""Clips, frames and storylines for programs."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from generation.models import Clip, ClipPart, SourceImage, Status, VideoJob
from generation.services.clips import Part, make_clip, store_clip
from tests import factories
from tests.generation.numbered import film, finished, grey_of

NOBODY = uuid.UUID(int=7)


@pytest.fixture(scope="module")
def content() -> bytes:
    return film([grey_of(number) for number in range(10)])


@pytest.fixture
def job(person: User, content: bytes) -> VideoJob:
    return finished(person, content)


def ask(job: VideoJob, **values: Any) -> dict[str, Any]:
    return {"kind": "trim", "parts": [{"job_id": str(job.pk), "start_frame": 2, "end_frame": 5}]} | values


def test_a_clip_is_asked_for_made_looked_at_and_deleted(api: APIClient, job: VideoJob) -> None:
    answer = api.post("/api/clips", ask(job), format="json")
    assert (answer.status_code, answer.headers["Location"]) == (201, f"http://testserver/api/clips/{answer.data['id']}")
    assert (answer.data["state"], answer.data["url"], answer.data["parts"]) == ("queued", None, ask(job)["parts"])
    store_clip(clip_id=answer.data["id"])

    done = api.get(answer.headers["Location"]).data
    assert (done["state"], done["frames"], done["options"], done["error"]) == ("done", 3, {}, None)
    assert api.get(done["url"]).status_code == 200
    assert api.delete(answer.headers["Location"]).status_code == 204
    assert api.get(answer.headers["Location"]).status_code == 404


def test_a_failed_clip_says_why(api: APIClient, job: VideoJob) -> None:
    clip = make_clip(owner=job.owner, kind="trim", parts=[Part(job)])
    VideoJob.objects.update(deleted_at=timezone.now())
    store_clip(clip_id=str(clip.pk))

    answer = api.get(f"/api/clips/{clip.pk}").data
    assert (answer["error"]["code"], answer["url"], answer["parts"]) == ("source_gone", None, [])


def test_a_hidden_clip_has_no_address(api: APIClient, job: VideoJob) -> None:
    clip = make_clip(owner=job.owner, kind="trim", parts=[Part(job)])
    store_clip(clip_id=str(clip.pk))
    Clip.objects.update(hidden_at=timezone.now())

    answer = api.get(f"/api/clips/{clip.pk}").data
    assert (answer["url"], answer["poster_url"]) == (None, None)


@pytest.mark.parametrize(("values", "status", "field"), [
    ({"kind": "square"}, 400, "kind"),
    ({"parts": []}, 400, "parts"),
    ({"loops": 2}, 400, "loops"),
    ({"kind": "boomerang", "loops": 99}, 400, "loops"),
    ({"kind": "boomerang", "loops": "2"}, 400, "loops"),
    ({"speed": 2}, 400, "speed"),
    ({"kind": "join"}, 400, "parts"),
])  # fmt: skip
def test_bad_wishes_are_refused_by_field_and_make_nothing(
    api: APIClient, job: VideoJob, values: dict[str, Any], status: int, field: str
) -> None:
    answer = api.post("/api/clips", ask(job, **values), format="json")

    assert (answer.status_code, answer.json()["error"]["field"].split(".")[0]) == (status, field)
    assert not Clip.objects.exists()


def test_videos_of_others_and_unfinished_ones_make_no_clip(api: APIClient, stranger: User, content: bytes) -> None:
    for wanted in (finished(stranger, content), factories.job(User.objects.get(username="ada"))):
        answer = api.post("/api/clips", ask(wanted), format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_video")


def test_clips_of_others_are_not_there(api: APIClient, stranger: User) -> None:
    clip = Clip.objects.create(owner=stranger, kind="trim")
    for pk in (clip.pk, NOBODY):
        assert api.get(f"/api/clips/{pk}").status_code == 404
        assert api.delete(f"/api/clips/{pk}").status_code == 404
    assert api.get("/api/clips").data["results"] == []


@pytest.mark.parametrize("count", [1, 9])
def test_the_list_takes_as_many_queries_for_nine_as_for_one(api: APIClient, job: VideoJob, count: int) -> None:
    for _ in range(count):
        clip = Clip.objects.create(owner=job.owner, kind="trim")
        ClipPart.objects.create(clip=clip, job=job, position=0)
    with CaptureQueriesContext(connection) as queries:
        assert len(api.get("/api/clips").data["results"]) == count
    assert len(queries) == 2


class TestFrames:
    def test_a_frame_becomes_a_picture(self, api: APIClient, job: VideoJob) -> None:
        answer = api.post(f"/api/jobs/{job.pk}/frame", {"frame": 4}, format="json")

        image = SourceImage.objects.get(from_job=job)
        assert (answer.status_code, answer.data["id"], image.from_frame) == (201, str(image.pk), 4)
        assert answer.headers["Location"].endswith(f"/api/images/{image.pk}")

    def test_without_a_number_it_is_the_last(self, api: APIClient, job: VideoJob) -> None:
        api.post(f"/api/jobs/{job.pk}/frame", {}, format="json")

        assert SourceImage.objects.get(from_job=job).from_frame == 9

    @pytest.mark.parametrize(("values", "status"), [
        ({"frame": 10}, 400), ({"frame": -1}, 400), ({"frame": "4"}, 400), ({"number": 4}, 400),
    ])  # fmt: skip
    def test_bad_numbers_are_refused(self, api: APIClient, job: VideoJob, values: dict[str, Any], status: int) -> None:
        assert api.post(f"/api/jobs/{job.pk}/frame", values, format="json").status_code == status
        assert not SourceImage.objects.filter(from_job=job).exists()

    def test_without_a_finished_video_there_is_none(self, api: APIClient, person: User) -> None:
        answer = api.post(f"/api/jobs/{factories.job(person).pk}/frame", {}, format="json")

        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_video")

    def test_videos_of_others_are_not_there(self, api: APIClient, stranger: User, content: bytes) -> None:
        assert api.post(f"/api/jobs/{finished(stranger, content).pk}/frame", {}, format="json").status_code == 404


class TestStoryline:
    def test_the_chain_is_told_with_its_takes_and_cuts(self, api: APIClient, person: User, job: VideoJob) -> None:
        done = {"status": Status.SUCCEEDED, "video_key": "out/x.mp4"}
        second = factories.job(person, continues=job, continues_frame=6, **done)
        third = factories.job(person, continues=second)
        take = factories.job(person, continues=job, continues_frame=6, **done)
        answer = api.get(f"/api/jobs/{take.pk}/storyline").data

        links = answer["links"]
        assert [link["job_id"] for link in links] == [str(job.pk), str(take.pk), str(third.pk)]
        assert [link["cut_frame"] for link in links] == [6, None, None]
        assert links[1]["take_ids"] == [str(second.pk), str(take.pk)]
        assert [link["from_earlier_take"] for link in links] == [False, False, True]
        assert answer["can_be_joined"]

    def test_chains_of_others_are_not_there(self, api: APIClient, stranger: User) -> None:
        assert api.get(f"/api/jobs/{factories.job(stranger).pk}/storyline").status_code == 404
