"""What the fleet means for somebody who waits, and what a video took and cost on a machine."""

import pytest
from pytest_django import Settings

from gpu.models import GpuProvider, Host, InstanceState
from gpu.services import config, policy, pretend, usage
from gpu.services.outlook import can_render, may_rent, outlook
from tests.gpu import machine_rows

S = InstanceState
pytestmark = pytest.mark.django_db


@pytest.fixture
def renting(settings: Settings) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": GpuProvider.VASTAI, "renting": True, "max_machines": 1})


def test_without_a_server_or_leave_to_rent_nothing_can_render() -> None:
    assert not can_render()
    assert "no server is configured" in outlook().message


@pytest.mark.parametrize("missing", [{"gpu_provider": "manual"}, {"renting": False}, {"max_machines": 0}])
def test_renting_needs_every_leave(renting: None, missing: dict[str, object]) -> None:
    assert may_rent()

    policy.save_policy(values=missing)

    assert not may_rent()


def test_renting_needs_a_key(renting: None, settings: Settings) -> None:
    settings.VASTAI_API_KEY = ""

    assert not may_rent()


@pytest.mark.parametrize(
    ("state", "words"),
    [(S.REQUESTED, "being rented"), (S.CREATING, "being rented"), (S.BOOTING, "booting"), (S.PROVISIONING, "models")],
)
def test_who_waits_is_told_what_the_machine_does(state: str, words: str) -> None:
    machine_rows.instance(state, host=machine_rows.host(boot_seconds=7200))

    found = outlook()

    assert words in found.message
    assert 3000 < (found.ready_in_s or 0) < 4000  # an hour of the two that this host takes has gone
    assert can_render()


def test_an_overdue_machine_is_not_promised_at_once() -> None:
    machine_rows.instance(S.BOOTING, host=machine_rows.host(boot_seconds=60))

    assert outlook().ready_in_s == 15


def test_a_ready_machine_needs_no_words() -> None:
    machine_rows.instance(S.READY)

    assert (outlook().servers, outlook().message) == (1, "")


def test_a_host_remembers_how_fast_it_was() -> None:
    machine = machine_rows.instance(S.READY, host=machine_rows.host())

    usage.remember_video(machine.url, reference_seconds=50)
    usage.remember_video(machine.url, reference_seconds=60)
    usage.remember_video("https://own.example.com", reference_seconds=1)

    assert Host.objects.get().seconds_per_video == 53


def test_closing_the_pretend_market_leaves_real_machines_alone() -> None:
    pretended = machine_rows.instance(S.READY, label="i2v/demo/1")
    real = machine_rows.instance(S.READY, label="i2v/main/1")

    pretend.close_market()

    assert [end.url for end in config.endpoints()] == [real.url]
    pretended.refresh_from_db()
    assert pretended.state == S.LOST
