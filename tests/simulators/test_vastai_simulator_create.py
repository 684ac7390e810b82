"""Making a contract on the simulated market: every answer there is."""

from typing import Any

import httpx
import pytest

from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import ENV, Market


def test_a_contract_has_an_id_and_a_key_of_its_own(vast: VastSimulator, market: Market) -> None:
    answer = market.create().json()
    (instance,) = vast.instances()

    assert answer == {"success": True, "new_contract": instance["id"], "instance_api_key": instance["api_key"]}
    assert (instance["label"], instance["env"]) == ("a label", ENV)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("no_such_ask_404", 404, "invalid_args"),
        ("no_such_ask_410", 410, "no_such_ask"),
        ("no_such_ask_400", 400, "no_such_ask"),
        ("gone_409", 409, "conflict"),
        ("insufficient_credit", 400, "insufficient_credit"),
        ("spend_rate_limit", 400, "spend_rate_limit"),
        ("server_error", 500, "server_error"),
        ("success_false", 200, "invalid_state"),
    ],
)
def test_a_scripted_refusal_rents_nothing(
    vast: VastSimulator, market: Market, fault: str, status: int, code: str
) -> None:
    vast.fail("create", fault)
    answer = market.create()

    assert (answer.status_code, answer.json()["success"], answer.json()["error"]) == (status, False, code)
    assert vast.state()["rented"] == 0


@pytest.mark.parametrize("fault", ["500", "502", "503", "504", "429", "lost", "hang", "garbage", "empty", "401_2fa"])
def test_a_fault_before_the_work_rents_nothing(vast: VastSimulator, market: Market, fault: str) -> None:
    vast.script(hang_real_seconds=0.05)
    vast.fail("create", fault)
    outcome(market)

    assert vast.state()["rented"] == 0
    assert market.create().json()["success"] is True


@pytest.mark.parametrize("fault", ["500", "502", "503", "504", "lost", "hang", "garbage", "empty"])
def test_a_fault_after_the_work_has_rented_nevertheless(vast: VastSimulator, market: Market, fault: str) -> None:
    vast.script(hang_real_seconds=0.05)
    vast.fail("create", f"{fault}_after")
    answer = outcome(market)

    assert answer is None or "new_contract" not in answer.text
    assert vast.state()["labels"] == {"a label": 1}


def outcome(market: Market) -> httpx.Response | None:
    try:
        return market.create()
    except httpx.HTTPError:
        return None


def test_a_bid_below_the_floor_fails_and_leaves_a_stopped_contract_that_bills(
    vast: VastSimulator, market: Market
) -> None:
    answer = market.create(price=0.001).json()
    shown = market.show(answer["new_contract"])
    vast.advance(3600)

    assert answer["success"] is False
    assert [shown[name] for name in ("intended_status", "cur_state", "next_state")] == ["stopped"] * 3
    assert vast.ledger()["paid"] == pytest.approx(shown["storage_total_cost"])


def test_a_fair_bid_is_what_is_paid(vast: VastSimulator, market: Market) -> None:
    offer = market.single()
    number = market.rent(offer["id"], price=offer["min_bid"] * 1.2)

    assert market.show(number)["is_bid"] is True
    assert market.show(number)["dph_base"] == pytest.approx(offer["min_bid"] * 1.2)


def test_a_phantom_contract_is_never_seen(vast: VastSimulator, market: Market) -> None:
    vast.fail("create", "phantom")
    number = market.rent()
    vast.advance(3600)

    assert market.show(number) is None
    assert (market.destroy(number).status_code, vast.ledger()["paid"]) == (404, 0)


def test_a_new_contract_may_be_invisible_for_a_while_or_for_some_reads(vast: VastSimulator, market: Market) -> None:
    vast.script(create_lag_seconds=10)
    late = market.rent()
    vast.script(create_lag_seconds=0, create_lag_reads=2)
    read_later = market.rent()

    assert [market.show(read_later) is None for _ in range(2)] == [True, False]
    assert market.list()["total_instances"] == 1
    vast.advance(11)
    assert market.show(late)["id"] == late


def test_the_second_renter_of_an_offer_is_too_late(market: Market) -> None:
    number = market.single()["id"]
    market.rent(number)

    assert market.create(number, cancel_unavail=True).status_code == 410


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"disk": 7}, "invalid_args"),
        ({"disk": "much"}, "invalid_args"),
        ({"label": "x" * 257}, "label_too_long"),
        ({"price": 129}, "invalid_price"),
        ({"onstart": "x" * 17000}, "invalid_args"),
        ({"env": {"k" * 257: "v"}}, "invalid_args"),
        ({"env": {"k": "v" * 33000}}, "invalid_args"),
        ({"env": {f"-p {port}:{port}": "1" for port in range(2000, 2065)}}, "invalid_args"),
        ({"image": None}, "invalid_args"),
    ],
)
def test_limits_are_kept(market: Market, changes: dict[str, Any], code: str) -> None:
    answer = market.create(**changes)

    assert (answer.status_code, answer.json()["error"]) == (400, code)


def test_null_is_as_good_as_absent(vast: VastSimulator, market: Market) -> None:
    answer = market.create(price=None, label=None, onstart=None, template_hash_id=None, args=None, disk=None)

    assert answer.json()["success"] is True
    shown = market.show(answer.json()["new_contract"])
    assert (shown["label"], shown["disk_space"]) == (None, 8)


def test_docker_flags_as_a_string_are_not_applied(market: Market) -> None:
    assert market.show(market.rent(env="-p 7865:7865 -e A=b"))["extra_env"] == []


def test_a_body_that_is_no_json_is_483(vast: VastSimulator, market: Market) -> None:
    assert market.http.put(f"/api/v0/asks/{market.single()['id']}/", content=b"{").status_code == 483


def test_a_template_gives_what_the_request_leaves_out(vast: VastSimulator, market: Market) -> None:
    hash_id = vast.publish_template(image="a/b", tag="1", env_map={"A": "template", "B": "template"}, onstart="go")
    number = market.rent(template_hash_id=hash_id, image=None, env={"A": "mine"})
    shown = market.show(number)

    assert (shown["image_uuid"], shown["onstart"], shown["template_hash_id"]) == ("a/b:1", "go", hash_id)
    assert dict(shown["extra_env"]) == {"A": "mine", "B": "template"}
    assert market.create(template_hash_id="no such").status_code == 404


def test_without_credit_nothing_is_rented() -> None:
    with VastSimulator(credit=0, insufficient_credit_status=402) as vast, Market(vast) as market:
        answer = market.create()

    assert (answer.status_code, answer.json()["error"]) == (402, "insufficient_credit")


def test_a_new_account_has_a_spend_limit(vast: VastSimulator, market: Market) -> None:
    vast.script(spend_limit_per_hour=0.01)

    assert market.create().json()["error"] == "spend_rate_limit"


def test_the_label_can_be_dropped(vast: VastSimulator, market: Market) -> None:
    vast.script(label_at_create=False)

    assert market.show(market.rent())["label"] is None


def test_a_knob_a_fault_or_a_fate_that_does_not_exist_is_refused(vast: VastSimulator) -> None:
    for wrong in ({"no_such": 1}, {"fail_next": {"create": ["no_such"]}}, {"fate_next": ["no_such"]}):
        with pytest.raises(ValueError, match="no such"):
            vast.script(**wrong)
