"""Before the click: estimates with options and warnings, and submits that are only tried."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.models import IdempotencyKey, Notice, SourceImage, VideoJob, VideoModel
from gpu.models import GpuConfig, LedgerEntry, Purse
from gpu.services import policy
from tests import factories
from tests.generation.test_api_jobs import BODY, data_url

FORETOLD = {
    *("seconds", "seconds_low", "seconds_high", "wait_seconds", "usd", "usd_low", "usd_high"),
    *("basis", "usd_basis", "samples", "paid_for"),
}
TURBO = {"model": "fal-wan-2-2-turbo", "size": "832x480"}


@pytest.fixture(autouse=True)
def cloud(settings: Settings, db: None) -> None:
    settings.FAL_KEY = "id:secret"


def estimate(api: APIClient, **body: Any) -> dict[str, Any]:
    answer = api.post("/api/estimate", body, format="json")
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def dry(api: APIClient, path: str = "/api/jobs", **body: Any) -> Any:
    return api.post(path, BODY | {"dry_run": True} | body, format="json")


def nothing_is_stored() -> bool:
    rows = (VideoJob, SourceImage, IdempotencyKey, LedgerEntry, Notice)
    spent = Purse.objects.exclude(reserved_usd=0).exists()
    return not spent and not any(row.objects.exists() for row in rows)


class TestEstimate:
    def test_everything_may_be_left_out(self, api: APIClient) -> None:
        found = estimate(api)

        assert set(found) == FORETOLD | {"model", "chosen_because", "options", "warnings"}
        assert (found["model"], found["usd"], found["warnings"]) == ("motion-preview", 0, [])
        assert "cloud" in found["chosen_because"]

    def test_all_models_are_offered_with_when_and_for_how_much(self, api: APIClient) -> None:
        options = {row["model"]: row for row in estimate(api, model="motion-preview", size="832x480")["options"]}

        assert set(options) == set(VideoModel.objects.values_list("slug", flat=True))
        assert (options["wan-2-2"]["ready"], options["fal-wan-2-2-turbo"]["ready"]) == ("off", "now")
        assert options["fal-wan-2-2-turbo"]["usd_high"] == 0.05

    def test_a_cold_gpu_and_the_cloud_stand_side_by_side(self, api: APIClient, settings: Settings) -> None:
        settings.VASTAI_API_KEY = "key"
        policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})
        found = estimate(api, model="wan-2-2", size="832x480")

        assert found["wait_seconds"] == 480
        assert 0 < found["usd_low"] < found["usd"] < found["usd_high"]
        cold = next(row for row in found["warnings"] if row["code"] == "cold")
        assert (cold["suggestion"], cold["field"]) == ({"model": "fal-wan-2-2-turbo"}, "model")

    def test_a_number_of_frames_between_two_is_a_warning_with_the_nearest(self, api: APIClient) -> None:
        GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")
        found = estimate(api, model="wan-2-2", num_frames=82)

        assert found["warnings"][0]["suggestion"] == {"num_frames": 81}
        assert dry(api, model="wan-2-2", num_frames=82).json()["error"]["field"] == "num_frames"

    def test_a_kept_picture_is_judged(self, api: APIClient, person: User) -> None:
        image = factories.source_image(person, width=100, height=1000)
        found = estimate(api, model="motion-preview", image_id=str(image.pk), size="832x480")

        assert {row["code"] for row in found["warnings"]} == {"strong_crop", "small_picture"}

    def test_the_rule_chooses_here_as_it_does_at_the_submit(self, api: APIClient) -> None:
        wish = {"rule": "cheapest", "family": "wan-2-2", "size": "832x480"}
        found = estimate(api, **wish)

        assert found["model"] == api.post("/api/jobs", BODY | wish, format="json").json()["model"] == TURBO["model"]

    def test_what_is_stored_with_the_job_is_what_was_shown(self, api: APIClient) -> None:
        shown = estimate(api, **TURBO)
        job = api.post("/api/jobs", BODY | TURBO, format="json").json()

        assert job["estimate"] == {name: shown[name] for name in FORETOLD}
        assert (job["reserved_usd"], job["cost_usd"], job["cost_is_final"]) == (0.05, 0, False)


class TestDryRun:
    @pytest.mark.parametrize("path", ["/api/jobs", "/api/swarmui/generate-video"])
    def test_everything_is_answered_and_nothing_is_stored(self, api: APIClient, path: str) -> None:
        asked = BODY | TURBO | {"dry_run": True}
        answer = api.post(path, asked, format="json", HTTP_IDEMPOTENCY_KEY="key")
        body = answer.json()

        assert answer.status_code == 200, body
        assert (body["dry_run"], body["estimate"]["usd"], body["would"]["reserved_usd"]) == (True, 0.05, 0.05)
        assert (body["would"]["model"], body["would"]["num_frames"], body["would"]["seed"]) == (
            TURBO["model"],
            81,
            None,
        )
        assert nothing_is_stored()

    def test_the_same_key_still_submits_afterwards(self, api: APIClient) -> None:
        key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "key"}
        api.post("/api/jobs", BODY | {"dry_run": True}, format="json", **key)

        assert api.post("/api/jobs", BODY | {"dry_run": False}, format="json", **key).status_code == 201
        assert VideoJob.objects.count() == 1

    def test_a_picture_in_the_body_is_decoded_judged_and_not_kept(self, api: APIClient) -> None:
        picture: dict[str, Any] = {"image_url": None, "image": data_url(factories.png(2000, 200))}
        body = dry(api, **picture, **TURBO).json()

        assert {"strong_crop", "small_picture"} <= {row["code"] for row in body["warnings"]}
        assert (body["would"]["width"], body["would"]["height"]) == (832, 480)
        assert nothing_is_stored()
        assert not default_storage.exists("in")

    def test_a_file_in_a_form_is_tried_as_well(self, api: APIClient) -> None:
        form = {"image": SimpleUploadedFile("cat.png", factories.png()), "prompt": "pan to the left", "dry_run": "true"}
        answer = api.post("/api/jobs", form, format="multipart")

        assert (answer.status_code, answer.json()["would"]["model"]) == (200, "motion-preview")
        assert nothing_is_stored()

    @pytest.mark.parametrize(
        "image",
        [
            "data:image/png;base64,!!!!",
            "data:image/png;base64,QUJD",
            "data:,",
            "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
            "data:image/png;base64," + "A" * 100,
            "data:text/html;base64,QUJD",
        ],
    )
    def test_a_bad_picture_is_refused_as_at_the_submit(self, api: APIClient, image: str) -> None:
        picture: dict[str, Any] = {"image_url": None, "image": image}
        tried = dry(api, **picture)
        meant = api.post("/api/jobs", BODY | picture, format="json")

        assert (tried.status_code, tried.json()) == (meant.status_code, meant.json())
        assert tried.json()["error"]["field"] == "image"

    def test_a_cap_refuses_a_dry_run_with_the_same_402(self, api: APIClient) -> None:
        GpuConfig.objects.create(pk=1, person_daily_cap_usd=Decimal("0.04"))
        tried = dry(api, **TURBO)
        meant = api.post("/api/jobs", BODY | TURBO, format="json")

        assert (tried.status_code, tried.json()["error"]["code"]) == (402, "cap_reached")
        assert tried.json() == meant.json()
        assert nothing_is_stored()

    def test_a_full_queue_refuses_a_dry_run_too(self, api: APIClient, person: User, settings: Settings) -> None:
        settings.MAX_OPEN_JOBS = 1
        factories.job(person)

        assert dry(api).json()["error"]["code"] == "too_many_open_jobs"

    def test_the_last_cents_may_be_tried_again_and_again(self, api: APIClient) -> None:
        GpuConfig.objects.create(pk=1, person_daily_cap_usd=Decimal("0.05"))

        assert [dry(api, **TURBO).status_code for _ in range(3)] == [200, 200, 200]
        assert api.post("/api/jobs", BODY | TURBO, format="json").status_code == 201
        assert dry(api, **TURBO).status_code == 402

    @pytest.mark.parametrize("value", ["true", "yes", 1, 0, None])
    def test_only_true_and_false_are_taken(self, api: APIClient, value: Any) -> None:
        answer = api.post("/api/jobs", BODY | {"dry_run": value}, format="json")

        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "dry_run")
        assert nothing_is_stored()


def test_models_tell_their_price_and_the_frames_they_make(api: APIClient, django_assert_max_num_queries: Any) -> None:
    row = factories.wan_model()
    for number in range(20):
        row.pk, row.slug, row.name = None, f"wan-{number}", f"Wan {number}"
        row.save()
    with django_assert_max_num_queries(12):
        models = {row["model"]: row for row in api.get("/api/models").json()["results"]}

    assert models["wan-2-2"]["price"] is None
    assert models["fal-wan-2-2-turbo"]["price"]["unit"] == "video"
    assert models["fal-wan-2-2-turbo"]["price"]["by_resolution"]["480p"] == 0.05
    assert models["fal-kling-2-5-turbo"]["frame_choices"] == [121, 241]
    assert models["fal-wan-2-2"]["family"] == models["wan-2-2"]["family"] == "wan-2-2"


def test_a_job_tells_what_it_cost_and_the_prompt_that_was_used(api: APIClient, person: User) -> None:
    job = factories.job(
        person, attempts_made=1, cost_usd=Decimal("0.03"), direct_usd=Decimal("0.01"), share_usd=Decimal("0.02")
    )
    factories.attempt(job, engine_metadata={"prompt": "slow zoom in, cinematic"}, drift=["The seed was ignored."])
    answer = api.get(f"/api/jobs/{job.pk}").json()

    assert (answer["cost_usd"], answer["direct_usd"], answer["share_usd"]) == (0.03, 0.01, 0.02)
    assert (answer["prompt_used"], answer["drift"]) == ("slow zoom in, cinematic", ["The seed was ignored."])
    assert answer["estimate"] is None
