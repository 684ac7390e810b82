"""The one place that writes into the ledger: an entry, and the sums that are kept ready, in one transaction.

Amounts are US dollars. A sum is moved under its row's lock and in `Decimal`, because SQLite adds in floating point.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from gpu.models import Book, DayTotal, LedgerEntry, Purse

ZERO = Decimal(0)
PLACES = Decimal("0.000001")
Kind = LedgerEntry.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry that is to be written. `key` makes booking it twice impossible."""

    book: Book
    kind: LedgerEntry.Kind
    subject: UUID
    usd: Decimal
    key: str
    person_id: int | None = None
    note: str = ""
    at: datetime | None = None

    @property
    def account(self) -> str:
        return account_of(self.book, self.person_id)


def write(line: Line, *, frees: Decimal = ZERO) -> bool:
    """Insert the entry and move its sums; False when `key` is there already, and then nothing is changed.

    `frees` is how much of an open promise a SPEND uses up. Call it with the locks held that the books ask for.
    """
    at = line.at or timezone.now()
    with transaction.atomic():
        _, is_new = LedgerEntry.objects.get_or_create(
            key=line.key,
            defaults={
                "book": line.book,
                "kind": line.kind,
                "subject": line.subject,
                "instance_id": line.subject if line.book == Book.MACHINE else None,
                "person_id": line.person_id,
                "usd": line.usd,
                "note": line.note[:200],
                "at": at,
            },
        )
        if is_new:
            _move_promise(line, frees)
            _move_total(line, day_of(at))
    return is_new


def _move_promise(line: Line, frees: Decimal) -> None:
    # What is promised to machines stands in their own rows.
    change = {Kind.RESERVE: line.usd, Kind.RELEASE: -line.usd}.get(line.kind, -frees)
    if line.book != Book.MACHINE and change:
        purse = locked_purse(line.account)
        purse.reserved_usd += change
        purse.save(update_fields=["reserved_usd"])


def _move_total(line: Line, day: date) -> None:
    if line.kind in (Kind.SPEND, Kind.CORRECT) and line.usd:
        total, _ = DayTotal.objects.select_for_update().get_or_create(account=line.account, day=day)
        total.spent_usd += line.usd
        total.save(update_fields=["spent_usd"])


def locked_purse(account: str) -> Purse:
    """The account's row, made when it is missing and held until the transaction ends."""
    return Purse.objects.select_for_update().get_or_create(account=account)[0]


def account_of(book: Book | str, person_id: int | None) -> str:
    """ "machine", "cloud" or "person:<id>"."""
    return f"person:{person_id}" if book == Book.PERSON else str(book)


def day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def up(usd: Decimal) -> Decimal:
    """To six places, never below what it was: a promise."""
    return usd.quantize(PLACES, ROUND_CEILING)


def near(usd: Decimal) -> Decimal:
    """To six places: what was paid."""
    return usd.quantize(PLACES, ROUND_HALF_UP)
