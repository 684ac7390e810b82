"""The one row of GPU configuration, and live looks at the server that it names."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from pytest_django import Settings

from gpu.errors import BadAddress, BadProvider
from gpu.models import GpuConfig
from gpu.services import config
from gpu.services.availability import LiveLook
from tests.simulators.swarmui.simulator import SwarmSimulator
from tests.simulators.wire import reply, serve


@pytest.fixture
def swarm(settings: Settings) -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        settings.SWARMUI_PRIVATE_HOSTS = [simulator.url.removeprefix("http://")]
        yield simulator


@pytest.mark.django_db
def test_the_row_makes_itself_once() -> None:
    assert config.load().swarmui_url == ""
    assert config.load() == GpuConfig.objects.get()


@pytest.mark.django_db
def test_an_address_is_kept_as_scheme_host_and_port(swarm: SwarmSimulator) -> None:
    row = config.save_config(swarmui_url=f"  {swarm.url.upper().replace('HTTP', 'http')}/ ")
    assert row.swarmui_url == swarm.url
    assert config.load().swarmui_url == swarm.url


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "swarm",
        "ftp://example.com",
        "http://example.com:7801",
        "https://127.0.0.1:7801",
        "https://2130706433:7801",
        "https://[::1]:7801",
        "https://localhost:7801",
        "https://user:pw@example.com",
        "https://1.1.1.1:22",
        "https://1.1.1.1:7801/Text2Image",
        "https://1.1.1.1:7801?x=1",
        "https://does-not-exist.invalid:7801",
        "https://1.1.1.1:99999",
        "https://" + "a" * 3000,
    ],
)
def test_an_address_that_may_not_be_called_is_not_kept(url: str) -> None:
    with pytest.raises(BadAddress) as caught:
        config.save_config(swarmui_url=url)
    assert caught.value.field == "swarmui_url"
    assert config.load().swarmui_url == ""


@pytest.mark.django_db
def test_an_empty_address_takes_the_gpu_away(swarm: SwarmSimulator) -> None:
    config.save_config(swarmui_url=swarm.url)
    config.save_config(swarmui_url=" ")
    assert config.endpoints() == []
    assert config.swarmui_available() is False


@pytest.mark.django_db
def test_what_is_not_given_stays(swarm: SwarmSimulator) -> None:
    config.save_config(swarmui_url=swarm.url)
    config.save_config(gpu_provider="manual")
    assert config.load().swarmui_url == swarm.url


@pytest.mark.django_db
def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(BadProvider):
        config.save_config(gpu_provider="teapot")


@pytest.mark.django_db
def test_a_change_leaves_a_line_in_the_audit_log_and_a_repetition_does_not(swarm: SwarmSimulator, staff: User) -> None:
    config.save_config(swarmui_url=swarm.url, actor=staff)
    config.save_config(swarmui_url=swarm.url, actor=staff)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (staff, f"swarmui_url = {swarm.url}")


@pytest.mark.django_db
def test_an_endpoint_carries_the_operators_settings_and_shows_no_secret(
    swarm: SwarmSimulator, settings: Settings
) -> None:
    settings.SWARMUI_AUTHORIZATION, settings.SWARMUI_SEATS = "Bearer xyz", 3
    config.save_config(swarmui_url=swarm.url)
    [endpoint] = config.endpoints()
    assert (endpoint.url, endpoint.authorization, endpoint.seats) == (swarm.url, "Bearer xyz", 3)
    assert "xyz" not in repr(endpoint)


# --- the probe ------------------------------------------------------------------------------------------------------


def test_a_probe_says_what_it_found(swarm: SwarmSimulator) -> None:
    found = config.probe(swarm.url)
    assert (found.ok, found.error) == (True, "")
    assert found.version.startswith("0.9.8.2")
    assert found.latency_ms is not None
    assert found.backends[0]["status"] in ("running", "idle")
    assert "Wan/wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors" in found.models


def test_a_probe_without_the_right_to_list_backends_is_still_good(swarm: SwarmSimulator) -> None:
    swarm.script(denied_permissions=["view_backends_list"])
    assert (config.probe(swarm.url).ok, config.probe(swarm.url).backends) == (True, [])


@pytest.mark.parametrize("url", ["", "nonsense", "https://127.0.0.1:7801", "https://1.1.1.1/path"])
def test_a_probe_of_a_forbidden_address_calls_nobody(url: str) -> None:
    assert config.probe(url) == config.Probe(ok=False, error=config.REFUSED)


def test_a_probe_of_a_name_that_does_not_exist_says_so() -> None:
    assert config.probe("https://does-not-exist.invalid").error == config.NO_ANSWER


def test_a_probe_of_nothing_says_so(swarm: SwarmSimulator) -> None:
    swarm.script(drop_next=5)
    assert config.probe(swarm.url) == config.Probe(ok=False, error=config.NO_ANSWER)


def test_a_probe_with_wrong_credentials_says_so(swarm: SwarmSimulator) -> None:
    swarm.script(authorization="Bearer other")
    assert config.probe(swarm.url).error == config.NOT_ADMITTED


def test_a_probe_uses_the_operators_credentials(swarm: SwarmSimulator, settings: Settings) -> None:
    settings.SWARMUI_AUTHORIZATION = "Bearer xyz"
    swarm.script(authorization="Bearer xyz")
    assert config.probe(swarm.url).ok


def test_a_probe_of_another_server_repeats_nothing_of_its_answer(settings: Settings) -> None:
    with serve(reply(b"<html>secret body</html>", Content_Type="text/html")) as wire:
        settings.SWARMUI_PRIVATE_HOSTS = [wire.host]
        assert config.probe(f"http://{wire.host}") == config.Probe(ok=False, error=config.NOT_SWARMUI)


def test_a_probe_that_swarmui_refuses_says_so(swarm: SwarmSimulator) -> None:
    swarm.script(denied_permissions=["fundamental_model_access"])
    assert config.probe(swarm.url).error == config.REJECTED


# --- the live look --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_server_that_answers_is_available(swarm: SwarmSimulator) -> None:
    config.save_config(swarmui_url=swarm.url)
    assert config.swarmui_available() is True


@pytest.mark.django_db
def test_a_server_that_does_not_answer_is_not(swarm: SwarmSimulator) -> None:
    config.save_config(swarmui_url=swarm.url)
    swarm.script(http_error_next=[502])
    assert config.swarmui_available() is False


@pytest.mark.django_db
def test_looks_use_one_session_and_replace_it_when_it_is_forgotten(swarm: SwarmSimulator) -> None:
    assert [config._answers(swarm.url) for _ in range(3)] == [True] * 3
    assert swarm.state()["calls"]["GetNewSession"] == 1
    swarm.restart(keep_sessions=False)
    assert [config._answers(swarm.url) for _ in range(2)] == [True] * 2
    assert swarm.state()["calls"]["GetNewSession"] == 2


@pytest.mark.django_db
def test_a_server_that_hangs_costs_a_caller_two_seconds_at_most(swarm: SwarmSimulator) -> None:
    config.save_config(swarmui_url=swarm.url)
    swarm.script(no_answer_seconds=2000)
    started = time.monotonic()
    assert config.swarmui_available() is False
    assert time.monotonic() - started < 3


def test_many_callers_share_one_look() -> None:
    looks: list[str] = []
    everybody = threading.Barrier(8)

    def look(address: str) -> bool:
        looks.append(address)
        time.sleep(0.05)
        return True

    live = LiveLook(look, wait_s=2, fresh_s=60)

    def ask(_: int) -> bool:
        everybody.wait()
        return live.answer("a")

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(ask, range(8)))
    assert looks == ["a"]


def test_a_look_is_fresh_for_a_while_and_then_repeated() -> None:
    looks: list[str] = []
    live = LiveLook(lambda address: not looks.append(address), wait_s=2, fresh_s=0.05)  # type: ignore[func-returns-value]
    assert live.answer("a")
    assert live.answer("a")
    assert len(looks) == 1
    deadline = time.monotonic() + 5
    while len(looks) < 2 and time.monotonic() < deadline:
        assert live.answer("a")
    assert looks == ["a", "a"]


def test_a_look_that_never_ends_is_not_waited_for() -> None:
    let_go = threading.Event()
    live = LiveLook(lambda _: let_go.wait(), wait_s=0.05, fresh_s=60)
    assert [live.answer("a"), live.answer("a")] == [False, False]
    let_go.set()
