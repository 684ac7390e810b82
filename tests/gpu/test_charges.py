"""Money of videos: promised, settled once, given back, under the caps of a person and of the site."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from gpu.errors import CapReached
from gpu.models import Book, DayTotal, GpuConfig, LedgerEntry, PersonBudget, Purse
from gpu.services import audit, charges, config, ledger
from gpu.services.caps import SITE_ACCOUNTS, spent
from gpu.services.charges import JobMoney
from tests.gpu import machine_rows

D = Decimal


@pytest.fixture
def policy(db: None) -> GpuConfig:
    return caps(daily_cap_usd=10, monthly_cap_usd=12, person_daily_cap_usd=3, person_monthly_cap_usd=5)


def caps(**values: object) -> GpuConfig:
    row = config.load()
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def video(of: User, *, cloud: bool = True) -> JobMoney:
    return JobMoney(job_id=uuid4(), person_id=of.pk, cloud=cloud)


def sums() -> dict[str, Decimal]:
    return {row.account: row.reserved_usd for row in Purse.objects.all()} | {
        f"spent {row.account}": row.spent_usd for row in DayTotal.objects.all()
    }


def test_a_promise_counts_against_the_caps_of_its_person(policy: GpuConfig, person: User, stranger: User) -> None:
    charges.reserve_job(video(person), D("2.5"))
    with pytest.raises(CapReached, match=r"only \$0\.50 are left under your own cap of \$3\.00 a day") as refused:
        charges.reserve_job(video(person), D("0.51"))
    charges.reserve_job(video(person), D("0.5"))
    charges.reserve_job(video(stranger), D("0.51"))
    assert (refused.value.status, refused.value.code) == (402, "cap_reached")


def test_a_budget_of_ones_own_goes_before_everybodys(policy: GpuConfig, person: User) -> None:
    PersonBudget.objects.create(person=person, daily_cap_usd=1)
    with pytest.raises(CapReached, match=r"your own cap of \$1\.00 a day"):
        charges.reserve_job(video(person), D("1.01"))
    PersonBudget.objects.update(daily_cap_usd=4, monthly_cap_usd=D("3.5"))
    with pytest.raises(CapReached, match=r"your own cap of \$3\.50 a month"):
        charges.reserve_job(video(person), D("3.6"))
    PersonBudget.objects.update(daily_cap_usd=0)
    with pytest.raises(CapReached):
        charges.reserve_job(video(person), D("0.01"))


def test_without_caps_of_persons_only_the_sites_count(policy: GpuConfig, person: User) -> None:
    caps(person_daily_cap_usd=None, person_monthly_cap_usd=None)
    with pytest.raises(CapReached, match=r"this site's cap of \$10\.00 a day"):
        charges.reserve_job(video(person), D("10.01"))
    charges.reserve_job(video(person, cloud=False), D("10.01"))  # its machine stands under the site's caps itself


def test_machines_and_cloud_calls_stand_under_the_same_cap(policy: GpuConfig, person: User) -> None:
    caps(person_daily_cap_usd=None, person_monthly_cap_usd=None)
    ledger.reserve(instance=machine_rows.instance(reserved_usd=0), usd=D(6))
    with pytest.raises(CapReached, match=r"only \$4\.00 are left under this site's cap"):
        charges.reserve_job(video(person), D("4.01"))
    charges.reserve_job(video(person), D(3))
    with pytest.raises(CapReached, match=r"A machine .* only \$1\.00 are left"):
        ledger.reserve(instance=machine_rows.instance(reserved_usd=0), usd=D("1.01"))


def test_a_settled_video_is_paid_once_and_the_rest_given_back(policy: GpuConfig, person: User) -> None:
    one = video(person)
    charges.reserve_job(one, D("0.5"))
    assert sums() == {f"person:{person.pk}": D("0.5"), "cloud": D("0.5")}
    assert charges.settle_job(one, charged=D("0.4"), cloud_usd=D("0.41"))
    assert not charges.settle_job(one, charged=D("0.4"), cloud_usd=D("0.41"))
    assert not charges.release_job(one)
    assert sums() == {
        f"person:{person.pk}": 0,
        "cloud": 0,
        f"spent person:{person.pk}": D("0.4"),
        "spent cloud": D("0.41"),
    }
    assert (ledger.reserved(), spent(SITE_ACCOUNTS)[0]) == (D(0), D("0.41"))


def test_a_video_that_came_to_nothing_costs_its_person_nothing(policy: GpuConfig, person: User) -> None:
    one = video(person)
    charges.reserve_job(one, D("0.5"))
    assert charges.release_job(one, cloud_usd=D("0.2"), note="fal never said how it ended")
    assert not charges.settle_job(one, charged=D("0.4"), cloud_usd=D("0.4"))
    assert sums() == {f"person:{person.pk}": 0, "cloud": 0, "spent cloud": D("0.2")}


def test_what_a_call_takes_above_its_promise_is_booked_and_the_promise_is_gone(policy: GpuConfig, person: User) -> None:
    one = video(person)
    charges.reserve_job(one, D("0.5"))
    assert charges.settle_job(one, charged=D("0.5"), cloud_usd=D("0.7"))
    assert (ledger.reserved(), spent(SITE_ACCOUNTS)[0]) == (D(0), D("0.7"))


def test_a_free_video_never_touches_the_ledger(policy: GpuConfig, person: User) -> None:
    one = video(person, cloud=False)
    charges.reserve_job(one, D(0))
    assert charges.settle_job(one, charged=D(0))
    assert charges.release_job(one)
    assert not LedgerEntry.objects.exists()
    assert not Purse.objects.exists()


def test_a_difference_found_later_is_booked_once_per_finding(policy: GpuConfig, person: User) -> None:
    one = video(person, cloud=False)
    charges.reserve_job(one, D("0.5"))
    charges.settle_job(one, charged=D("0.1"))
    for _ in range(2):
        charges.correct_job(one, usd=D("-0.02"), book=Book.PERSON, note="the machine is over", once="final")
    charges.correct_job(one, usd=D("0.01"), book=Book.PERSON, note="by hand")
    charges.correct_job(one, usd=D("0.01"), book=Book.PERSON, note="by hand again")
    assert sums()[f"spent person:{person.pk}"] == D("0.1")


def test_headroom_says_what_is_left_and_when_to_warn(policy: GpuConfig, person: User) -> None:
    charges.reserve_job(video(person, cloud=False), D(1))
    calm = charges.headroom(person.pk)
    charges.reserve_job(video(person), D("1.4"))
    near = charges.headroom(person.pk)
    assert (calm.soft, calm.person_day.left_usd, calm.left_usd(cloud=True)) == (False, D(2), D(2))
    assert (near.soft, near.person_day.soft, near.person_month.soft) == (True, True, False)
    assert (near.site_day.promised_usd, near.site_day.left_usd) == (D("1.4"), D("8.6"))
    assert "your own cap" in near.refusal(D(1), cloud=False)


def test_yesterday_counts_for_the_month_only(policy: GpuConfig, person: User) -> None:
    now = timezone.now()
    day = (now - timedelta(days=1)).date()
    DayTotal.objects.create(account=f"person:{person.pk}", day=day, spent_usd=D(2))
    room = charges.headroom(person.pk)
    same_month = day.month == now.month
    assert (room.person_day.spent_usd, room.person_month.spent_usd) == (D(0), D(2) if same_month else D(0))


def test_the_promise_of_a_deleted_account_is_closed_once_at_the_operators_expense(
    policy: GpuConfig, person: User, stranger: User
) -> None:
    charges.reserve_job(video(person), D("0.4"))
    charges.reserve_job(video(stranger), D("0.3"))
    person.delete()

    assert (charges.close_the_gone(), charges.close_the_gone()) == (1, 0)
    assert (sums()["cloud"], sums()["spent cloud"]) == (D("0.3"), D("0.4"))
    assert audit.check_ledger() == []
