"""The ledger's entries are never changed: neither by our code nor by a statement of SQL."""

from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from gpu.models import Book, LedgerEntry
from gpu.models.money import EntriesAreFinalError
from gpu.services import booking
from gpu.services.booking import Kind, Line


@pytest.fixture
def entry(person: User) -> LedgerEntry:
    booking.write(
        Line(book=Book.PERSON, kind=Kind.SPEND, subject=uuid4(), usd=Decimal(1), key="one", person_id=person.pk)
    )
    return LedgerEntry.objects.get()


def saved(entry: LedgerEntry) -> None:
    entry.usd = Decimal(2)
    entry.save()


CHANGES: list[Callable[[LedgerEntry], object]] = [
    saved,
    lambda entry: entry.save(update_fields=["note"]),
    lambda entry: LedgerEntry.objects.update(usd=2),
    lambda entry: LedgerEntry.objects.filter(pk=entry.pk).update(note="better"),
    lambda entry: LedgerEntry.objects.bulk_update([entry], ["usd"]),
    lambda entry: LedgerEntry.objects.update_or_create(key="one", defaults={"usd": 2}),
    lambda entry: entry.delete(),
    lambda entry: LedgerEntry.objects.filter(pk=entry.pk).delete(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_our_code_cannot_change_an_entry(entry: LedgerEntry, change: Callable[[LedgerEntry], object]) -> None:
    with pytest.raises(EntriesAreFinalError):
        change(entry)
    assert LedgerEntry.objects.get().usd == 1


@pytest.mark.parametrize(
    "change", ["usd = 2", "note = 'better'", "kind = 'correct'", "key = 'two'", "at = '2020-01-01'"]
)
def test_the_database_refuses_to_change_an_entry(entry: LedgerEntry, change: str) -> None:
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE gpu_ledgerentry SET {change}")


def test_an_entry_stays_when_its_person_goes_and_names_nobody_then(entry: LedgerEntry, person: User) -> None:
    person.delete()
    assert LedgerEntry.objects.get().person_id is None


def test_an_entry_is_never_given_to_somebody_else(entry: LedgerEntry, stranger: User) -> None:
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        LedgerEntry._base_manager.update(person=stranger)
