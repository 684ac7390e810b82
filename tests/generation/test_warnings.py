"""What is foretold to go wrong, and that each warning brings a way out that helps."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.models import Preferences, Status, VideoJob, VideoModel
from generation.services.jobs import JobRequest
from generation.services.warnings import Caution
from generation.services.weighing import weigh
from gpu.models import DayTotal, GpuConfig, InstanceState
from gpu.services import policy
from tests import factories
from tests.gpu import machine_rows

GOOD = "A woman turns her head and smiles while the camera pushes in"


@pytest.fixture
def own_server(db: None) -> None:
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")


@pytest.fixture
def cloud(settings: Settings, db: None) -> None:
    settings.FAL_KEY = "id:secret"


def warned(owner: User, **wish: Any) -> dict[str, Caution]:
    request = JobRequest(**{"prompt": GOOD, "model": "wan-2-2"} | wish)
    return {warning.code: warning for warning in weigh(owner=owner, request=request).warnings}


def heeded(owner: User, code: str, **wish: Any) -> set[str]:
    """What is still warned of after the suggestion was taken."""
    suggestion = warned(owner, **wish)[code].suggestion
    assert suggestion
    return set(warned(owner, **wish | suggestion))


def test_a_plain_wish_is_warned_of_nothing(person: User, own_server: None) -> None:
    image = factories.source_image(person, width=1664, height=960)

    assert warned(person, image=image) == {}


def test_without_picture_and_prompt_nothing_is_said_of_them(person: User, own_server: None) -> None:
    assert warned(person, prompt="") == {}


@pytest.mark.parametrize(
    ("code", "wish"),
    [
        ("short_prompt", {"prompt": "zoom"}),
        ("long_prompt", {"prompt": "a very long story " * 200}),
        ("odd_frame_count", {"num_frames": 82}),
        ("odd_frame_count", {"num_frames": 117}),
        ("odd_frame_count", {"num_frames": 9}),
        ("odd_fps", {"fps": 30}),
        ("odd_fps", {"fps": 9}),
        ("few_steps", {"steps": 2}),
        ("many_steps", {"steps": 20}),
        ("odd_cfg", {"cfg_scale": 3.5}),
    ],
)
def test_a_warning_is_gone_when_its_suggestion_is_taken(
    person: User, own_server: None, code: str, wish: dict[str, Any]
) -> None:
    assert set(warned(person, **wish)) == {code}
    assert heeded(person, code, **wish) == set()


@pytest.mark.parametrize("wish", [{"steps": 1}, {"num_frames": 200}, {"fps": 60}, {"cfg_scale": 9}])
def test_a_preview_is_not_measured_by_what_models_need(person: User, wish: dict[str, Any]) -> None:
    assert warned(person, model="motion-preview", **wish) == {}


def test_a_model_with_all_its_steps_takes_half_of_them_without_a_warning(person: User, cloud: None) -> None:
    wan = {"model": "fal-wan-2-2"}

    assert warned(person, **wan, steps=14, cfg_scale=5.0) == {}
    assert set(warned(person, **wan, steps=10, cfg_scale=8.0)) == {"few_steps", "odd_cfg"}


def test_a_strong_crop_suggests_a_size_of_the_pictures_shape(person: User, own_server: None) -> None:
    tall = factories.source_image(person, width=1080, height=1920)
    wish: dict[str, Any] = {"image": tall, "size": "832x480"}

    assert "68% of the picture is cut away" in warned(person, **wish)["strong_crop"].message
    assert warned(person, **wish)["strong_crop"].suggestion["size"] in ("480x832", "720x1280")
    assert heeded(person, "strong_crop", **wish) == set()


def test_a_small_picture_suggests_a_smaller_size_or_another_picture(person: User, own_server: None) -> None:
    small = factories.source_image(person, width=640, height=360)
    found = warned(person, image=small, size="1280x720")["small_picture"]

    assert (found.field, found.suggestion) == ("size", {"size": "832x480"})
    assert heeded(person, "small_picture", image=small, size="1280x720") == set()

    tiny = factories.source_image(person, width=100, height=58)
    assert warned(person, image=tiny, size="832x480")["small_picture"].field == "image"


def test_a_cap_that_is_nearly_reached_and_one_that_refuses(person: User, cloud: None, own_server: None) -> None:
    row = GpuConfig.objects.get(pk=1)
    row.person_daily_cap_usd = Decimal("1.00")
    row.save()
    wish: dict[str, Any] = {"model": "fal-wan-2-2-turbo", "size": "832x480"}
    assert "cap_near" not in warned(person, **wish)

    spent(person, "0.90")
    near = warned(person, **wish)["cap_near"]
    spent(person, "0.97")
    refused = warned(person, **wish)["cap_reached"]

    assert "$0.10 are left under your cap of $1.00 a day" in near.message
    assert "only $0.03 are left" in refused.message
    assert refused.suggestion == {"model": "wan-2-2"}
    assert heeded(person, "cap_reached", **wish).isdisjoint({"cap_near", "cap_reached"})


def spent(person: User, usd: str) -> None:
    DayTotal.objects.update_or_create(
        account=f"person:{person.pk}", day=timezone.now().date(), defaults={"spent_usd": Decimal(usd)}
    )


def test_what_costs_much_more_than_usual_is_said(person: User, cloud: None) -> None:
    for _ in range(3):
        factories.job(person, status=Status.SUCCEEDED, video_key="v", cost_usd=Decimal("0.02"))
    found = warned(person, model="fal-wan-2-2", size="1280x720")["dear"]

    assert "($0.02)" in found.message
    assert found.suggestion["model"].startswith("fal-")


def test_naming_the_cloud_against_ones_own_rule_is_allowed_and_warned_of(
    person: User, cloud: None, own_server: None
) -> None:
    Preferences.objects.create(person=person, rule="never_cloud")
    found = warned(person, model="fal-wan-2-2")["cloud_against_rule"]

    assert found.suggestion == {"model": "wan-2-2"}
    assert "cloud_against_rule" not in warned(person)


@pytest.fixture
def cold(settings: Settings, db: None) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})


def test_a_cold_gpu_offers_the_cloud_with_both_prices(person: User, cloud: None, cold: None) -> None:
    found = warned(person, size="832x480")["cold"]

    assert found.message.startswith("Run on Wan 2.2 Turbo (fal.ai) now for $0.05, or wait about 8 min for $0.0")
    assert found.suggestion == {"model": "fal-wan-2-2-turbo"}


def test_the_cloud_is_not_offered_to_those_who_never_want_it(person: User, cloud: None, cold: None) -> None:
    Preferences.objects.create(person=person, rule="never_cloud")
    found = warned(person)["cold"]

    assert found.suggestion == {}
    assert "fal.ai" not in found.message


def test_a_ready_machine_is_not_cold(person: User, cold: None) -> None:
    machine_rows.instance(InstanceState.READY)

    assert "cold" not in warned(person)


def test_every_suggestion_is_something_that_a_submit_takes(person: User, own_server: None) -> None:
    wish = JobRequest(prompt="go", model="wan-2-2", num_frames=82, steps=20, cfg_scale=9.0, fps=30, size="1280x720")
    wish = replace(wish, image=factories.source_image(person, width=360, height=640))
    client = APIClient()
    client.force_authenticate(person)
    body: dict[str, Any] = {"image_id": str(wish.image.pk) if wish.image else None, "model": "wan-2-2"}
    for warning in weigh(owner=person, request=wish).warnings:
        body |= warning.suggestion
    answer = client.post("/api/jobs", body, format="json")

    assert answer.status_code == 201, answer.json()
    assert VideoJob.objects.get().size == "480x832"
    assert VideoModel.objects.filter(slug=body["model"]).exists()


def test_a_cheaper_way_is_not_the_cloud_for_those_who_never_want_it(person: User, cloud: None) -> None:
    Preferences.objects.create(person=person, rule="never_cloud")
    GpuConfig.objects.create(pk=1, person_daily_cap_usd=Decimal("0.10"))
    found = warned(person, model="fal-wan-2-2", size="1280x720")["cap_reached"]

    assert found.suggestion == {}
