"""The simulated market's offers: shapes, identities, filters, and what vanishes."""

import httpx
import pytest

from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai.offers import MONTH_HOURS
from tests.simulators.vastai_wire import Market


def test_the_same_seed_is_the_same_market() -> None:
    def names(seed: int) -> list[tuple[int, str, float]]:
        with VastSimulator(seed=seed, start=1_800_000_000) as vast, Market(vast) as market:
            return [(offer["id"], offer["geolocation"], offer["dph_total"]) for offer in market.offers()]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_the_identities_between_prices_hold_for_the_disk_that_was_asked_for(market: Market) -> None:
    for offer in market.offers(allocated_storage=60):
        disk = offer["storage_cost"] * 60 / MONTH_HOURS
        assert offer["storage_total_cost"] == pytest.approx(disk)
        assert offer["dph_total"] == pytest.approx(offer["dph_base"] + disk)
        assert offer["dlperf_per_dphtotal"] == pytest.approx(offer["dlperf"] / offer["dph_total"])
        assert offer["vram_costperhour"] == pytest.approx(offer["dph_total"] / offer["gpu_ram"])


def test_never_more_than_64_offers_whatever_the_limit_and_paging_by_price_finds_the_rest(market: Market) -> None:
    seen: dict[int, float] = {}
    floor = 0.0
    while page := [each for each in market.offers(dph_total={"gte": floor}, limit=3000) if each["id"] not in seen]:
        assert len(page) <= 64
        seen |= {offer["id"]: offer["dph_total"] for offer in page}
        floor = page[-1]["dph_total"]

    assert len(seen) > 300


@pytest.mark.parametrize(
    "query",
    [
        {"num_gpus": {"eq": "1"}, "reliability": {"gt": "0.98"}},
        {"num_gpus": {"eq": 1.0}, "reliability2": {"gt": 0.98}},
        {"num_gpus": {"in": ["1"]}, "reliability": {"gt": 0.98}, "rentable": {"eq": "true"}},
    ],
)
def test_filters_understand_strings(market: Market, query: dict[str, object]) -> None:
    found = market.offers(**query)

    assert found
    assert all(offer["num_gpus"] == 1 and offer["reliability"] > 0.98 for offer in found)


@pytest.mark.parametrize("name", ["RTX 4090", "RTX_4090"])
def test_a_gpu_is_found_with_spaces_and_underscores(market: Market, name: str) -> None:
    assert {offer["gpu_name"] for offer in market.offers(gpu_name={"eq": name})} == {"RTX 4090"}


def test_virtual_columns_are_translated(market: Market) -> None:
    assert {each["verification"] for each in market.offers(verified={"eq": True})} == {"verified"}
    assert {each["hosting_type"] for each in market.offers(datacenter={"eq": True})} == {1}
    assert {each["geolocation"][-2:] for each in market.offers(geolocation={"in": ["SE", "NO"]})} == {"SE", "NO"}
    assert all(each["duration"] >= 5e6 for each in market.offers(duration={"gte": 5e6}))
    assert all(each["driver_vers"] >= 570000000 for each in market.offers(driver_version={"gte": "570.00.00"}))


def test_the_id_finds_nothing_and_ask_contract_id_does(market: Market) -> None:
    number = market.single()["id"]

    assert market.offers(id={"eq": number}) == []
    assert [offer["id"] for offer in market.offers(ask_contract_id={"eq": number})] == [number]


def test_an_unknown_operator_is_refused(market: Market) -> None:
    answer = market.http.post("/api/v0/bundles/", json={"num_gpus": {"like": 1}})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_args")


def test_a_filter_can_be_ignored_by_the_server(vast: VastSimulator, market: Market) -> None:
    vast.script(filters_ignored="inet_down")

    assert any(offer["inet_down"] < 5000 for offer in market.offers(inet_down={"gte": 5000}))


def test_searching_needs_no_key_and_has_two_old_spellings(vast: VastSimulator, market: Market) -> None:
    bare = httpx.post(f"{vast.url}/api/v0/bundles/", json={"num_gpus": {"eq": 8}}, trust_env=False)
    old = market.get("v0/bundles", q={"num_gpus": {"eq": 8}})
    new = market.put("v0/search/asks/", select_cols=["*"], q={"num_gpus": {"eq": 8}})

    assert bare.json() == old.json() == new.json()
    assert bare.headers["content-type"] == "application/json"


def test_renting_some_gpus_takes_every_offer_that_shares_them(market: Market) -> None:
    pair = market.offers(num_gpus={"eq": 2}, rentable={"eq": True})[0]
    same = {"machine_id": {"eq": pair["machine_id"]}}
    market.rent(pair["id"])
    left = [offer for offer in market.offers(**same) if offer["rentable"]]

    assert all(not set(offer["gpu_ids"]) & set(pair["gpu_ids"]) for offer in left)
    assert {offer["rentable"] for offer in market.offers(**same) if offer["num_gpus"] == 1} >= {False}


def test_interruptible_offers_cost_the_least_bid(market: Market) -> None:
    number = market.single()["ask_contract_id"]
    (on_demand,) = market.offers(ask_contract_id={"eq": number})
    (bid,) = market.offers(ask_contract_id={"eq": number}, type="bid")

    assert bid["is_bid"] is True
    assert bid["dph_base"] == on_demand["min_bid"] < on_demand["dph_base"]


def test_an_offer_that_vanished_is_neither_found_nor_rented(vast: VastSimulator, market: Market) -> None:
    number = market.single()["id"]
    vast.take_offer(number)
    answer = market.create(number)

    assert market.offers(ask_contract_id={"eq": number}) == []
    assert (answer.status_code, answer.json()["error"]) == (404, "invalid_args")
    assert "no_such_ask" in answer.json()["msg"]


def test_offers_can_be_gone_as_soon_as_they_were_shown(vast: VastSimulator, market: Market) -> None:
    vast.script(stale_offers=1.0)

    assert market.create(market.single()["id"]).status_code == 404


def test_strangers_rent_and_return_machines_as_time_passes(vast: VastSimulator) -> None:
    before = vast.state()["offers"]
    vast.script(churn_seconds=60)
    counts = {vast.advance(1200)["offers"] for _ in range(4)}

    assert len(counts | {before}) > 2
