"""GET and POST /api/gpu/config, POST /api/gpu/test-connection."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from gpu.services import config
from tests.simulators.swarmui.simulator import SwarmSimulator

CONFIG, TEST = "/api/gpu/config", "/api/gpu/test-connection"


@pytest.fixture
def swarm(settings: Settings) -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        settings.SWARMUI_PRIVATE_HOSTS = [simulator.url.removeprefix("http://")]
        yield simulator


@pytest.fixture
def operator(staff: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(staff)
    return client


def test_everybody_signed_in_sees_the_configuration(api: APIClient) -> None:
    answer = api.get(CONFIG)
    assert answer.status_code == 200
    assert answer.json() == {
        "swarmui_url": "",
        "swarmui_available": False,
        "gpu_provider": "manual",
        "vastai_instance_id": None,
    }


def test_staff_set_the_address_and_get_the_same_four_keys(operator: APIClient, swarm: SwarmSimulator) -> None:
    answer = operator.post(CONFIG, {"swarmui_url": swarm.url, "gpu_provider": "manual"}, format="json")
    assert answer.status_code == 200
    assert answer.json() == {
        "swarmui_url": swarm.url,
        "swarmui_available": True,
        "gpu_provider": "manual",
        "vastai_instance_id": None,
    }
    assert operator.get(CONFIG).json() == answer.json()


@pytest.mark.parametrize("body", [{}, {"gpu_provider": "manual"}])
def test_what_is_left_out_stays(operator: APIClient, swarm: SwarmSimulator, body: dict[str, str]) -> None:
    config.save_config(swarmui_url=swarm.url)
    assert operator.post(CONFIG, body, format="json").json()["swarmui_url"] == swarm.url


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"swarmui_url": "http://example.com"}, "bad_address", "swarmui_url"),
        ({"swarmui_url": "https://169.254.169.254"}, "bad_address", "swarmui_url"),
        ({"swarmui_url": 5}, "invalid", "swarmui_url"),
        ({"swarmui_url": None}, "invalid", "swarmui_url"),
        ({"swarmui_url": ["https://1.1.1.1"]}, "invalid", "swarmui_url"),
        ({"swarmui_url": "https://" + "a" * 600}, "invalid", "swarmui_url"),
        ({"swarmui_url": "https://1.1.1.1\u0000"}, "invalid", "swarmui_url"),
        ({"swarmui_url": "https://1.1.1.1\u202e"}, "bad_address", "swarmui_url"),
        ({"gpu_provider": "teapot"}, "invalid", "gpu_provider"),
        ({"gpu_provider": True}, "invalid", "gpu_provider"),
        ({"swarmui": "x"}, "invalid", "swarmui"),
        ([], "invalid", None),
        ("x", "invalid", None),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(operator: APIClient, body: Any, code: str, field: str | None) -> None:
    answer = operator.post(CONFIG, body, format="json")
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"].get("field")) == (code, field)
    assert config.load().swarmui_url == ""


@pytest.mark.parametrize("path", [CONFIG, TEST])
def test_only_staff_write(api: APIClient, path: str) -> None:
    answer = api.post(path, {"url": "https://1.1.1.1"}, format="json")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "permission_denied"


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), [("get", CONFIG), ("post", CONFIG), ("post", TEST)])
def test_nobody_gets_in_unsigned(method: str, path: str) -> None:
    assert getattr(APIClient(), method)(path).status_code == 401


def test_a_good_server_is_described(operator: APIClient, swarm: SwarmSimulator) -> None:
    answer = operator.post(TEST, {"url": swarm.url}, format="json").json()
    assert set(answer) == {"ok", "latency_ms", "version", "backends", "models", "error"}
    assert answer["ok"] is True
    assert answer["backends"][0]["type"] == "comfyui_selfstart"
    assert answer["models"]


@pytest.mark.parametrize("url", ["https://127.0.0.1", "http://169.254.169.254/latest", "nonsense"])
def test_a_bad_address_is_an_answer_with_a_fixed_text(operator: APIClient, url: str) -> None:
    answer = operator.post(TEST, {"url": url}, format="json")
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": False,
        "latency_ms": None,
        "version": "",
        "backends": [],
        "models": [],
        "error": config.REFUSED,
    }


@pytest.mark.parametrize("body", [{}, {"url": ""}, {"url": 5}, {"url": "https://1.1.1.1", "more": 1}])
def test_a_wrong_body_of_the_test_call_is_a_400(operator: APIClient, body: dict[str, object]) -> None:
    assert operator.post(TEST, body, format="json").status_code == 400


def test_looking_at_the_configuration_costs_four_queries(
    api: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    config.load()
    with django_assert_num_queries(4):
        api.get(CONFIG)
