"""Submitting, finding and ending jobs, as a program sees it."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from generation.models import Attempt, Preferences, Preset, PreviewFrame, SourceImage, Status, VideoJob
from gpu.models import GpuConfig
from tests import factories
from tests.generation.test_api_tokens import client_with_token

BODY = {"image_url": "https://example.com/cat.png", "prompt": "slow zoom in"}
DOCUMENTED = BODY | {"num_frames": 81, "steps": 4, "cfg_scale": 3.5, "seed": -1}
JOB_KEYS = {
    *("id", "status", "progress", "queue_position", "eta_s", "message", "model", "prompt", "negative_prompt"),
    *("num_frames", "fps", "steps", "cfg_scale", "width", "height", "size", "seed", "image_id", "image_url"),
    *("video_url", "poster_url", "preview_url", "cost_usd", "error", "created_at", "started_at", "finished_at"),
    *("elapsed_s", "timings", "attempts", "direct_usd", "share_usd", "cost_is_final", "reserved_usd", "estimate"),
    *("chosen_because", "parent_id", "prompt_used", "drift", "alt_text", "favourite", "tags", "cancel_at"),
    *("batch", "continues", "continues_frame", "end_image", "interpolate"),
}


def data_url(content: bytes | None = None) -> str:
    return "data:image/png;base64," + base64.b64encode(content or factories.png()).decode()


def test_a_submitted_job_is_found_under_its_location(api: APIClient) -> None:
    created = api.post("/api/jobs", BODY, format="json")
    found = api.get(created["Location"]).json()

    assert (created.status_code, set(created.json())) == (201, JOB_KEYS)
    assert found == created.json() | {"elapsed_s": found["elapsed_s"]}
    assert (found["status"], found["queue_position"], found["image_url"]) == ("queued", 1, BODY["image_url"])


def test_the_documented_call_is_accepted_and_rendered_by_swarmui(api: APIClient) -> None:
    GpuConfig.objects.create(swarmui_url="https://gpu.example.com")
    answer = api.post("/api/swarmui/generate-video", DOCUMENTED, format="json")

    assert answer.status_code == 202
    job = answer.json()
    assert (job["model"], job["num_frames"], job["steps"], job["cfg_scale"]) == ("wan-2-2", 81, 4, 3.5)
    assert job["seed"] >= 0
    assert answer["Location"] == f"http://testserver/api/jobs/{job['id']}"


def test_the_documented_call_says_when_no_swarmui_is_configured(api: APIClient) -> None:
    answer = api.post("/api/swarmui/generate-video", DOCUMENTED, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "engine_not_configured")
    assert not VideoJob.objects.exists()


def test_settings_left_out_or_null_are_the_models_own(api: APIClient) -> None:
    job = api.post("/api/jobs", BODY | {"steps": None, "seed": 7, "width": 500, "height": 300}, format="json").json()

    assert (job["model"], job["num_frames"], job["steps"], job["seed"]) == ("motion-preview", 81, 1, 7)
    assert job["size"] == "496x304"


def test_a_picture_can_be_named_by_its_id(api: APIClient, person: User) -> None:
    image = factories.source_image(person)
    job = api.post("/api/jobs", {"image_id": str(image.pk), "prompt": "pan"}, format="json").json()

    assert (job["image_id"], job["image_url"]) == (str(image.pk), None)


def test_a_picture_can_come_as_a_file_of_a_form(api: APIClient) -> None:
    form = {"image": SimpleUploadedFile("cat.png", factories.png()), "prompt": "pan", "num_frames": "9", "fps": ""}
    answer = api.post("/api/jobs", form, format="multipart")

    assert (answer.status_code, answer.json()["num_frames"], answer.json()["fps"]) == (201, 9, 16)
    assert SourceImage.objects.get().name == "cat.png"


def test_a_picture_can_come_as_a_data_url(api: APIClient) -> None:
    answer = api.post("/api/jobs", {"image": data_url(), "prompt": "pan"}, format="json")

    assert answer.status_code == 201
    assert answer.json()["image_id"] == str(SourceImage.objects.get().pk)


def test_submitting_with_a_token_takes_four_queries(
    person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_with_token(person)
    client.post("/api/jobs", BODY, format="json")
    cache.delete("video-model:motion-preview")
    with django_assert_num_queries(4):  # token with person and preferences, model, open jobs, insert
        assert client.post("/api/jobs", BODY | {"model": "motion-preview"}, format="json").status_code == 201


def test_what_a_token_s_person_has_set_holds_for_what_it_submits(person: User, stranger: User) -> None:
    Preferences.objects.create(person=stranger, queue_paused_at=timezone.now(), visible_label=True)
    client = client_with_token(person)

    def submitted() -> tuple[str, bool]:
        answer = client.post("/api/jobs", BODY, format="json").json()
        return answer["message"], VideoJob.objects.get(pk=answer["id"]).visible_label

    assert submitted() == ("Fetching the picture", False)
    Preferences.objects.create(person=person, queue_paused_at=timezone.now(), visible_label=True)
    assert submitted() == ("Your queue is paused", True)


def test_a_finished_job_has_links_and_timings(api: APIClient, person: User) -> None:
    keys = {"video_key": "out/v.mp4", "poster_key": "out/p.jpg", "loop_key": "out/l.mp4"}
    job = factories.job(person, status=Status.SUCCEEDED, attempts_made=2, finished_at=timezone.now(), **keys)
    factories.attempt(job, timings={"rendering": 1.0}, ended_at=timezone.now())
    factories.attempt(job, timings={"rendering": 2.5}, outcome=Attempt.Outcome.STORED)
    answer = api.get(f"/api/jobs/{job.pk}").json()

    assert all(
        answer[name].startswith("http://testserver/files/") for name in ("video_url", "poster_url", "preview_url")
    )
    assert (answer["timings"], answer["progress"], answer["error"]) == ({"rendering": 2.5}, 1.0, None)


def test_a_failed_job_says_why_and_has_no_links(api: APIClient, person: User) -> None:
    job = factories.job(person, status=Status.FAILED, error_code="engine_refused", error_message="No such model.")
    answer = api.get(f"/api/jobs/{job.pk}").json()

    assert answer["error"] == {"code": "engine_refused", "message": "No such model."}
    assert answer["video_url"] is None


def test_the_preview_frame_of_a_rendering_job_is_a_jpeg(api: APIClient, person: User) -> None:
    job = factories.job(person, status=Status.RENDERING)
    assert api.get(f"/api/jobs/{job.pk}/preview").status_code == 404
    PreviewFrame.objects.create(job=job, jpeg=b"\xff\xd8jpeg")

    frame = api.get(api.get(f"/api/jobs/{job.pk}").json()["preview_url"], HTTP_ACCEPT="image/*")
    assert (frame["Content-Type"], frame.content) == ("image/jpeg", b"\xff\xd8jpeg")


def test_a_list_takes_the_same_queries_however_long_it_is(
    api: APIClient, person: User, django_assert_max_num_queries: Any
) -> None:
    for status in (Status.QUEUED, Status.RENDERING, Status.STORING, Status.CANCELLED) * 5:
        factories.attempt(factories.job(person, status=status, attempts_made=1))
    with django_assert_max_num_queries(7):
        assert len(api.get("/api/jobs?limit=100").json()["results"]) == 20


def test_pages_follow_each_other_without_gaps_or_repetitions(api: APIClient, person: User) -> None:
    jobs = [str(factories.job(person).pk) for _ in range(5)]
    seen, address = [], "/api/jobs?limit=2"
    while address:
        page = api.get(address).json()
        seen += [job["id"] for job in page["results"]]
        address = page["next"]

    assert seen == jobs[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", {"failed"}),
        ("status=failed&status=cancelled", {"failed", "cancelled"}),
        ("model=wan-2-2", {"wan"}),
        ("q=DRAGON", {"dragon"}),
        ("created_before=2020-01-02T00:00:00Z", {"old"}),
        ("created_after=2020-01-02T00:00:00Z&model=motion-preview&status=queued", {"dragon"}),
        ("model=unheard-of", set()),
    ],
)
def test_jobs_are_filtered(api: APIClient, person: User, query: str, found: set[str]) -> None:
    long_ago = timezone.now().replace(year=2020, month=1, day=1, hour=0, minute=0)
    factories.job(person, negative_prompt="failed", status=Status.FAILED, error_code="x")
    factories.job(person, negative_prompt="cancelled", status=Status.CANCELLED)
    factories.job(person, negative_prompt="wan", model=factories.wan_model())
    factories.job(person, negative_prompt="dragon", prompt="a dragon wakes")
    factories.job(person, negative_prompt="old", created_at=long_ago, status=Status.STORING)

    assert {job["negative_prompt"] for job in api.get(f"/api/jobs?{query}").json()["results"]} == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=cD1ub3QtYS1kYXRl", "cursor"),
        ("status=done", "status"),
        ("created_after=yesterday", "created_after"),
        ("q=%00", "q"),
        ("q=%ff", "q"),
        ("colour=blue", "colour"),
    ],
)
def test_a_wrong_filter_is_named(api: APIClient, person: User, query: str, field: str) -> None:
    factories.job(person)
    answer = api.get(f"/api/jobs?{query}")

    assert (answer.status_code, answer.json()["error"].get("field")) == (400, field)


def test_cancelling_ends_a_job_once(api: APIClient, person: User) -> None:
    job = factories.job(person)

    assert api.post(f"/api/jobs/{job.pk}/cancel").json()["status"] == "cancelled"
    again = api.post(f"/api/jobs/{job.pk}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_over")


def test_an_ended_job_is_retried_with_the_same_seed_and_varied_with_another(api: APIClient, person: User) -> None:
    job = factories.job(person, status=Status.CANCELLED)
    same = api.post(f"/api/jobs/{job.pk}/retry")
    other = api.post(f"/api/jobs/{job.pk}/retry", {"new_seed": True}, format="json")

    assert (same.status_code, same.json()["seed"]) == (201, job.seed)
    assert other.json()["seed"] != job.seed
    assert api.get(same["Location"]).json()["id"] == same.json()["id"]


def test_an_unfinished_job_is_not_retried_with_its_own_seed(api: APIClient, person: User) -> None:
    answer = api.post(f"/api/jobs/{factories.job(person).pk}/retry", {"new_seed": False}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_over")


def test_a_deleted_job_is_gone(api: APIClient, person: User) -> None:
    job = factories.job(person)

    assert api.delete(f"/api/jobs/{job.pk}").status_code == 204
    assert api.get(f"/api/jobs/{job.pk}").status_code == 404
    assert api.get("/api/jobs").json()["results"] == []


@pytest.mark.parametrize("end", ["", "/cancel", "/retry", "/preview", "/events"])
def test_somebody_elses_job_and_a_malformed_id_are_not_found(api: APIClient, stranger: User, end: str) -> None:
    theirs = factories.job(stranger)
    method = api.post if end in ("/cancel", "/retry") else api.get
    for pk in (theirs.pk, uuid4(), "1", "%00", "not-an-id", "../jobs"):
        answer = method(f"/api/jobs/{pk}{end}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), pk
    theirs.refresh_from_db()
    assert theirs.status == Status.QUEUED
    assert api.delete(f"/api/jobs/{theirs.pk}").status_code == 404


def test_without_signing_in_there_is_nothing(db: None) -> None:
    for path in ("/api/jobs", "/api/images", "/api/models", "/api/presets", "/api/tokens", "/api/events"):
        answer = APIClient().get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_authenticated"), path


def test_an_estimate_stores_nothing(api: APIClient) -> None:
    body = {"image": data_url(), "prompt": "pan", "model": "motion-preview", "num_frames": 162}
    answer = api.post("/api/estimate", body, format="json")

    assert (answer.status_code, answer.json()["basis"]) == (200, "catalogue")
    assert answer.json()["seconds"] == pytest.approx(8.0, abs=0.2)
    assert not VideoJob.objects.exists()
    assert not SourceImage.objects.exists()


def test_an_estimate_refuses_what_a_submit_would_refuse(api: APIClient) -> None:
    answer = api.post("/api/estimate", {"model": "motion-preview", "num_frames": 9999}, format="json")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "num_frames")


def test_models_come_with_their_ranges_and_say_whether_they_can_run(api: APIClient) -> None:
    models = {row["model"]: row for row in api.get("/api/models").json()["results"]}

    assert models["motion-preview"]["available"]
    assert not models["wan-2-2"]["available"]
    assert models["wan-2-2"]["num_frames"] == {"default": 81, "min": 5, "max": 121, "step": 4}


def test_models_that_a_person_may_not_use_are_not_listed(api: APIClient) -> None:
    model = factories.preview_model()
    model.rating = "unknown"
    model.save()

    listed = {row["model"] for row in api.get("/api/models").json()["results"]}
    assert model.slug not in listed
    assert "wan-2-2" in listed
    answer = api.post("/api/jobs", BODY | {"model": model.slug}, format="json")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "model")


def test_presets_are_made_changed_and_deleted(api: APIClient) -> None:
    body = {"name": "short", "model": "wan-2-2", "values": {"num_frames": 33, "steps": 8}}
    made = api.post("/api/presets", body, format="json")
    changed = api.put(made["Location"], body | {"values": {"num_frames": 17}}, format="json").json()

    assert (made.status_code, changed["values"]) == (201, {"num_frames": 17})
    assert [row["name"] for row in api.get("/api/presets").json()["results"]] == ["short"]
    assert api.delete(made["Location"]).status_code == 204
    assert not Preset.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"values": {"num_frames": 34}}, 400, "num_frames"),
        ({"values": {"prompt": "no"}}, 400, "values.prompt"),
        ({"model": "unheard-of"}, 400, "model"),
        ({"name": "taken"}, 409, "name"),
        ({"name": " "}, 400, "name"),
    ],
)
def test_a_preset_that_does_not_fit_is_refused(api: APIClient, change: dict[str, Any], status: int, field: str) -> None:
    body = {"model": "wan-2-2", "values": {}}
    api.post("/api/presets", body | {"name": "taken"}, format="json")
    answer = api.post("/api/presets", body | {"name": "new"} | change, format="json")

    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert Preset.objects.count() == 1


def test_somebody_elses_preset_is_not_found(api: APIClient, stranger: User) -> None:
    theirs = Preset.objects.create(owner=stranger, name="x", model=factories.wan_model(), values={})

    assert api.get(f"/api/presets/{theirs.pk}").status_code == 404
    assert api.delete(f"/api/presets/{theirs.pk}").status_code == 404


def test_times_are_in_utc_and_elapsed_time_is_counted(api: APIClient, person: User) -> None:
    started = timezone.now() - timedelta(seconds=90)
    job = factories.job(
        person, created_at=started, finished_at=started + timedelta(seconds=60), status=Status.CANCELLED
    )
    answer = api.get(f"/api/jobs/{job.pk}").json()

    assert answer["created_at"].endswith("Z")
    assert answer["elapsed_s"] == 60
