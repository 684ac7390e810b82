"""Searching: what is asked, how pages follow each other, and that vast.ai's filters are never trusted."""

import itertools
import json
from typing import Any

import pytest

from gpu.clients.vastai_errors import VastProtocolError
from gpu.clients.vastai_offers import Offer, OfferQuery, parse_offer
from tests.gpu.vastai import OFFER, says, vast
from tests.simulators.wire import reply

QUERY = OfferQuery(
    max_usd_per_hour=0.5,
    disk_gb=60,
    gpu_names=("RTX_4090",),
    regions=("us", "SE"),
    min_reliability=0.95,
    min_inet_down_mbps=500,
    min_cuda=12.8,
    min_direct_ports=2,
    min_duration_s=86400,
)


def offers(*prices: float, first_id: int = 1) -> list[dict[str, Any]]:
    numbered = zip(itertools.count(first_id), prices, strict=False)
    return [OFFER | {"id": number, "dph_total": price, "dph_base": price - 0.0125} for number, price in numbered]


def test_the_search_asks_vast_for_everything_that_it_can_filter() -> None:
    with vast(says({"offers": [OFFER]})) as server:
        server.client.search_offers(QUERY)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/api/v0/bundles/")
    assert asked.body == {
        "rentable": {"eq": True},
        "external": {"eq": False},
        "verified": {"eq": True},
        "num_gpus": {"eq": 1},
        "gpu_name": {"in": ["RTX 4090"]},
        "gpu_ram": {"gte": pytest.approx(22855.68)},
        "dph_total": {"lte": 0.5},
        "disk_space": {"gte": 60},
        "direct_port_count": {"gte": 2},
        "duration": {"gte": 86400},
        "reliability": {"gte": 0.95},
        "inet_down": {"gte": 500},
        "cuda_max_good": {"gte": 12.8},
        "geolocation": {"in": ["US", "SE"]},
        "type": "on-demand",
        "order": [["dph_total", "asc"]],
        "limit": 64,
        "allocated_storage": 60,
    }


def test_what_is_not_wanted_is_not_asked_for() -> None:
    body = OfferQuery(max_usd_per_hour=1, disk_gb=60, verified_only=False).body()
    assert not {"verified", "gpu_name", "geolocation", "cuda_max_good"} & set(body)


def test_an_offer_comes_as_a_value_of_ours() -> None:
    offer = parse_offer(OFFER, disk_gb=60)
    assert offer is not None
    assert (offer.id, offer.machine_id, offer.gpu_name, offer.country) == (31415926, 24680, "RTX 4090", "US")
    assert offer.usd_per_hour == pytest.approx(0.4125)
    assert offer.storage_usd_per_hour == pytest.approx(0.0125)
    assert (offer.inet_down_usd_per_gb, offer.inet_down_mbps, offer.cuda) == (0.0025, 934.0, 12.8)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dph_total": 0.51}, "price"),
        ({"storage_cost": 2.0}, "price"),  # the price was made for a smaller disk
        ({"gpu_name": "RTX 3090"}, "gpu"),
        ({"num_gpus": 2}, "gpu count"),
        ({"gpu_ram": 22528}, "vram"),
        ({"disk_space": 59.9}, "disk"),
        ({"verification": "deverified"}, "not verified"),
        ({"verification": None}, "not verified"),
        ({"reliability": 0.94}, "reliability"),
        ({"reliability": 99.6}, "reliability"),
        ({"reliability": None}, "reliability"),
        ({"inet_down": 499.0}, "download speed"),
        ({"cuda_max_good": 12.4}, "cuda"),
        ({"cuda_max_good": None}, "cuda"),
        ({"direct_port_count": 1}, "ports"),
        ({"direct_port_count": None}, "ports"),
        ({"duration": 3600.0}, "duration"),
        ({"duration": None}, "duration"),
        ({"geolocation": "Quebec, CA"}, "region"),
        ({"geolocation": None}, "region"),
        ({"rentable": False}, "not rentable"),
        ({"rentable": None}, "not rentable"),
        ({"rented": True}, "not rentable"),
        ({"external": True}, "not rentable"),
        ({"is_bid": True}, "not rentable"),
    ],
)
def test_an_offer_that_vast_should_have_filtered_is_refused_by_us(change: dict[str, Any], word: str) -> None:
    with vast(says({"offers": [OFFER | change]})) as server:
        result = server.client.search_offers(QUERY)
    assert (result.offers, result.seen, dict(result.refused)) == ((), 1, {word: 1})


@pytest.mark.parametrize("key", ["dph_total", "dph_base", "storage_cost", "inet_down_cost", "inet_up_cost"])
@pytest.mark.parametrize("value", ["null", "NaN", "-0.1", '"0.1"', "1e999", "true", "1e16"])
def test_an_offer_whose_price_cannot_be_relied_on_is_none(key: str, value: str) -> None:
    page = json.dumps({"offers": [OFFER | {key: "VALUE"}, OFFER | {"id": 5}]}).replace('"VALUE"', value)
    with vast(reply(page.encode())) as server:
        result = server.client.search_offers(QUERY)
    assert [offer.id for offer in result.offers] == [5]
    assert result.refused == {"unreadable": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"dph_total": 0},
        {"dph_base": 0},
        {"id": None},
        {"id": 0},
        {"machine_id": "x"},
        {"gpu_ram": None},
        {"num_gpus": 0},
    ],
)
def test_an_offer_without_id_size_or_price_is_none(change: dict[str, Any]) -> None:
    assert parse_offer(OFFER | change, disk_gb=60) is None


@pytest.mark.parametrize("junk", [None, 5, "offer", [], {}])
def test_what_is_no_offer_is_none(junk: object) -> None:
    assert parse_offer(junk, disk_gb=60) is None


def test_free_traffic_is_a_price() -> None:
    assert parse_offer(OFFER | {"inet_down_cost": 0, "inet_up_cost": 0.0}, disk_gb=60) is not None


def test_machines_that_failed_us_are_avoided() -> None:
    query = OfferQuery(max_usd_per_hour=1, disk_gb=60, exclude_machines=frozenset({24680}))
    with vast(says({"offers": [OFFER, OFFER | {"id": 2, "machine_id": 1}]})) as server:
        result = server.client.search_offers(query)
    assert [offer.id for offer in result.offers] == [2]


def test_a_card_of_24_gb_may_report_a_little_less() -> None:
    query = OfferQuery(max_usd_per_hour=1, disk_gb=60)
    smallest = parse_offer(OFFER | {"gpu_ram": 23028}, disk_gb=60)
    assert smallest is not None
    assert query.objections(smallest) == []


def test_the_next_page_begins_at_the_last_price_and_repeats_nothing() -> None:
    first = offers(*[0.10 + number / 1000 for number in range(64)])
    second = [first[-1], *offers(0.2, 0.19, first_id=100)]
    with vast(says({"offers": first}), says({"offers": second})) as server:
        result = server.client.search_offers(OfferQuery(max_usd_per_hour=1, disk_gb=60))
    assert server.asked[1].body["dph_total"] == {"lte": 1, "gte": pytest.approx(0.163)}
    assert [offer.id for offer in result.offers] == [*range(1, 65), 101, 100]
    assert result.seen == 66


def test_a_page_full_of_one_price_does_not_come_for_ever() -> None:
    page = says({"offers": offers(*[0.3] * 64)})
    with vast(page) as server:
        server.client.search_offers(OfferQuery(max_usd_per_hour=1, disk_gb=60, max_pages=9))
    assert [asked.body["dph_total"] for asked in server.asked] == [
        {"lte": 1},
        {"lte": 1, "gte": 0.3},
        {"lte": 1, "gt": 0.3},
    ]


def test_searching_ends_after_the_pages_that_were_allowed() -> None:
    pages = [says({"offers": offers(*[0.1 + page / 10] * 64, first_id=page * 100 + 1)}) for page in range(5)]
    with vast(*pages) as server:
        server.client.search_offers(OfferQuery(max_usd_per_hour=1, disk_gb=60, max_pages=2))
    assert len(server.asked) == 2


def test_no_page_is_fetched_beyond_the_price_ceiling() -> None:
    with vast(says({"offers": offers(*[0.3] * 63, 1.5)})) as server:
        server.client.search_offers(OfferQuery(max_usd_per_hour=1, disk_gb=60))
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [{}, {"offers": None}, {"offers": {}}])
def test_an_answer_without_offers_is_no_empty_market(answer: dict[str, Any]) -> None:
    with vast(says(answer)) as server, pytest.raises(VastProtocolError):
        server.client.search_offers(QUERY)


def test_the_snapshot_of_an_offer_can_be_kept_in_a_database() -> None:
    raw = json.loads('{"note": "a\\u0000b\\ud800", "score": 1e999, "deep": [{"x": -1e999}]}')
    offer = parse_offer(OFFER | raw, disk_gb=60)
    assert isinstance(offer, Offer)
    assert json.dumps(offer.raw, allow_nan=False).encode()
    assert (offer.raw["note"], offer.raw["score"], offer.raw["deep"]) == ("a?b?", None, [{"x": None}])
