"""That the ledger adds up is checked, and everything that does not is named."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from gpu.models import Book, DayTotal, Instance, LedgerEntry, Purse
from gpu.models import InstanceState as S
from gpu.services import audit, booking, charges, config, ledger
from gpu.services.booking import Kind, Line
from gpu.services.charges import JobMoney
from tests.gpu import machine_rows

D = Decimal


@pytest.fixture
def books(person: User) -> UUID:
    """A settled video, one that still runs, one that failed after a paid call, and a machine that is over."""
    config.load()
    settled, running, failed = (JobMoney(job_id=uuid4(), person_id=person.pk, cloud=True) for _ in range(3))
    for one in (settled, running, failed):
        charges.reserve_job(one, D("0.50"))
    charges.settle_job(settled, charged=D("0.1"), cloud_usd=D("0.2"))
    charges.correct_job(settled, usd=D("-0.03"), book=Book.PERSON, note="cheaper than thought", once="final")
    charges.release_job(failed, cloud_usd=D("0.3"))
    now = timezone.now()
    machine = machine_rows.instance(
        reserved_usd=0, created_at=now - timedelta(minutes=30), seen_at=now, usd_per_hour=D("0.4")
    )
    ledger.reserve(instance=machine, usd=D(2))
    ledger.settle(instance=machine)
    machine.move(S.READY, to=S.DESTROYED)
    ledger.release(instance=machine)
    ledger.charge_late(label=machine.label, contract=77, usd=D("0.05"))
    return settled.job_id


def messages() -> str:
    return "\n".join(map(str, audit.check_ledger()))


def test_what_the_services_book_adds_up(books: UUID) -> None:
    assert audit.check_ledger() == []
    out = StringIO()
    call_command("ledger", stdout=out)
    assert "The ledger adds up: 18 entries." in out.getvalue()


def forged(**values: object) -> None:
    """An entry beside the one function that keeps the sums."""
    LedgerEntry.objects.create(**{"key": uuid4().hex, "at": timezone.now()} | values)


def released_twice(job: UUID, person: User) -> None:
    forged(book=Book.CLOUD, subject=job, person=person, kind=Kind.RELEASE, usd=D("0.3"))


def charged_twice(job: UUID, person: User) -> None:
    line = Line(book=Book.PERSON, subject=job, person_id=person.pk, kind=Kind.SPEND, usd=D("0.1"), key="again")
    booking.write(line)


def charged_above_the_promise(job: UUID, person: User) -> None:
    charges.correct_job(
        JobMoney(job_id=job, person_id=person.pk, cloud=True), usd=D("0.5"), book=Book.PERSON, note="dear"
    )


def taken_back_more_than_spent(job: UUID, person: User) -> None:
    charges.correct_job(
        JobMoney(job_id=job, person_id=person.pk, cloud=True), usd=D("-0.5"), book=Book.CLOUD, note="a gift"
    )


def machine_row_moved(job: UUID, person: User) -> None:
    Instance.objects.update(spent_usd=D(9))


def machine_promise_left_open(job: UUID, person: User) -> None:
    machine = machine_rows.instance(reserved_usd=0, created_at=timezone.now())
    ledger.reserve(instance=machine, usd=D(1))
    machine.move(S.READY, to=S.DESTROYED)


def purse_moved(job: UUID, person: User) -> None:
    Purse.objects.filter(account="cloud").update(reserved_usd=D(9))


def purse_lost(job: UUID, person: User) -> None:
    Purse.objects.all().delete()


def total_moved(job: UUID, person: User) -> None:
    DayTotal.objects.filter(account="machine").update(spent_usd=D(9))


def total_on_the_wrong_day(job: UUID, person: User) -> None:
    DayTotal.objects.filter(account="cloud").update(day=(timezone.now() - timedelta(days=1)).date())


def spend_without_a_total(job: UUID, person: User) -> None:
    forged(book=Book.PERSON, subject=uuid4(), person=person, kind=Kind.SPEND, usd=D("0.1"))


WRONG: list[tuple[Callable[[UUID, User], None], str]] = [
    (released_twice, "2 entries of the kind release"),
    (charged_twice, "Charged 2 times"),
    (charged_above_the_promise, "where $0.500000 were promised"),
    (taken_back_more_than_spent, "Corrections take back $0.500000"),
    (machine_row_moved, "Its row says $9.0000 spent"),
    (machine_promise_left_open, "It is over, and $1.0000 are still promised"),
    (purse_moved, "cloud: The purse says $9.000000 promised, the entries say $0.500000"),
    (purse_lost, "The purse says $0 promised"),
    (total_moved, "machine: The total of"),
    (total_on_the_wrong_day, "cloud: The total of"),
    (spend_without_a_total, "The total of"),
]


@pytest.mark.parametrize(("spoil", "words"), WRONG, ids=[spoil.__name__ for spoil, _ in WRONG])
def test_what_does_not_add_up_is_named(
    books: UUID, person: User, spoil: Callable[[UUID, User], None], words: str
) -> None:
    spoil(books, person)
    assert words in messages()
    with pytest.raises(CommandError, match="does not add up"):
        call_command("ledger", stdout=StringIO())


def test_sums_are_repaired_from_the_entries_and_entries_stay_as_they_are(books: UUID, person: User) -> None:
    before = list(LedgerEntry.objects.values())
    purse_moved(books, person)
    total_on_the_wrong_day(books, person)
    out = StringIO()
    call_command("ledger", "--repair-totals", stdout=out)
    assert "3 sums were wrong" in out.getvalue()
    assert list(LedgerEntry.objects.values()) == before
    assert audit.check_ledger() == []
    assert audit.repair_totals() == 0


def test_a_wrong_entry_is_not_repaired_away(books: UUID, person: User) -> None:
    released_twice(books, person)
    with pytest.raises(CommandError):
        call_command("ledger", "--repair-totals", stdout=StringIO())


def test_entries_of_a_person_who_is_gone_still_add_up(books: UUID, person: User) -> None:
    person.delete()
    assert audit.check_ledger() == []
    audit.repair_totals()
    assert audit.check_ledger() == []
    assert {row.account for row in DayTotal.objects.all()} == {"machine", "cloud", audit.GONE}
