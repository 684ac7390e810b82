"""Money for machines: promises, caps, what is booked, and that nothing is booked twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from unittest import mock

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from gpu.errors import CapReached, NoOffer, RentingOff
from gpu.models import FleetStatus, GpuConfig, Instance, LedgerEntry
from gpu.models import InstanceState as S
from gpu.services import caps, config, ledger, machines, reconcile
from gpu.services.identity import label_of, lease_key_of, secret_of
from i2v_site.errors import DomainError
from tests.gpu import machine_rows, renting
from tests.gpu.renting import rent
from tests.simulators.vastai import VastSimulator

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def policy(db: None) -> GpuConfig:
    return renting.allow_renting(daily_cap_usd=10, monthly_cap_usd=12)


@pytest.fixture
def at_noon() -> Iterator[None]:
    with mock.patch.object(timezone, "now", return_value=NOON):
        yield


def machine(**values: object) -> Instance:
    row = Instance(usd_per_hour=Decimal("0.5"), storage_usd_per_hour=Decimal("0.1"), sent_at=NOON - HOUR, vast_id=7)
    row.label = label_of(row.pk)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def reserve(row: Instance, usd: str) -> None:
    with transaction.atomic():
        ledger.reserve(instance=row, usd=Decimal(usd))


def test_what_is_promised_and_spent_stays_below_the_caps(policy: GpuConfig, at_noon: None) -> None:
    reserve(machine(vast_id=1), "6")
    with pytest.raises(CapReached, match=r"cap of \$10\.00 a day"):
        reserve(machine(vast_id=2), "4.0001")
    reserve(machine(vast_id=3), "4")
    assert ledger.reserved() == 10


def test_yesterdays_spending_counts_for_the_month_only(policy: GpuConfig, at_noon: None) -> None:
    row = machine(state=S.DESTROYED)
    machine_rows.spent(row, "9", NOON - 24 * HOUR)
    machine_rows.spent(row, "99", NOON - 24 * 40 * HOUR)

    assert caps.spent(caps.SITE_ACCOUNTS) == (Decimal(0), Decimal(9))
    with pytest.raises(CapReached, match="a month"):
        reserve(machine(vast_id=8), "3.5")


def test_a_machine_costs_its_disk_since_it_was_sent_and_its_gpu_since_it_may_run(db: None, at_noon: None) -> None:
    row = machine(running_at=NOON - HOUR / 2)
    assert ledger.cost(row, NOON) == Decimal("0.1") + Decimal("0.2")


def test_traffic_is_counted_with_the_image_and_what_was_downloaded(db: None, at_noon: None) -> None:
    row = machine(inet_usd_per_gb=Decimal("0.01"), bytes_done=26 * 10**9)
    assert ledger.cost(row, NOON) == Decimal("0.1") + Decimal("0.41")


def test_what_was_never_rented_costs_nothing(db: None, at_noon: None) -> None:
    assert ledger.cost(machine(vast_id=None), NOON) == 0


def test_settling_twice_books_once(policy: GpuConfig, at_noon: None) -> None:
    row = machine(running_at=NOON - HOUR)
    assert ledger.settle(instance=row, now=NOON) == Decimal("0.5")
    assert ledger.settle(instance=row, now=NOON) == 0
    assert ledger.settle(instance=Instance.objects.get(), now=NOON + HOUR) == Decimal("0.5")
    assert caps.spent_from(caps.SITE_ACCOUNTS, (NOON - HOUR).date()) == Decimal(1)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_settling_at_once_books_once(settings: Settings) -> None:
    row, start = machine(running_at=NOON - HOUR), Barrier(4)

    def settle() -> None:
        start.wait(10)
        ledger.settle(instance=row, now=NOON)
        connection.close()

    threads = [Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row.refresh_from_db()
    assert (row.spent_usd, LedgerEntry.objects.count()) == (Decimal("0.5"), 1)


def test_the_rest_of_a_promise_is_given_back_once(policy: GpuConfig, at_noon: None) -> None:
    row = machine(running_at=NOON - HOUR, seen_at=NOON)
    reserve(row, "3")
    row.move(S.REQUESTED, to=S.DESTROYED)
    ledger.release(instance=row)
    ledger.release(instance=row)

    assert [one.usd for one in row.ledger.filter(kind="release")] == [Decimal("2.5")]
    assert (ledger.reserved(), caps.spent(caps.SITE_ACCOUNTS)[0]) == (Decimal(0), Decimal("0.5"))


def test_a_machine_that_was_lost_while_nobody_looked_costs_until_its_lease_ended_it(db: None, at_noon: None) -> None:
    row = machine(running_at=NOON - HOUR, seen_at=NOON - HOUR / 2, state=S.LOST)
    assert ledger.cost(row, NOON + 24 * HOUR) == pytest.approx(Decimal("0.5") * 41 / 60, abs=Decimal("0.0002"))


def test_a_machine_that_was_never_shown_costs_its_whole_lease(db: None, at_noon: None) -> None:
    row = machine(state=S.LOST)
    assert ledger.cost(row, NOON) > Decimal("0.5")


def test_a_late_machine_is_booked_once(db: None, at_noon: None) -> None:
    row = machine(state=S.FAILED)
    for _ in range(2):
        ledger.charge_late(label=row.label, contract=99, usd=Decimal("0.3"))
    row.refresh_from_db()
    assert (row.spent_usd, caps.spent(caps.SITE_ACCOUNTS)[0]) == (Decimal("0.3"), Decimal("0.3"))


def test_secrets_differ_by_machine_and_purpose_and_are_not_stored(db: None) -> None:
    one, other = machine(vast_id=1), machine(vast_id=2)
    secrets = {secret_of(one), secret_of(other), lease_key_of(one), lease_key_of(other)}
    assert len(secrets) == 4
    assert not secrets & {str(value) for row in Instance.objects.values() for value in row.values()}


# --- asking for machines -----------------------------------------------------------------------------------
@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never", sockets=False) as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting()
            yield simulator


def test_nothing_is_rented_while_renting_is_off(vast: VastSimulator) -> None:
    renting.allow_renting(renting=False)
    with pytest.raises(RentingOff):
        machines.request_machine(reason="a test wants one")


def test_nothing_is_rented_without_a_key(vast: VastSimulator, settings: Settings) -> None:
    settings.VASTAI_API_KEY = ""
    with pytest.raises(RentingOff, match="VASTAI_API_KEY"):
        machines.request_machine(reason="a test wants one")
    assert not reconcile.reconcile().ran


def test_a_refused_intent_leaves_no_row_and_no_promise(vast: VastSimulator) -> None:
    renting.allow_renting(daily_cap_usd=Decimal("0.5"))
    with pytest.raises(CapReached):
        machines.request_machine(reason="a test wants one")
    assert (Instance.objects.count(), LedgerEntry.objects.count()) == (0, 0)


def test_an_offer_that_is_gone_is_refused(vast: VastSimulator) -> None:
    with pytest.raises(NoOffer, match="gone"):
        machines.request_machine(offer_id=1, reason="a test wants one")


def test_no_more_machines_than_allowed(vast: VastSimulator) -> None:
    machines.request_machine(reason="a test wants one")
    with pytest.raises(CapReached, match="No more than 1"):
        machines.request_machine(reason="a test wants another")


def test_below_the_credit_to_be_left_nothing_is_sent(vast: VastSimulator) -> None:
    renting.allow_renting(min_credit_usd=500, daily_cap_usd=50, monthly_cap_usd=500)
    row = rent(vast)
    assert (row.state, vast.calls("create"), FleetStatus.objects.get().credit_usd) == (S.FAILED, [], Decimal(100))


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_requests_at_once_stay_below_the_cap(vast: VastSimulator) -> None:
    renting.allow_renting(max_machines=9, daily_cap_usd=4)
    start = Barrier(4)

    def ask() -> None:
        start.wait(30)
        try:
            machines.request_machine(reason="a test wants one")
        except DomainError:
            pass
        finally:
            connection.close()

    config.load()
    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < ledger.reserved() <= 4


def test_a_lease_is_extended_up_to_the_end_of_the_machines_life(vast: VastSimulator) -> None:
    row = rent(vast)
    for _ in range(9):
        row = machines.extend_lease(instance=row)
    assert row.lease_until == row.extended_until == row.max_until
