"""Batches as a program sees them, and what it can make of a finished video."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from generation.models import Batch, Status, VideoJob
from gpu.models import LedgerEntry
from gpu.services import config
from tests import factories
from tests.generation.choosing_rows import cloud_model


def body(person: User, **values: Any) -> dict[str, Any]:
    pictures = [str(factories.source_image(person).pk) for _ in range(2)]
    return {"image_ids": pictures, "prompts": ["pan left", "zoom in"], "model": "motion-preview"} | values


def ask(api: APIClient, path: str, values: dict[str, Any], **headers: str) -> Any:
    return api.post(path, values, format="json", headers=headers)


def test_a_batch_is_every_picture_with_every_prompt_in_variations(api: APIClient, person: User) -> None:
    answer = ask(api, "/api/batches", body(person, variations=2, seed=10, num_frames=33, name="trial"))

    found = answer.json()
    assert (answer.status_code, found["count"], found["unfinished"], found["name"]) == (201, 8, 8, "trial")
    assert found["counts"] == {status: 8 if status == "queued" else 0 for status in Status.values}
    assert api.get(answer["Location"]).json() == found
    rows = VideoJob.objects.filter(batch=found["id"]).values_list("seed", "frames").order_by("seed")
    assert list(rows) == [(10, 33)] * 4 + [(11, 33)] * 4


def test_its_jobs_are_listed_and_say_to_which_batch_they_belong(api: APIClient, person: User) -> None:
    factories.job(person)
    found = ask(api, "/api/batches", body(person)).json()

    listed = api.get(found["jobs_url"]).json()["results"]
    assert [job["batch"] for job in listed] == [found["id"]] * 4


def test_a_repeated_request_gets_the_first_answer_and_makes_no_second_batch(api: APIClient, person: User) -> None:
    values = body(person)
    first = ask(api, "/api/batches", values, **{"Idempotency-Key": "k"})
    again = ask(api, "/api/batches", values, **{"Idempotency-Key": "k"})
    other = ask(api, "/api/batches", values | {"variations": 2}, **{"Idempotency-Key": "k"})

    assert (again.status_code, again["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert again["Location"] == first["Location"]
    assert (other.status_code, VideoJob.objects.count(), Batch.objects.count()) == (422, 4, 1)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"image_ids": []}, "image_ids"),
        ({"image_ids": ["x"]}, "image_ids"),
        ({"prompts": []}, "prompts"),
        ({"prompts": [""]}, "prompts"),
        ({"prompts": ["a"] * 64}, "variations"),
        ({"variations": 9}, "variations"),
        ({"variations": "2"}, "variations"),
        ({"fps": 9999}, "fps"),
        ({"interpolate": 3}, "interpolate"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    api: APIClient, person: User, values: dict[str, Any], field: str
) -> None:
    answer = ask(api, "/api/batches", body(person, **values))

    assert (answer.status_code, answer.json()["error"]["field"].split(".")[0]) == (400, field)
    assert not Batch.objects.exists()


def test_somebody_elses_picture_and_batch_do_not_exist(api: APIClient, person: User, stranger: User) -> None:
    theirs = Batch.objects.create(owner=stranger)
    picture = str(factories.source_image(stranger).pk)

    assert ask(api, "/api/batches", body(person, image_ids=[picture])).status_code == 404
    assert ask(api, "/api/batches", body(person, model="wan-2-2", end_image_id=picture)).status_code == 404
    for path in (f"/api/batches/{theirs.pk}", f"/api/batches/{uuid4()}"):
        assert api.get(path).status_code == 404
        assert ask(api, f"{path}/cancel", {}).status_code == 404
        assert ask(api, f"{path}/retry", {}).status_code == 404


def test_an_estimate_says_the_total_and_stores_nothing(api: APIClient, person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key"
    cloud_model()
    found = ask(api, "/api/batches/estimate", body(person, model="wan-cloud", variations=3)).json()

    assert (found["count"], found["usd"], found["usd_high"], found["model"]) == (12, 4.8, 4.8, "wan-cloud")
    assert not VideoJob.objects.exists()


def test_a_cap_refuses_the_whole_batch(api: APIClient, person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key"
    cloud_model()
    row = config.load()
    row.person_daily_cap_usd = 1
    row.save()
    answer = ask(api, "/api/batches", body(person, model="wan-cloud"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "cap_reached")
    assert answer.json()["error"]["message"].startswith("2 of these 4 videos would fit; none was made.")
    assert (VideoJob.objects.count(), LedgerEntry.objects.count()) == (0, 0)


def test_a_batch_is_cancelled_and_what_failed_is_asked_for_again(api: APIClient, person: User) -> None:
    found = ask(api, "/api/batches", body(person)).json()
    broken = VideoJob.objects.filter(batch=found["id"])[0]
    VideoJob.objects.filter(pk=broken.pk).update(status=Status.FAILED, error_code="internal")

    cancelled = ask(api, f"/api/batches/{found['id']}/cancel", {}).json()
    again = ask(api, f"/api/batches/{found['id']}/retry", {})

    assert (cancelled["counts"]["cancelled"], cancelled["unfinished"]) == (3, 0)
    assert (again.status_code, again.json()["counts"]["queued"], again.json()["count"]) == (201, 1, 5)


def test_a_list_of_batches_takes_as_many_queries_for_many_as_for_one(
    api: APIClient, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def more(count: int) -> None:
        for _ in range(count):
            factories.job(person, batch=Batch.objects.create(owner=person))

    more(1)
    with django_assert_num_queries(2):
        assert len(api.get("/api/batches").json()["results"]) == 1
    more(5)
    with django_assert_num_queries(2):
        assert len(api.get("/api/batches").json()["results"]) == 6


def test_variations_of_a_job_are_a_batch(api: APIClient, person: User) -> None:
    job = factories.job(person)
    answer = ask(api, f"/api/jobs/{job.pk}/vary", {"count": 3})

    assert (answer.status_code, answer.json()["count"]) == (201, 3)
    assert VideoJob.objects.filter(parent=job, batch=answer.json()["id"]).count() == 3
    assert ask(api, f"/api/jobs/{job.pk}/vary", {"count": 9}).status_code == 400
    assert ask(api, f"/api/jobs/{uuid4()}/vary", {}).status_code == 404


def test_a_job_is_asked_for_with_an_end_picture_and_with_what_it_continues(api: APIClient, person: User) -> None:
    config.save_config(swarmui_url="https://8.8.8.8")
    first = factories.job(person, status=Status.SUCCEEDED, video_key="out/1/video.mp4")
    end = factories.source_image(person)
    values = {"image_id": str(factories.source_image(person).pk), "prompt": "the dog runs", "model": "wan-2-2"}
    extras = {"end_image_id": str(end.pk), "continues": str(first.pk), "continues_frame": 16}

    made = ask(api, "/api/jobs", values | extras).json()

    assert (made["end_image"], made["continues"], made["continues_frame"]) == (str(end.pk), str(first.pk), 16)
    assert made["interpolate"] == 1


def test_only_a_finished_video_of_ones_own_is_continued(api: APIClient, person: User, stranger: User) -> None:
    done = {"status": Status.SUCCEEDED, "video_key": "out/1/video.mp4"}
    theirs, mine, running = factories.job(stranger, **done), factories.job(person, **done), factories.job(person)
    values = {"image_id": str(factories.source_image(person).pk), "prompt": "on and on", "model": "motion-preview"}

    def field_of(**extras: Any) -> Any:
        answer = ask(api, "/api/jobs", values | extras)
        return answer.json()["error"]["field"] if answer.status_code == 400 else answer.status_code

    assert field_of(continues=str(theirs.pk)) == "continues"
    assert field_of(continues=str(running.pk)) == "continues"
    assert field_of(continues=str(uuid4())) == "continues"
    assert field_of(continues=str(mine.pk), continues_frame=17) == "continues_frame"
    assert field_of(continues_frame=1) == "continues_frame"
    assert field_of(continues=str(mine.pk), continues_frame=16) == 201
