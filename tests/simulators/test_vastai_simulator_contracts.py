"""Listing, showing, changing and destroying contracts on the simulated market."""

import contextlib

import httpx
import pytest

from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import Market


def test_the_list_is_paged_by_a_cursor_and_counts_everything(vast: VastSimulator, market: Market) -> None:
    numbers = [market.rent(label=f"l{index % 2}") for index in range(5)]
    first = market.list(limit=2)
    second = market.list(limit=2, after_token=first["next_token"])
    third = market.list(limit=2, after_token=second["next_token"])

    assert [each["id"] for page in (first, second, third) for each in page["instances"]] == numbers
    assert (first["instances_found"], first["total_instances"], third["next_token"]) == (2, 5, None)
    assert first["label_counts"] == {"l0": 3, "l1": 2}


def test_a_page_holds_25_at_most_and_5_for_a_limit_of_nothing(vast: VastSimulator, market: Market) -> None:
    offers = market.offers(num_gpus={"eq": 1}, rentable={"eq": True})
    for offer in offers[:27]:
        market.rent(offer["id"], disk=8)

    assert market.list(limit=100)["instances_found"] == 25
    assert market.list(limit=0)["instances_found"] == 5


def test_the_list_is_filtered_ordered_and_cut_to_columns(market: Market) -> None:
    numbers = [market.rent(label=label) for label in ("a", "b", "a")]
    page = market.list(
        select_filters={"label": {"in": ["a"]}}, order_by=[{"col": "id", "dir": "desc"}], select_cols=["id", "nothing"]
    )

    assert page["instances"] == [{"id": numbers[2], "nothing": None}, {"id": numbers[0], "nothing": None}]
    assert page["total_instances"] == 2
    assert market.get("v1/instances/", select_filters={"dph_total": {"lt": 1}}).status_code == 400
    assert market.get("v1/instances/", after_token="nonsense").json()["error"] == "invalid_token"


def test_an_incomplete_list_may_tell_or_not(vast: VastSimulator, market: Market) -> None:
    for _ in range(3):
        market.rent()
    vast.fail("list", "incomplete", "incomplete_silent")

    assert [(page["instances_found"], page["total_instances"]) for page in (market.list(), market.list())] == [
        (2, 3),
        (2, 2),
    ]
    assert market.list()["instances_found"] == 3


def test_a_list_can_fail_in_the_middle(vast: VastSimulator, market: Market) -> None:
    for _ in range(3):
        market.rent()
    vast.fail("list", "ok", "500", "repeat_token", "bad_token", "success_false")
    token = market.list(limit=2)["next_token"]

    assert market.get("v1/instances/", limit=2, after_token=token).status_code == 500
    assert market.list(limit=2, after_token=token)["next_token"] == token
    assert market.list()["error"] == "invalid_token"
    assert market.list()["success"] is False


def test_the_old_list_has_no_pages(market: Market) -> None:
    numbers = [market.rent(), market.rent()]

    assert [each["id"] for each in market.get("v0/instances/", owner="me").json()["instances"]] == numbers
    assert market.get("v0/instances/filters/").json()["filters"][0]["gpu_name"]


def test_one_instance_is_an_object_or_a_list_or_null_or_a_404(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.fail("show", "ok", "one_in_list", "null", "404")
    answers = [market.get(f"v0/instances/{number}/") for _ in range(4)]

    assert answers[0].json()["instances"]["id"] == answers[1].json()["instances"][0]["id"] == number
    assert answers[2].json() == {"instances": None}
    assert answers[3].status_code == 404


def test_the_record_has_what_the_official_client_needs(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    shown = market.show(number)

    assert isinstance(shown["start_date"], int | float)
    assert ["-p 7865:7865", "1"] in shown["extra_env"]
    assert (shown["ports"], shown["public_ipaddr"], shown["disk_usage"]) == (None, None, -1.0)
    assert shown["instance"]["totalHour"] == pytest.approx(shown["storage_total_cost"])


def test_by_id_may_hide_the_ports_that_the_list_shows(vast: VastSimulator, market: Market) -> None:
    vast.script(show_has_ports=False)
    number = market.rent()
    vast.advance(60)

    assert market.show(number)["ports"] is None
    assert market.list()["instances"][0]["ports"]["7865/tcp"][0]["HostPort"].isdigit()


def test_a_label_can_be_changed_up_to_its_limit(market: Market) -> None:
    number = market.rent()

    assert market.put(f"v0/instances/{number}/", label="x" * 1024).json() == {"success": True}
    assert market.show(number)["label"] == "x" * 1024
    assert market.put(f"v0/instances/{number}/", label="x" * 1025).json()["error"] == "label_too_long"


def test_a_start_waits_in_a_queue_until_the_gpu_is_free_or_it_is_stopped(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.advance(60)
    market.put(f"v0/instances/{number}/", state="stopped")
    machine = vast.instances()[0]["machine_id"]
    vast.take_machine(machine)
    refused = market.put(f"v0/instances/{number}/", state="running").json()
    vast.take_machine(machine, taken=False)
    vast.advance(10)

    assert (refused["success"], "queued" in refused["msg"]) == (False, True)
    assert market.show(number)["actual_status"] == "running"


def test_a_queued_start_is_cancelled_by_a_stop(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.advance(60)
    market.put(f"v0/instances/{number}/", state="stopped")
    machine = vast.instances()[0]["machine_id"]
    vast.take_machine(machine)
    market.put(f"v0/instances/{number}/", state="running")
    market.put(f"v0/instances/{number}/", state="stopped")
    vast.take_machine(machine, taken=False)
    vast.advance(600)

    assert market.show(number)["actual_status"] == "exited"


def test_a_queued_start_follows_when_the_other_renter_is_gone(vast: VastSimulator, market: Market) -> None:
    offer = market.single()["id"]
    first = market.rent(offer)
    market.put(f"v0/instances/{first}/", state="stopped")
    second = market.rent(offer)
    queued = market.put(f"v0/instances/{first}/", state="running").json()["success"]
    market.destroy(second)
    vast.advance(10)

    assert (queued, market.show(first)["actual_status"]) == (False, "running")


def test_a_reboot_keeps_the_ports(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.advance(60)
    before = market.address(number)
    market.put(f"v0/instances/reboot/{number}/")
    status = market.show(number)["actual_status"]
    vast.advance(60)

    assert status == "rebooting"
    assert market.address(number) == before
    assert market.put(f"v0/instances/recycle/{number}/").json() == {"success": True}


def test_destroyed_is_gone_and_the_second_time_is_a_404(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    first, second = market.destroy(number), market.destroy(number)

    assert first.json() == {"success": True}
    assert (second.status_code, second.json()["error"]) == (404, "no_such_instance")
    assert market.show(number) is None
    assert market.list()["instances"] == []
    assert vast.instances()[0]["destroyed_by"] == "account"


@pytest.mark.parametrize("fault", ["429", "500", "503", "lost", "ignored", "success_false"])
def test_a_destroy_can_fail_and_the_machine_goes_on_costing(vast: VastSimulator, market: Market, fault: str) -> None:
    number = market.rent()
    vast.fail("destroy", fault)
    quietly(market, number)

    assert vast.state()["instances"] == 1
    assert market.destroy(number).json() == {"success": True}


@pytest.mark.parametrize("fault", ["500_after", "lost_after", "garbage_after"])
def test_a_destroy_can_succeed_without_saying_so(vast: VastSimulator, market: Market, fault: str) -> None:
    number = market.rent()
    vast.fail("destroy", fault)
    quietly(market, number)

    assert vast.state()["instances"] == 0


def quietly(market: Market, number: int) -> None:
    with contextlib.suppress(httpx.HTTPError):
        market.destroy(number)


def test_a_destroyed_instance_can_stay_listed_for_a_while(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.fail("destroy", "still_listed")
    market.destroy(number)
    listed = market.list()["total_instances"]
    vast.advance(61)

    assert (listed, market.list()["total_instances"], vast.state()["burn_per_hour"]) == (1, 0, 0)


def test_an_instances_own_key_may_stop_start_and_destroy_only_itself(vast: VastSimulator, market: Market) -> None:
    number, other = market.rent(), market.rent()
    with Market(vast, vast.instances()[0]["api_key"]) as machine:
        assert machine.put(f"v0/instances/{number}/", state="stopped").json() == {"success": True}
        refused = [
            machine.destroy(other),
            machine.put(f"v0/instances/{number}/", label="mine"),
            machine.get(f"v0/instances/{number}/"),
            machine.get("v1/instances/"),
            machine.get("v0/users/current"),
            machine.put("v0/asks/1/", image="x"),
        ]
        assert machine.destroy(number).json() == {"success": True}
        assert machine.destroy(number).status_code == 401

    assert {answer.status_code for answer in refused} == {403}
    assert [row["destroyed_by"] for row in vast.instances()] == ["its own key", ""]


def test_both_slash_forms_are_answered(market: Market) -> None:
    for path in ("v0/users/current", "v0/subaccounts", "v1/instances", "v0/instances"):
        assert market.get(path).json() == market.get(path + "/").json()
    assert market.get("v0/no/such/").status_code == 404
    assert market.http.post("/api/v0/users/current").status_code == 405
