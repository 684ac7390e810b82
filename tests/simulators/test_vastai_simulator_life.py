"""From contract to running container on the simulated market, and what goes wrong on the way."""

import pytest

from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import Market


def test_a_healthy_machine_goes_from_nothing_over_created_and_loading_to_running(
    vast: VastSimulator, market: Market
) -> None:
    number = market.rent()
    seen = []
    for seconds in (0, 5, 5, 10, 13, 7):
        vast.advance(seconds)
        seen.append(market.show(number)["actual_status"])

    assert seen == [None, "created", "loading", "loading", "loading", "running"]
    assert [state for _, state in vast.instances()[0]["history"]] == ["null", "created", "loading", "running"]


def test_layer_messages_come_while_loading_and_success_when_running(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    messages = set()
    for _ in range(40):
        vast.advance(1)
        messages.add(market.show(number)["status_msg"])

    assert len(messages) >= 5
    assert any("Downloading" in (text or "") for text in messages)
    assert (market.show(number)["status_msg"] or "").startswith("success, running")


def test_the_address_is_known_only_when_running_and_ends_with_a_newline(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.advance(60)
    shown = market.show(number)

    assert shown["public_ipaddr"] == "127.0.0.1\n"
    assert set(shown["ports"]) == {"1111/tcp", "7865/tcp"}
    assert (shown["intended_status"], shown["cur_state"], shown["next_state"]) == ("running",) * 3
    assert shown["disk_usage"] > 0


def test_one_step_or_many_lead_to_the_same_history(market: Market) -> None:
    def history(step: float) -> list[tuple[float, str]]:
        with VastSimulator(start=1_800_000_000, loading_seconds=30) as vast, Market(vast) as renter:
            renter.rent()
            for _ in range(int(120 / step)):
                vast.advance(step)
            return [(round(at, 3), state) for at, state in vast.instances()[0]["history"]]

    assert history(120) == history(0.5)


@pytest.mark.parametrize(
    ("fate", "status", "states"),
    [
        ("stuck_null", None, "running"),
        ("stuck_created", "created", "running"),
        ("stuck_loading", "loading", "running"),
        ("pull_error", "loading", "running"),
        ("oci_error", "created", "stopped"),
        ("disk_full", "exited", "stopped"),
        ("exited", "exited", "stopped"),
        ("stopped", "stopped", "stopped"),
        ("offline", "offline", "running"),
        ("unknown", "unknown", "running"),
        ("lost_status", None, "running"),
    ],
)
def test_a_machine_that_never_runs(
    vast: VastSimulator, market: Market, fate: str, status: str | None, states: str
) -> None:
    vast.script(fate_next=fate)
    number = market.rent()
    vast.advance(7200)
    shown = market.show(number)

    assert (shown["actual_status"], shown["next_state"]) == (status, states)
    assert vast.ledger()["contracts"][0]["gpu"] == 0


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("oci_error", "OCI runtime create failed"),
        ("pull_error", "pull access denied"),
        ("disk_full", "no space left on device"),
    ],
)
def test_the_hosts_message_says_why(vast: VastSimulator, market: Market, fate: str, words: str) -> None:
    vast.script(fate_next=fate)
    number = market.rent()
    vast.advance(600)

    assert words in market.show(number)["status_msg"]


def test_a_bad_machine_is_bad_for_everyone_who_rents_it(vast: VastSimulator, market: Market) -> None:
    offer = market.single()
    vast.script(fate_of_machine={str(offer["machine_id"]): "stuck_loading"})
    for _ in range(2):
        number = market.rent(offer["id"])
        vast.advance(3600)
        assert market.show(number)["actual_status"] == "loading"
        market.destroy(number)


@pytest.mark.parametrize(
    ("fate", "status"), [("offline", "offline"), ("unknown", "unknown"), ("lost_status", None), ("exited", "exited")]
)
def test_something_can_happen_to_a_running_machine(
    vast: VastSimulator, market: Market, fate: str, status: str | None
) -> None:
    number = market.rent()
    vast.advance(120)
    vast.strike(number, fate)

    assert market.show(number)["actual_status"] == status
    assert market.show(number)["ports"] is None


def test_an_image_is_pulled_faster_the_second_time(vast: VastSimulator, market: Market) -> None:
    offer = market.single()
    vast.script(loading_seconds=300)
    market.rent(offer["id"])
    vast.advance(400)
    market.destroy(vast.instances()[0]["id"])
    number = market.rent(offer["id"])
    vast.advance(30)

    assert market.show(number)["actual_status"] == "running"


def test_the_host_gets_its_machine_back_at_the_end_of_the_contract(vast: VastSimulator, market: Market) -> None:
    vast.script(max_rental_days=1)
    number = market.rent()
    end = market.show(number)["end_date"]
    vast.advance(end - vast.now + 1)
    status = market.show(number)["actual_status"]
    started = market.put(f"v0/instances/{number}/", state="running").json()
    vast.advance(3 * 86400)

    assert (status, started["success"]) == ("exited", False)
    assert vast.instances()[0]["destroyed_by"] == "host"


def test_the_clock_can_run_by_itself() -> None:
    with VastSimulator(scale=2000, loading_seconds=30) as vast, Market(vast) as market:
        market.rent()
        vast.wait_for(lambda state: state["by_status"] == {"running": 1})
        vast.set_scale(0)
        still = vast.now

        assert vast.state()["now"] == still
