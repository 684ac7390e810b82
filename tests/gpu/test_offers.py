"""What a video is expected to cost on an offer, and what keeps an offer out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.services.fleet_values import Assumptions, HostMemory, MarketOffer, Policy
from gpu.services.offers import ScoredOffer, rank, score
from tests.gpu.fleet_factories import MARKET, NOW, minutes, offer

POLICY = Policy()
ASSUMED = Assumptions()


def scored(one: MarketOffer, policy: Policy = POLICY, host: HostMemory | None = None) -> ScoredOffer:
    return score(one, policy, host, ASSUMED, NOW)


def test_the_parts_of_the_cost_are_those_of_the_bill():
    parts = scored(offer()).parts
    assert parts is not None
    download_s = 41.2 * 8000 / (2000 * 0.6)
    traffic = 41.2 * 0.0025 / 30
    assert parts.gpu == pytest.approx(0.40 * 95 / 3600)
    assert parts.download == pytest.approx(0.40 * download_s / 3600 / 30)
    assert parts.boot == pytest.approx(0.40 * 180 / 3600 / 30)
    assert parts.traffic == pytest.approx(traffic + 0.004 * 0.005)
    assert parts.storage == pytest.approx(0.0125 * (95 + (download_s + 180) / 30) / 3600)
    risk = 0.08 + 1 - 0.9962
    assert parts.risk == pytest.approx(risk / (1 - risk) * (parts.boot + parts.download + traffic))
    assert parts.total == pytest.approx(sum(getattr(parts, name) for name in parts.__dataclass_fields__))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"rentable": False}, "not rentable"),
        ({"rentable": None}, "not rentable"),
        ({"num_gpus": 2}, "2 GPUs"),
        ({"gpu_name": "RTX 3060"}, "not among the GPUs"),
        ({"geolocation": "Oslo, NO"}, "NO is not among the regions"),
        ({"geolocation": None}, "unknown place"),
        ({"verification": "deverified"}, "not verified"),
        ({"dph_base": 1.2}, "an hour is above"),
        ({"gpu_ram": 16376.0}, "VRAM"),
        ({"gpu_ram": None}, "VRAM is unknown"),
        ({"reliability": 0.6}, "reliability"),
        ({"reliability": float("nan")}, "reliability is unknown"),
        ({"inet_down": 120.0}, "download speed"),
        ({"cuda_max_good": 12.2}, "CUDA"),
        ({"cuda_max_good": None}, "CUDA is unknown"),
        ({"disk_space": 30.0}, "disk"),
        ({"duration": 3600.0}, "host wants it back"),
        ({"direct_port_count": 0}, "open ports"),
    ],
)
def test_an_offer_that_the_policy_does_not_allow_says_why(changed: dict[str, Any], word: str):
    policy = replace(POLICY, gpu_names=frozenset({"RTX 4090"}), regions=frozenset({"US"}))
    assert scored(offer(), policy).excluded == ()
    (reason,) = scored(offer(**changed), policy).excluded
    assert word in reason


def test_every_reason_is_given_and_not_only_the_first():
    assert len(scored(offer(num_gpus=4, gpu_ram=1.0, verification=None)).excluded) == 3


def test_a_card_that_reports_slightly_less_than_its_name_is_taken():
    assert scored(offer(gpu_ram=23028.0)).excluded == ()


@pytest.mark.parametrize("field", ["dph_base", "storage_cost", "inet_down", "inet_down_cost", "inet_up_cost"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, None, 1e300])
def test_a_price_that_is_no_usable_number_keeps_the_offer_out_and_last(field: str, value: float | None):
    changed: dict[str, Any] = {field: value}
    broken = scored(offer(**changed))
    assert broken.excluded
    assert broken.parts is None
    assert rank([broken.offer, offer(2)], POLICY, {}, ASSUMED, NOW)[0].offer.id == offer(2).id


@pytest.mark.parametrize("field", ["dph_base", "inet_down"])
def test_a_price_or_a_speed_of_zero_is_not_believed(field: str):
    changed: dict[str, Any] = {field: 0.0}
    assert scored(offer(**changed)).excluded == (f"{field} is zero",)


def test_what_was_seen_on_a_host_counts_more_than_what_it_advertises():
    memory = HostMemory(machine_id=24001, boots=5, boot_seconds=1500, download_mbps=250, seconds_per_video=140)
    seen, fresh = scored(offer(), host=memory), scored(offer())
    assert (seen.seconds_per_video, seen.boot_s, seen.remembered) == (140, 1500, True)
    assert seen.usd_per_video > fresh.usd_per_video
    assert seen.failure_risk < fresh.failure_risk


def test_failures_make_a_host_dearer_and_good_boots_make_it_cheaper():
    costs = [
        scored(offer(), host=HostMemory(machine_id=24001, boots=boots, failures=failures)).usd_per_video
        for boots, failures in ((10, 0), (0, 0), (5, 2), (0, 4))
    ]
    assert costs == sorted(set(costs))


def test_a_host_that_failed_is_avoided_for_a_while():
    memory = HostMemory(machine_id=24001, failures=1, avoid_until=NOW + minutes(60))
    assert "avoided until" in scored(offer(), host=memory).excluded[0]
    assert scored(offer(), host=replace(memory, avoid_until=NOW)).excluded == ()


@pytest.mark.parametrize("nonsense", [float("nan"), -5.0, 0.0, float("inf")])
def test_a_memory_that_cannot_have_been_measured_is_ignored(nonsense: float):
    memory = HostMemory(machine_id=24001, boot_seconds=nonsense, download_mbps=nonsense, seconds_per_video=nonsense)
    assert scored(offer(), host=memory).parts == scored(offer()).parts


def test_the_cheapest_video_wins_and_not_the_cheapest_hour():
    slow = offer(1, gpu_name="RTX 3090", dph_base=0.25)
    quick = offer(2, dph_base=0.40)
    assert [one.offer.id for one in rank([slow, quick], POLICY, {}, ASSUMED, NOW)] == [quick.id, slow.id]


def test_dear_traffic_outweighs_a_low_price():
    dear = offer(1, dph_base=0.30, inet_down_cost=0.05)
    assert rank([dear, offer(2)], POLICY, {}, ASSUMED, NOW)[0].offer.id == offer(2).id


@given(st.permutations([*MARKET, offer(20, dph_base=0.41), offer(21, dph_base=0.41), offer(22, rentable=False)]))
def test_the_order_does_not_depend_on_how_the_market_answers(answer: list[MarketOffer]):
    ids = [one.offer.id for one in rank(answer, POLICY, {}, ASSUMED, NOW)]
    assert ids == [one.offer.id for one in rank(sorted(answer, key=lambda one: one.id), POLICY, {}, ASSUMED, NOW)]
    assert ids[-1] == offer(22).id
