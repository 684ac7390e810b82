"""Who chooses the model, and that nobody does so silently."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.errors import EngineNotConfigured
from generation.models import Preferences, Provider, VideoJob, VideoModel
from generation.services import rules
from generation.services.jobs import JobRequest
from generation.services.rules import Choice
from gpu.models import GpuConfig
from gpu.services import policy
from tests import factories
from tests.generation.test_api_jobs import BODY

CLOUD_RULES = ("cheapest", "soonest")


@pytest.fixture(autouse=True)
def cloud(settings: Settings, db: None) -> None:
    settings.FAL_KEY = "id:secret"


@pytest.fixture
def own_server(db: None) -> None:
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")


@pytest.fixture
def cold(settings: Settings, db: None) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})


def choose(owner: User, rule: str | None = None, family: str | None = None, **wish: Any) -> Choice:
    return rules.choose(owner=owner, request=JobRequest(**{"prompt": "x"} | wish), rule=rule, family=family)


def provider(choice: Choice) -> str:
    return VideoModel.objects.get(slug=choice.slug).provider


@pytest.mark.parametrize("rule", ["ask", "cheapest", "soonest", "never_cloud"])
def test_a_named_model_always_wins(person: User, rule: str) -> None:
    assert choose(person, rule, model="fal-ltx-2") == Choice("fal-ltx-2")


@pytest.mark.parametrize("rule", [None, "ask", "never_cloud"])
def test_without_a_rule_for_it_nothing_goes_to_the_cloud(person: User, rule: str | None) -> None:
    choice = choose(person, rule)

    assert choice.slug == "motion-preview"  # nothing else runs here
    assert "cloud" in choice.because


@pytest.mark.parametrize("rule", [None, "ask", "never_cloud"])
def test_a_real_model_comes_before_a_preview(person: User, own_server: None, rule: str | None) -> None:
    VideoModel.objects.filter(slug="motion-preview").update(position=1)

    assert choose(person, rule).slug == "wan-2-2"


def test_the_cheapest_is_an_own_server_even_when_it_has_to_be_waited_for(person: User, own_server: None) -> None:
    for _ in range(9):
        factories.job(person, model=factories.wan_model())

    assert choose(person, "cheapest").slug == "wan-2-2"
    assert provider(choose(person, "soonest")) == Provider.FAL


def test_the_soonest_is_the_cloud_when_the_gpu_is_cold(person: User, cold: None) -> None:
    choice = choose(person, "soonest", family="wan-2-2")

    assert choice.slug == "fal-wan-2-2-turbo"
    assert choice.because.startswith("The soonest of 3: in about 30 s")


@pytest.mark.parametrize("rule", CLOUD_RULES)
def test_a_rule_never_chooses_a_preview_while_something_else_runs(person: User, rule: str) -> None:
    assert provider(choose(person, rule)) == Provider.FAL


def test_a_rule_chooses_only_what_takes_the_settings_as_they_are(person: User) -> None:
    wanted: dict[str, Any] = {"num_frames": 33, "fps": 16}
    takers = {choose(person, rule, **wanted).slug for rule in CLOUD_RULES}

    assert takers <= {"fal-wan-2-2", "fal-ltx-2"}  # the others make whole seconds, or 81 frames


def test_the_persons_own_rule_holds_until_the_request_brings_another(person: User, own_server: None) -> None:
    Preferences.objects.create(person=person, rule="soonest")
    for _ in range(9):
        factories.job(person, model=factories.wan_model())

    assert provider(choose(person)) == Provider.FAL
    assert choose(person, "never_cloud").slug == "wan-2-2"


def test_when_only_the_cloud_runs_it_has_to_be_named(person: User) -> None:
    VideoModel.objects.filter(slug="motion-preview").update(enabled=False)

    with pytest.raises(EngineNotConfigured, match="name a model of the cloud"):
        choose(person, "never_cloud")


def test_an_unknown_family_is_refused(person: User) -> None:
    with pytest.raises(EngineNotConfigured):
        choose(person, "cheapest", family="unheard-of")


def test_the_api_says_why_a_model_was_chosen_and_the_job_keeps_it(api: APIClient, cold: None) -> None:
    answer = api.post("/api/jobs", BODY | {"rule": "soonest", "family": "wan-2-2"}, format="json").json()

    assert answer["model"] == "fal-wan-2-2-turbo"
    assert "soonest" in answer["chosen_because"]
    assert VideoJob.objects.get().chosen_because == answer["chosen_because"]


def test_the_documented_call_stays_with_swarmui_unless_its_own_rule_says_otherwise(
    api: APIClient, person: User, cold: None
) -> None:
    Preferences.objects.create(person=person, rule="soonest")
    plain = api.post("/api/swarmui/generate-video", BODY, format="json").json()
    ruled = api.post("/api/swarmui/generate-video", BODY | {"rule": "soonest"}, format="json").json()

    assert (plain["model"], plain["chosen_because"]) == ("wan-2-2", "")
    assert ruled["model"] == "fal-wan-2-2-turbo"


def test_an_unknown_rule_is_refused(api: APIClient) -> None:
    answer = api.post("/api/jobs", BODY | {"rule": "dearest"}, format="json")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "rule")
    assert not VideoJob.objects.exists()
