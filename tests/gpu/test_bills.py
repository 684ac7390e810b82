"""vast.ai's own charges against our books, with the simulated vast.ai as the truth."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from gpu.models import Alarm, DayTotal, FleetStatus, Instance, LedgerEntry
from gpu.models import InstanceState as S
from gpu.services import audit, bills, caps, machines, watch
from gpu.services.machine_costs import machine_cost
from tests.gpu import machine_rows, renting
from tests.gpu.renting import rent, until
from tests.simulators.vastai import VastSimulator

D = Decimal
HOUR, DAY = 3600, 86400
EVENING = datetime(2026, 11, 24, 23, 50, tzinfo=UTC).timestamp()  # every machine lives through midnight


@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never", sockets=False, start=EVENING) as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting(daily_cap_usd=50, monthly_cap_usd=100)
            yield simulator


def ended(vast: VastSimulator, *, minutes: int = 12) -> Instance:
    """A machine that was rented for so long and is gone."""
    row = until(vast, rent(vast), S.PROVISIONING, S.READY)
    for _ in range(minutes):
        renting.period(vast)
    row.refresh_from_db()
    machines.destroy(instance=row, reason="the test has seen enough")
    return until(vast, row, S.DESTROYED)


def paid(vast: VastSimulator, row: Instance) -> Decimal:
    (contract,) = [one for one in vast.ledger()["contracts"] if one["id"] == row.vast_id]
    return D(str(contract["total"]))


def days(vast: VastSimulator, row: Instance, number: int) -> Instance:
    """So many days of looking, every hour."""
    for _ in range(number * 24):
        vast.advance(HOUR)
        bills.check()
    row.refresh_from_db()
    return row


def test_the_books_end_with_what_vast_charged(vast: VastSimulator) -> None:
    row = ended(vast)
    reckoned = row.spent_usd
    row = days(vast, row, 3)
    truth = paid(vast, row)
    assert row.charged_usd == pytest.approx(truth, abs=D("0.002"))
    assert (row.spent_usd, row.bill_settled) == (row.charged_usd, True)
    correction = row.ledger.get(kind="correct")
    assert correction.usd == row.spent_usd - reckoned
    assert f"vast.ai charged ${row.spent_usd:.3f}" in row.events.get(kind="bill").message
    assert audit.check_ledger() == []
    cost = machine_cost(row.pk)
    assert cost is not None
    assert (cost.billed, cost.spent_usd) == (True, row.spent_usd)


def test_a_difference_counts_on_the_day_on_which_the_machine_ended(vast: VastSimulator) -> None:
    row = days(vast, ended(vast), 3)
    assert row.ended_at
    assert row.ledger.get(kind="correct").at == row.ended_at
    first, second = DayTotal.objects.filter(account="machine").order_by("day")
    assert second.day == row.ended_at.date()
    assert first.spent_usd + second.spent_usd == row.spent_usd
    assert caps.spent(caps.SITE_ACCOUNTS)[0] == 0


def test_a_bill_that_says_less_is_not_believed_before_it_said_so_twice(vast: VastSimulator) -> None:
    row = ended(vast)
    reckoned = row.spent_usd
    for _ in range(2):
        vast.advance(HOUR)
        bills.check()
    row.refresh_from_db()
    assert row.charged_usd is not None
    assert row.charged_usd < reckoned  # our reckoning rounds up and adds the silence
    assert (row.spent_usd, row.bill_settled) == (reckoned, False)


def test_a_bill_that_says_more_is_believed_at_once(vast: VastSimulator) -> None:
    row = ended(vast)
    Instance.objects.filter(pk=row.pk).update(spent_usd=D("0.01"))
    vast.advance(2 * HOUR)
    assert bills.check() == 1
    row.refresh_from_db()
    assert row.spent_usd == row.charged_usd


def test_a_bill_is_asked_for_once_a_day_and_in_one_call_for_all(vast: VastSimulator) -> None:
    renting.allow_renting(max_machines=3, daily_cap_usd=50, monthly_cap_usd=100)
    rows = [ended(vast, minutes=1) for _ in range(3)]
    vast.advance(2 * HOUR)
    assert (bills.check(), bills.check()) == (3, 0)
    vast.advance(HOUR)
    assert bills.check() == 0
    assert len(vast.calls("charges")) == 1
    days(vast, rows[0], 6)
    assert all(Instance.objects.values_list("bill_settled", flat=True))
    assert len(vast.calls("charges")) == 2


def test_a_machine_that_still_runs_has_no_bill_yet(vast: VastSimulator) -> None:
    until(vast, rent(vast), S.PROVISIONING, S.READY)
    vast.advance(DAY)
    assert bills.check() == 0


def test_while_vast_does_not_answer_the_books_stay_and_the_timeline_says_it(vast: VastSimulator) -> None:
    row = ended(vast)
    reckoned = row.spent_usd
    vast.script(fail_next={"charges": ["503"] * 9})
    vast.advance(2 * HOUR)
    assert bills.check() == 0
    row.refresh_from_db()
    assert (row.spent_usd, row.charged_usd, row.bill_settled) == (reckoned, None, False)
    assert "could not be read" in row.events.get(kind="bill").message
    vast.script(fail_next={})
    assert days(vast, row, 3).bill_settled


def test_a_bill_that_never_comes_leaves_what_we_reckoned(vast: VastSimulator) -> None:
    vast.script(charges_lag_seconds=400 * DAY)
    row = ended(vast)
    reckoned = row.spent_usd
    row = days(vast, row, 7)
    assert (row.spent_usd, row.charged_usd, row.bill_settled) == (reckoned, None, True)
    assert "does not name it" in row.events.get(kind="bill").message


def test_a_bill_that_comes_in_halves_is_waited_for(vast: VastSimulator) -> None:
    """Rented through midnight, while the second day is shown two days late."""
    vast.script(charges_lag_seconds=2.5 * DAY)
    row = ended(vast)
    row = days(vast, row, 6)
    assert row.charged_usd == pytest.approx(paid(vast, row), abs=D("0.004"))
    assert (row.spent_usd, row.bill_settled) == (row.charged_usd, True)


def test_looking_twice_at_once_books_once(vast: VastSimulator) -> None:
    row = ended(vast)
    vast.advance(2 * HOUR)
    bills.check()
    for _ in range(2):  # as if another process had read the same bill
        bills._take(row.pk, D("9.5"), timezone.now())
    row.refresh_from_db()
    assert (row.spent_usd, row.ledger.filter(kind="correct").count()) == (D("9.5"), 1)


def test_the_minutes_look_reads_bills_and_adds_up_once_a_day(vast: VastSimulator) -> None:
    row = ended(vast)
    vast.advance(2 * HOUR)
    watch.look()
    row.refresh_from_db()
    assert row.charged_usd is not None
    checked = FleetStatus.objects.get().ledger_checked_at
    vast.advance(60)
    watch.look()
    assert FleetStatus.objects.get().ledger_checked_at == checked


def test_a_ledger_that_does_not_add_up_raises_an_alarm_until_it_does(vast: VastSimulator) -> None:
    row = machine_rows.instance(S.READY, reserved_usd=0)
    Instance.objects.filter(pk=row.pk).update(spent_usd=5)
    watch.look()
    assert "does not add up in 1 places" in Alarm.objects.get(kind="ledger").message
    machine_rows.spent(row, "5")
    watch.look()
    assert Alarm.objects.get(kind="ledger").cleared_at is None  # it is added up once a day
    vast.advance(DAY + timedelta(minutes=1).total_seconds())
    watch.look()
    assert Alarm.objects.get(kind="ledger").cleared_at is not None
    assert LedgerEntry.objects.count() == 1
