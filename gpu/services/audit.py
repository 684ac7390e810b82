"""Whether the ledger adds up: entries against each other, and the sums that are kept ready against the entries.

Only reads, but for `repair_totals`, which works out the sums anew and never touches an entry.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils.translation import gettext_noop

from gpu.models import Book, DayTotal, Instance, LedgerEntry, Purse
from gpu.services.booking import ZERO, Kind, account_of, near
from i2v_site.sentences import Sentence

# The sums of people whose accounts are gone: their entries stay, and name nobody. No account has this number.
GONE = account_of(Book.PERSON, 0)
MOVES = (Kind.SPEND, Kind.CORRECT)
Days = dict[tuple[str, date], Decimal]
TOO_OFTEN = Sentence(gettext_noop("%(count)s entries of the kind %(kind)s, where there is one at most."))
WRONG_REST = Sentence(gettext_noop("What was given back, $%(usd)s, is not what was left of the promise."))
BELOW_ZERO = Sentence(gettext_noop("Corrections take back $%(back)s of $%(spent)s spent."))
CHARGED_AGAIN = Sentence(gettext_noop("Charged %(count)s times."))
STILL_OPEN = gettext_noop("Charged, and its promise is still open.")
ABOVE_PROMISE = Sentence(gettext_noop("Charged $%(charged)s, where $%(promised)s were promised."))
ROW_SPENT = Sentence(gettext_noop("Its row says $%(row)s spent, its entries say $%(entries)s."))
ROW_PROMISED = Sentence(gettext_noop("Its row says $%(row)s promised, its entry says $%(entry)s."))
NOT_RELEASED = Sentence(gettext_noop("It is over, and $%(usd)s are still promised to it."))
WRONG_TOTAL = Sentence(gettext_noop("The total of %(day)s says $%(total)s, the entries say $%(entries)s."))
WRONG_PURSE = Sentence(gettext_noop("The purse says $%(purse)s promised, the entries say $%(entries)s."))


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that does not add up. `subject`: the machine, the job or the account that it is about."""

    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def check_ledger() -> list[Problem]:
    """Everything that does not add up, and does not a second time: what is booked meanwhile is no problem."""
    found = set(_problems())
    return sorted(found & set(_problems())) if found else []


def _problems() -> Iterator[Problem]:
    for sums in _sums():
        yield from _subject(sums)
    yield from _machines()
    yield from _totals()
    yield from _purses()


# --- one subject in one book ------------------------------------------------------------------------------------------


def _sums() -> Iterator[dict[str, Any]]:
    """One row per book and subject: how often each kind of entry stands there, and its dollars."""
    columns: dict[str, Any] = {}
    for kind in Kind:
        columns[f"n_{kind}"] = Count("pk", filter=Q(kind=kind))
        columns[f"usd_{kind}"] = Sum("usd", filter=Q(kind=kind), default=ZERO)
    rows: Any = LedgerEntry.objects.order_by().values("book", "subject").annotate(**columns)
    for row in rows.iterator():
        # SQLite adds in floating point.
        yield {name: near(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def _subject(sums: dict[str, Any]) -> Iterator[Problem]:
    name = f"{sums['book']} {sums['subject']}"
    for kind in (Kind.RESERVE, Kind.RELEASE):
        if sums[f"n_{kind}"] > 1:
            yield Problem(name, TOO_OFTEN(count=sums[f"n_{kind}"], kind=kind))
    if sums["n_release"] == 1 and not _released_right(sums):
        yield Problem(name, WRONG_REST(usd=sums["usd_release"]))
    if sums["usd_spend"] + sums["usd_correct"] < 0:
        yield Problem(name, BELOW_ZERO(back=-sums["usd_correct"], spent=sums["usd_spend"]))
    if sums["book"] != Book.MACHINE:
        yield from _job(name, sums)


def _released_right(sums: dict[str, Any]) -> bool:
    if sums["usd_release"] == max(ZERO, sums["usd_reserve"] - sums["usd_spend"]):
        return True
    # What was spent later than that (a machine that turned up when its row was over) was not known then.
    entries = LedgerEntry.objects.filter(book=sums["book"], subject=sums["subject"]).order_by("pk")
    spent = ZERO
    for entry in entries:
        if entry.kind == Kind.RELEASE:
            return bool(entry.usd == max(ZERO, sums["usd_reserve"] - spent))
        spent += entry.usd if entry.kind == Kind.SPEND else ZERO
    return False


def _job(name: str, sums: dict[str, Any]) -> Iterator[Problem]:
    if sums["n_spend"] > 1:
        yield Problem(name, CHARGED_AGAIN(count=sums["n_spend"]))
    if sums["n_spend"] and not sums["n_release"]:
        yield Problem(name, STILL_OPEN)
    charged = sums["usd_spend"] + sums["usd_correct"]
    if sums["book"] == Book.PERSON and charged > sums["usd_reserve"]:
        yield Problem(name, ABOVE_PROMISE(charged=charged, promised=sums["usd_reserve"]))


# --- machines ---------------------------------------------------------------------------------------------------------


def _machines() -> Iterator[Problem]:
    entries = {
        kind: Sum("ledger__usd", filter=Q(ledger__kind__in=kinds), default=ZERO)
        for kind, kinds in (("moved", MOVES), ("promised", (Kind.RESERVE,)))
    }
    released = Count("ledger", filter=Q(ledger__kind=Kind.RELEASE))
    rows: Any = Instance.objects.rented().annotate(released=released, **entries).order_by()
    for row in rows:
        name = f"machine {row.pk}"
        if row.spent_usd != near(row.moved):
            yield Problem(name, ROW_SPENT(row=row.spent_usd, entries=near(row.moved)))
        if row.reserved_usd != near(row.promised):
            yield Problem(name, ROW_PROMISED(row=row.reserved_usd, entry=near(row.promised)))
        if row.is_over and row.reserved_usd and not row.released:
            yield Problem(name, NOT_RELEASED(usd=row.reserved_usd))


# --- the sums that are kept ready ------------------------------------------------------------------------------------


def _totals() -> Iterator[Problem]:
    stored: Days = defaultdict(Decimal)
    people = _people()
    for total in DayTotal.objects.all():
        stored[_known(total.account, people), total.day] += total.spent_usd
    true = _true_totals()
    for account, day in sorted({*stored, *true}):
        says, is_usd = stored.get((account, day), ZERO), true.get((account, day), ZERO)
        if says != is_usd:
            yield Problem(account, WRONG_TOTAL(day=day, total=says, entries=is_usd))


def _purses() -> Iterator[Problem]:
    stored: dict[str, Decimal] = defaultdict(Decimal)
    people = _people()
    for purse in Purse.objects.all():
        stored[_known(purse.account, people)] += purse.reserved_usd
    true = _true_promises()
    for account in sorted({*stored, *true}):
        says, is_usd = stored.get(account, ZERO), true.get(account, ZERO)
        if says != is_usd:
            yield Problem(account, WRONG_PURSE(purse=says, entries=is_usd))


def _true_totals(entries: QuerySet[LedgerEntry] | None = None) -> Days:
    entries = LedgerEntry.objects.all() if entries is None else entries
    days = entries.filter(kind__in=MOVES).order_by().annotate(day=TruncDate("at", tzinfo=UTC))
    found: Days = defaultdict(Decimal)
    for row in days.values("book", "person", "day").annotate(usd=Sum("usd")):
        found[account_of(row["book"], row["person"] or 0), row["day"]] += near(row["usd"])
    return found


def _true_promises(entries: QuerySet[LedgerEntry] | None = None) -> dict[str, Decimal]:
    """What is promised to people and to the cloud, and neither spent nor given back."""
    entries = LedgerEntry.objects.all() if entries is None else entries
    rows = (
        entries.exclude(book=Book.MACHINE)
        .order_by()
        .values("book", "subject", "person")
        .annotate(
            promised=Sum("usd", filter=Q(kind=Kind.RESERVE), default=ZERO),
            spent=Sum("usd", filter=Q(kind=Kind.SPEND), default=ZERO),
            released=Count("pk", filter=Q(kind=Kind.RELEASE)),
        )
        .filter(released=0, promised__gt=0)
    )
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[account_of(row["book"], row["person"] or 0)] += near(max(ZERO, row["promised"] - row["spent"]))
    return found


def _people() -> set[str]:
    return {account_of(Book.PERSON, pk) for pk in User.objects.values_list("pk", flat=True)}


def _known(account: str, people: set[str]) -> str:
    return GONE if account.startswith("person:") and account not in people else account


def repair_totals() -> int:
    """Work out every purse and total anew from the entries; answers how many were wrong. Safe while money moves."""
    changed = 0
    with transaction.atomic():
        people = _people()
        _forget_the_gone(people)
        for account in sorted({*_true_promises(), *Purse.objects.values_list("account", flat=True)}):
            # Whoever books holds this row until the entry is committed too, so the two cannot be seen apart.
            purse, _ = Purse.objects.select_for_update().get_or_create(account=account)
            is_usd = _true_promises(_entries_of(account)).get(account, ZERO)
            changed += purse.reserved_usd != is_usd
            Purse.objects.filter(pk=account).update(reserved_usd=is_usd)
        stored = set(DayTotal.objects.values_list("account", "day"))
        for account, day in sorted({*_true_totals(), *stored}):
            total, _ = DayTotal.objects.select_for_update().get_or_create(account=account, day=day)
            is_usd = _true_totals(_entries_of(account)).get((account, day), ZERO)
            changed += total.spent_usd != is_usd
            DayTotal.objects.filter(pk=total.pk).update(spent_usd=is_usd)
    return changed


def _forget_the_gone(people: set[str]) -> None:
    for rows in (Purse.objects.all(), DayTotal.objects.all()):
        names = set(rows.filter(account__startswith="person:").values_list("account", flat=True))
        rows.filter(account__in=names - people - {GONE}).delete()


def _entries_of(account: str) -> QuerySet[LedgerEntry]:
    book, _, person = account.partition(":")
    entries = LedgerEntry.objects.filter(book=book)
    return entries.filter(person_id=int(person) or None) if person else entries


def open_promises(book: Book) -> dict[UUID, Decimal]:
    """What is promised in a book and not closed yet, by subject."""
    closed = LedgerEntry.objects.filter(book=book, kind=Kind.RELEASE).values("subject")
    rows = LedgerEntry.objects.filter(book=book, kind=Kind.RESERVE).exclude(subject__in=closed)
    return dict(rows.values_list("subject", "usd"))
