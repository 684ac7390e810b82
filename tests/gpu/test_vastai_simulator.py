"""The client against the simulated vast.ai: whole lives of machines, and what each fault of the market looks like."""

import datetime
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gpu.clients.vastai import Destroy, Start, VastClient
from gpu.clients.vastai_create import (
    Created,
    CreateOutcome,
    CreateSpec,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    Refused,
    RefusedButExists,
    SpendLimit,
)
from gpu.clients.vastai_errors import (
    NotFound,
    PermissionMissing,
    SearchQuota,
    TwoFactorKey,
    VastError,
    VastProtocolError,
    VastRateLimited,
    VastRejected,
    VastUnauthorized,
    VastUnavailable,
)
from gpu.clients.vastai_limits import RateLimiter
from gpu.clients.vastai_messages import Failure, Status
from gpu.clients.vastai_offers import OfferQuery
from tests.gpu.vastai import FakeClock
from tests.simulators.vastai import VastSimulator

QUERY = OfferQuery(max_usd_per_hour=5, disk_gb=60, min_reliability=0.5, min_cuda=12)
SPEC = CreateSpec(label="i2v/test/1", disk_gb=60, image="vastai/swarmui:latest", ports=(7865,), runtype="ssh_direct")
LONG = 3600


@pytest.fixture
def market() -> Iterator[VastSimulator]:
    with VastSimulator() as simulator:
        yield simulator


@pytest.fixture
def client(market: VastSimulator) -> Iterator[VastClient]:
    with client_of(market) as made:
        yield made


def client_of(market: VastSimulator, key: str = "") -> VastClient:
    return VastClient(market.url, key or market.api_key, limiter=FakeClock().limiter())


def rented(client: VastClient, spec: CreateSpec = SPEC) -> int:
    outcome = client.create(client.search_offers(QUERY).offers[0].id, spec)
    assert isinstance(outcome, Created)
    return outcome.instance_id


def test_a_machine_is_found_rented_watched_and_given_back(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    booting = client.show(number)
    market.advance(LONG)
    running = client.show(number)
    assert booting is not None
    assert running is not None
    assert (booting.status, running.status) == (Status.NONE, Status.RUNNING)
    assert (booting.is_up, running.is_up, running.label) == (False, True, "i2v/test/1")
    where = running.address_of("7865/tcp")
    assert where is not None
    socket.create_connection((where.host, where.port), timeout=10).close()
    assert client.destroy(number) is Destroy.ACCEPTED
    assert client.show(number) is None
    assert client.destroy(number) is Destroy.GONE
    assert market.instances(alive=True) == []


def test_everything_that_can_be_done_to_a_machine_is_done(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.advance(LONG)
    client.label(number, "i2v/test/2")
    client.reboot(number)
    market.advance(60)
    client.recycle(number)
    market.advance(600)
    client.stop(number)
    assert client.start(number) is Start.STARTED
    (machine,) = client.list_instances("i2v/test/2").machines
    assert machine.id == number
    assert "swarm" in client.logs(number).lower()


def test_a_start_without_a_free_gpu_is_queued(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.advance(LONG)
    client.stop(number)
    market.fail("state", "queued")
    assert client.start(number) is Start.QUEUED


def test_nothing_is_called_too_soon_when_the_market_looks_at_the_clock() -> None:
    with VastSimulator(rate_scale=1.0, rate_clock="simulated") as market:

        def sleep(seconds: float) -> None:
            market.advance(seconds)

        limiter = RateLimiter(clock=lambda: market.now, sleep=sleep)
        with VastClient(market.url, market.api_key, limiter=limiter) as client:
            for _ in range(3):
                number = rented(client)
                client.show(number)
                client.list_instances()
                client.label(number, "i2v/test/x")
                client.destroy(number)
                client.account()
        assert market.state()["violations"] == []


# --- offers ---------------------------------------------------------------------------------------------------------


def test_pages_of_a_search_are_joined_beyond_the_cap_of_64(client: VastClient) -> None:
    query = OfferQuery(
        max_usd_per_hour=50, disk_gb=8, min_vram_gb=1, verified_only=False, min_direct_ports=0, max_pages=6
    )
    result = client.search_offers(query)
    prices = [offer.usd_per_hour for offer in result.offers]
    assert len({offer.id for offer in result.offers}) == len(result.offers) > 64
    assert prices == sorted(prices)


@pytest.mark.parametrize("change", [{"max_usd_per_hour": 0.3}, {"gpu_names": ("RTX 4090",)}, {"regions": ("US",)}])
def test_a_market_that_ignores_filters_is_filtered_by_us(
    market: VastSimulator, client: VastClient, change: dict[str, Any]
) -> None:
    wanted: dict[str, Any] = {"max_usd_per_hour": 5.0, "disk_gb": 60, "max_pages": 9}
    query = OfferQuery(**(wanted | change))
    honest = {offer.id for offer in client.search_offers(query).offers}
    fields = ["dph_total", "gpu_name", "geolocation", "gpu_ram", "verified", "rentable", "disk_space", "num_gpus"]
    market.script(filters_ignored=fields)
    result = client.search_offers(query)
    assert honest
    assert all(query.objections(offer) == [] for offer in result.offers)
    assert result.refused


def test_the_days_searches_can_be_used_up(market: VastSimulator, client: VastClient) -> None:
    market.script(search_quota=1)
    client.search_offers(OfferQuery(max_usd_per_hour=5, disk_gb=60, max_pages=1))
    with pytest.raises(SearchQuota) as caught:
        client.search_offers(QUERY)
    assert caught.value.reset_at is not None
    assert 0 < caught.value.reset_at.timestamp() - market.now <= 86400
    assert len(market.calls("search")) == 2


# --- renting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "machines"),
    [
        ("no_such_ask_404", OfferGone, 0),
        ("no_such_ask_410", OfferGone, 0),
        ("no_such_ask_400", OfferGone, 0),
        ("gone_409", OfferGone, 0),
        ("insufficient_credit", NoCredit, 0),
        ("spend_rate_limit", SpendLimit, 0),
        ("success_false", Refused, 0),
        ("server_error", OutcomeUnknown, 0),
        ("bid_too_low", RefusedButExists, 1),
        ("phantom", Created, 0),
        ("500", OutcomeUnknown, 0),
        ("504", OutcomeUnknown, 0),
        ("504_after", OutcomeUnknown, 1),
        ("lost", OutcomeUnknown, 0),
        ("lost_after", OutcomeUnknown, 1),
        ("garbage", OutcomeUnknown, 0),
        ("garbage_after", OutcomeUnknown, 1),
        ("empty_after", OutcomeUnknown, 1),
    ],
)
def test_every_outcome_of_a_rent_is_told_and_it_is_sent_once(
    market: VastSimulator, client: VastClient, fault: str, kind: type[CreateOutcome], machines: int
) -> None:
    offer = client.search_offers(QUERY).offers[0]
    market.fail("create", fault)
    outcome = client.create(offer.id, SPEC)
    assert type(outcome) is kind
    assert len(market.calls("create")) == 1
    assert len(market.instances(alive=True)) == machines


def test_a_machine_whose_answer_was_lost_is_found_by_its_label(market: VastSimulator, client: VastClient) -> None:
    offer = client.search_offers(QUERY).offers[0]
    market.fail("create", "lost_after")
    client.create(offer.id, SPEC)
    listing = client.list_instances("i2v/test/")
    assert [machine.label for machine in listing.machines] == ["i2v/test/1"]
    assert listing.complete


def test_an_offer_can_be_rented_once(client: VastClient) -> None:
    offer = client.search_offers(QUERY).offers[0]
    assert isinstance(client.create(offer.id, SPEC), Created)
    assert isinstance(client.create(offer.id, SPEC), OfferGone)


def test_an_account_without_money_rents_nothing(market: VastSimulator, client: VastClient) -> None:
    offer = client.search_offers(QUERY).offers[0]
    market.top_up(-99.995)
    assert isinstance(client.create(offer.id, SPEC), NoCredit)
    assert float(client.account().credit_usd) == pytest.approx(0.005)


# --- lists ----------------------------------------------------------------------------------------------------------


def test_thirty_machines_are_listed_over_two_pages(market: VastSimulator, client: VastClient) -> None:
    offers = [offer for offer in client.search_offers(QUERY).offers if offer.num_gpus == 1]
    numbers = []
    for offer in offers:
        outcome = client.create(offer.id, SPEC)
        numbers += [outcome.instance_id] if isinstance(outcome, Created) else []
        if len(numbers) == 30:
            break
    listing = client.list_instances("i2v/")
    assert [machine.id for machine in listing.machines] == sorted(numbers)
    assert listing.complete
    assert len(market.calls("list")) == 2


def test_a_list_that_lacks_a_row_is_not_believed(market: VastSimulator, client: VastClient) -> None:
    for _ in range(2):
        rented(client)
    market.fail("list", "incomplete")
    assert not client.list_instances().complete


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (("success_false",), VastRejected),
        (("bad_token",), VastRejected),
        (("garbage",), VastProtocolError),
        (("502", "502", "502"), VastUnavailable),
        (("401",), VastUnauthorized),
        (("401_2fa",), TwoFactorKey),
        (("403_scope",), PermissionMissing),
    ],
)
def test_a_list_that_failed_is_no_empty_list(
    market: VastSimulator, client: VastClient, faults: tuple[str, ...], kind: type[VastError]
) -> None:
    rented(client)
    market.fail("list", *faults)
    with pytest.raises(VastError) as caught:
        client.list_instances()
    assert type(caught.value) is kind


# --- reading and destroying -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "knobs", [{"show_as_list": True}, {"show_has_ports": False}, {"ip_newline": False}, {"gone_answer": "404"}]
)
def test_a_machine_is_read_whatever_way_the_api_shows_it(knobs: dict[str, Any]) -> None:
    with VastSimulator(**knobs) as market, client_of(market) as client:
        number = rented(client)
        market.advance(LONG)
        machine = client.show(number)
        assert machine is not None
        assert machine.address_of("7865/tcp")
        client.destroy(number)
        assert client.show(number) is None


@pytest.mark.parametrize("fault", ["lost", "lost_after", "504", "504_after", "429", "429_header", "429_retry_after"])
def test_a_destroy_gets_through_one_fault_of_any_kind(market: VastSimulator, client: VastClient, fault: str) -> None:
    number = rented(client)
    market.fail("destroy", fault)
    client.destroy(number)
    assert market.instances(alive=True) == []


def test_a_destroy_that_was_ignored_looks_like_one_that_was_not(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.fail("destroy", "ignored")
    assert client.destroy(number) is Destroy.ACCEPTED
    assert client.show(number) is not None


def test_a_destroy_that_vast_refuses_is_an_error(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.fail("destroy", "success_false")
    with pytest.raises(VastRejected):
        client.destroy(number)


@pytest.mark.parametrize("fault", ["429_text", "429_detail", "429_retry_after", "429_header"])
def test_a_429_of_any_wording_is_waited_out_or_told(market: VastSimulator, client: VastClient, fault: str) -> None:
    market.fail("user", fault, "ok", fault, fault, fault)
    client.account()
    with pytest.raises(VastRateLimited):
        client.account()
    assert len(market.calls("user")) == 5


def failures(market: VastSimulator, client: VastClient, number: int) -> Iterator[Failure]:
    """As an observer sees them at a few moments; a host's message may be followed by others."""
    for seconds in (8, 60, LONG):
        market.advance(seconds)
        machine = client.show(number)
        if machine and (failure := machine.failure()):
            yield failure


@pytest.mark.parametrize(
    ("fate", "code"),
    [
        ("exited", "status"),
        ("offline", "status"),
        ("unknown", "status"),
        ("oci_error", "gave_up"),
        ("stopped", "status"),
        ("disk_full", "status"),
        ("pull_error", "daemon"),
    ],
)
def test_a_machine_that_never_comes_up_is_seen_to_have_failed(
    market: VastSimulator, client: VastClient, fate: str, code: str
) -> None:
    market.script(fate_next=fate)
    number = rented(client)
    assert code in {seen.code for seen in failures(market, client, number)}


@pytest.mark.parametrize("fate", ["stuck_null", "stuck_created", "stuck_loading", "lost_status"])
def test_a_machine_that_is_only_slow_is_the_callers_deadline(
    market: VastSimulator, client: VastClient, fate: str
) -> None:
    market.script(fate_next=fate)
    number = rented(client)
    market.advance(LONG)
    machine = client.show(number)
    assert machine is not None
    assert not machine.has_failed
    assert not machine.is_up


def test_a_log_that_never_appears_is_given_up(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.fail("logs", "no_result")
    with pytest.raises(VastUnavailable):
        client.logs(number)


def test_a_machine_that_is_gone_has_no_log_and_no_label(client: VastClient) -> None:
    with pytest.raises(NotFound):
        client.logs(1)
    with pytest.raises(NotFound):
        client.label(1, "x")


# --- keys and money -------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_told_from_a_machine_that_is_gone(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    market.script(unknown_key_is_404=True)
    now = datetime.datetime.fromtimestamp(market.now, datetime.UTC)
    with client_of(market, "wrong") as stranger:
        with pytest.raises(VastUnauthorized):
            stranger.show(number)
        with pytest.raises(VastUnauthorized):
            stranger.destroy(number)
        with pytest.raises(VastUnauthorized):
            stranger.charges(now, now)


def test_an_account_that_wants_a_second_factor_says_so(market: VastSimulator, client: VastClient) -> None:
    market.script(two_factor=True)
    with pytest.raises(TwoFactorKey):
        client.account()


def test_a_key_that_may_not_write_says_so(market: VastSimulator, client: VastClient) -> None:
    offer = client.search_offers(QUERY).offers[0]
    market.script(scopes=["misc", "instance_read", "user_read"])
    with pytest.raises(PermissionMissing):
        client.create(offer.id, SPEC)
    assert market.instances() == []


def test_charges_add_up_to_what_was_paid(market: VastSimulator, client: VastClient) -> None:
    numbers = [rented(client), rented(client)]
    market.advance(30 * LONG)
    for number in numbers:
        client.destroy(number)
    now = datetime.datetime.fromtimestamp(market.now, datetime.UTC)
    charges = client.charges(now - datetime.timedelta(days=3), now)
    assert {charge.instance_id for charge in charges} == set(numbers)
    assert {charge.label for charge in charges} == {"i2v/test/1"}
    assert float(sum(charge.usd for charge in charges)) == pytest.approx(market.ledger()["paid"], abs=0.01)


def test_the_key_is_never_seen_in_an_address(market: VastSimulator, client: VastClient) -> None:
    number = rented(client)
    client.list_instances()
    client.account()
    client.destroy(number)
    assert market.state()["violations"] == []
