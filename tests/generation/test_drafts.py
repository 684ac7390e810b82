"""From a draft to the final: what is kept, what it costs more, and who chooses."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.models import Preferences, Status, VideoJob
from gpu.models import GpuConfig
from tests import factories


@pytest.fixture(autouse=True)
def engines(settings: Settings, db: None) -> None:
    settings.FAL_KEY = "id:secret"
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")


@pytest.fixture
def draft(person: User) -> VideoJob:
    return factories.job(
        person, status=Status.SUCCEEDED, video_key="v", width=832, height=480, frames=81, steps=1, seed=77,
        focus_x=0.2, focus_y=0.9, prompt="she smiles", rights_version="2026-11",
    )  # fmt: skip


def finals(api: APIClient, job: VideoJob) -> dict[str, Any]:
    return {row["model"]: row for row in api.get(f"/api/jobs/{job.pk}/final").json()["results"]}


def make(api: APIClient, job: VideoJob, **body: Any) -> Any:
    return api.post(f"/api/jobs/{job.pk}/final", body, format="json")


def test_a_final_has_the_drafts_picture_crop_prompt_and_seed(api: APIClient, draft: VideoJob) -> None:
    answer = make(api, draft, model="wan-2-2")
    final = VideoJob.objects.get(pk=answer.json()["id"])

    assert answer.status_code == 201
    assert (final.parent, final.image, final.prompt, final.seed) == (draft, draft.image, draft.prompt, 77)
    assert (final.focus_x, final.focus_y, final.width, final.height, final.frames) == (0.2, 0.9, 832, 480, 81)
    assert (final.model.slug, final.steps, final.rights_version) == ("wan-2-2", 4, "2026-11")
    assert api.get(answer["Location"]).json()["parent_id"] == str(draft.pk)


def test_every_way_is_listed_with_the_difference_of_its_price(api: APIClient, draft: VideoJob) -> None:
    VideoJob.objects.filter(pk=draft.pk).update(cost_usd=Decimal("0.01"))
    found = finals(api, draft)

    assert "motion-preview" not in found
    assert found["wan-2-2"]["difference_usd"] == -0.01
    turbo = found["fal-wan-2-2-turbo"]
    assert (turbo["usd"], turbo["difference_usd"], turbo["seed"], turbo["size"]) == (0.05, 0.04, 77, "832x480")


def test_a_draft_in_few_steps_is_made_again_by_its_own_model_with_all(api: APIClient, person: User) -> None:
    rough = factories.job(person, model=factories.wan_model(), steps=2, width=832, height=480, cfg_scale=1.5)
    assert api.get(f"/api/jobs/{rough.pk}/final").json()["is_draft"]
    assert finals(api, rough)["wan-2-2"]["steps"] == 4

    final = make(api, rough, model="wan-2-2").json()
    more = make(api, rough, model="wan-2-2", steps=8).json()

    assert (final["steps"], more["steps"], final["cfg_scale"]) == (4, 8, 1.5)


def test_a_video_with_all_its_steps_is_no_draft_of_its_own_model(api: APIClient, person: User) -> None:
    done = factories.job(person, model=factories.wan_model(), steps=4, width=832, height=480)

    assert not api.get(f"/api/jobs/{done.pk}/final").json()["is_draft"]
    assert "wan-2-2" not in finals(api, done)


def test_without_a_model_the_first_outside_the_cloud_makes_it_and_says_so(api: APIClient, draft: VideoJob) -> None:
    job = make(api, draft).json()

    assert (job["model"], "without the cloud" in job["chosen_because"]) == ("wan-2-2", True)


def test_the_persons_rule_chooses_and_the_requests_own_comes_first(
    api: APIClient, person: User, draft: VideoJob
) -> None:
    Preferences.objects.create(person=person, rule="soonest")
    for _ in range(9):
        factories.job(person, model=factories.wan_model())

    assert make(api, draft).json()["model"].startswith("fal-")
    assert make(api, draft, rule="cheapest").json()["model"] == "wan-2-2"


def test_only_the_cloud_has_to_be_named(api: APIClient, draft: VideoJob) -> None:
    GpuConfig.objects.update(swarmui_url="")
    refused = make(api, draft)

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "engine_not_configured")
    assert make(api, draft, model="fal-kling-2-5-turbo").json()["size"] == "1280x720"


def test_a_draft_whose_picture_is_gone_cannot_be_finished(api: APIClient, draft: VideoJob) -> None:
    VideoJob.objects.filter(pk=draft.pk).update(image=None)

    assert make(api, draft, model="wan-2-2").json()["error"]["field"] == "image"
    assert api.get(f"/api/jobs/{draft.pk}/final").status_code == 400


def test_a_cap_refuses_a_final_with_402(api: APIClient, draft: VideoJob) -> None:
    GpuConfig.objects.update(person_daily_cap_usd=Decimal("0.01"))
    answer = make(api, draft, model="fal-wan-2-2-turbo")

    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "cap_reached")
    assert VideoJob.objects.count() == 1


def test_somebody_elses_draft_is_not_found(api: APIClient, stranger: User) -> None:
    theirs = factories.job(stranger)

    assert api.get(f"/api/jobs/{theirs.pk}/final").status_code == 404
    assert make(api, theirs, model="wan-2-2").status_code == 404


@pytest.mark.parametrize("body", [{"model": "unheard-of"}, {"steps": 99, "model": "wan-2-2"}, {"colour": "blue"}])
def test_a_wrong_wish_is_refused_and_named(api: APIClient, draft: VideoJob, body: dict[str, Any]) -> None:
    answer = make(api, draft, **body)

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, next(iter(body)))
