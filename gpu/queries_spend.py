"""What was spent, by account, day, person and machine: reads over the books alone; people and jobs are ids here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from gpu.models import Book, DayTotal, GpuConfig, Instance, LedgerEntry, PersonBudget, Purse
from gpu.months import Month

ZERO = Decimal(0)
HOUR_S = 3600
PLACES = Decimal("0.000001")
_PERSON = "person:"
_MOVES = (LedgerEntry.Kind.SPEND, LedgerEntry.Kind.CORRECT)
MONTHS_SHOWN = 60


def exact(usd: Decimal | None) -> Decimal:
    """A sum to the six places of the books: SQLite adds in floating point."""
    return (usd or ZERO).quantize(PLACES, ROUND_HALF_UP)


def account_of(person_id: int) -> str:
    return f"{_PERSON}{person_id}"


# --- by day and month -------------------------------------------------------------------------------------------------


def by_day(accounts: Iterable[str], month: Month) -> dict[str, dict[date, Decimal]]:
    """What each account ("machine", "cloud", "person:<id>") has spent on each day of a month that it spent on."""
    found: dict[str, dict[date, Decimal]] = {account: {} for account in accounts}
    rows = DayTotal.objects.filter(account__in=found, day__gte=month.first, day__lte=month.last).order_by("day")
    for account, day, usd in rows.values_list("account", "day", "spent_usd"):
        if usd:
            found[account][day] = usd
    return found


def months_of(accounts: Iterable[str]) -> list[Month]:
    """The months in which one of these accounts has moved, and this one; newest first."""
    days = DayTotal.objects.filter(account__in=list(accounts)).dates("day", "month", order="DESC")[:MONTHS_SHOWN]
    return sorted({Month.now(), *(Month.of(day) for day in days)}, reverse=True)


# --- the entries of one book ------------------------------------------------------------------------------------------


def moves(book: str, month: Month) -> QuerySet[LedgerEntry]:
    """What was spent and corrected in a month, without the promises."""
    return LedgerEntry.objects.filter(book=book, kind__in=_MOVES, at__gte=month.since, at__lt=month.until).order_by()


def charges(month: Month, person_id: int | None = None) -> QuerySet[LedgerEntry]:
    """What people, or this one, were charged; `subject` is the job."""
    found = moves(Book.PERSON, month)
    return found if person_id is None else found.filter(person_id=person_id)


def cloud_calls(month: Month) -> QuerySet[LedgerEntry]:
    """What cloud calls have cost; `subject` is the job."""
    return moves(Book.CLOUD, month)


def charged_videos(person_id: int, month: Month) -> QuerySet[LedgerEntry, Any]:
    """{"subject", "usd", "at"} of every video that this person was charged for, the last one first."""
    rows = charges(month, person_id).values("subject").annotate(usd=Sum("usd"), at=Max("at"))
    return rows.order_by("-at", "subject")


def open_promises(person_id: int) -> dict[UUID, Decimal]:
    """What is promised to this person's jobs and not yet given back, by job."""
    own = LedgerEntry.objects.filter(book=Book.PERSON, person_id=person_id)
    given_back = LedgerEntry.objects.filter(
        book=Book.PERSON, subject=OuterRef("subject"), kind=LedgerEntry.Kind.RELEASE
    )
    rows = own.filter(~Exists(given_back), kind=LedgerEntry.Kind.RESERVE).order_by("-at")
    return dict(rows.values_list("subject", "usd"))


# --- people -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersonMoney:
    """What one person's videos were charged in a month. `person_id` None: people whose accounts are gone."""

    person_id: int | None
    usd: Decimal
    videos: int
    promised_usd: Decimal
    monthly_cap_usd: Decimal | None

    @property
    def used(self) -> Decimal | None:
        """Share of the cap that is spent or promised, 0 and up; None without a cap."""
        return (self.usd + self.promised_usd) / self.monthly_cap_usd if self.monthly_cap_usd else None


def people(month: Month) -> list[PersonMoney]:
    """Everybody who was charged in the month or, in the present one, has something promised; the most first."""
    rows = charges(month).values("person").annotate(usd=Sum("usd"), videos=Count("subject", distinct=True))
    spent: dict[int | None, tuple[Decimal, int]] = {row["person"]: (exact(row["usd"]), row["videos"]) for row in rows}
    promised: dict[int | None, Decimal] = _promised() if month.is_now else {}
    caps, usual = _monthly_caps()
    found = [
        PersonMoney(one, *spent.get(one, (ZERO, 0)), promised.get(one, ZERO), caps.get(one, usual) if one else None)
        for one in {*spent, *promised}
    ]
    return sorted(found, key=lambda row: (-row.usd, -row.promised_usd, row.person_id or 0))


def _promised() -> dict[int | None, Decimal]:
    purses = Purse.objects.filter(account__startswith=_PERSON, reserved_usd__gt=0)
    return {int(account.removeprefix(_PERSON)): usd for account, usd in purses.values_list("account", "reserved_usd")}


def _monthly_caps() -> tuple[dict[int | None, Decimal], Decimal | None]:
    own = PersonBudget.objects.exclude(monthly_cap_usd=None).values_list("person", "monthly_cap_usd")
    policy = GpuConfig.objects.filter(pk=1).first()
    return {person: usd for person, usd in own if usd is not None}, policy.person_monthly_cap_usd if policy else None


# --- machines ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MachineMoney:
    """A machine that has cost something in a month. All but `month_usd` is over its whole life."""

    instance: Instance
    month_usd: Decimal
    booked_usd: Decimal  # what we reckoned, before any correction
    hours: float
    ours_usd: Decimal  # booked and corrected

    @property
    def bill_usd(self) -> Decimal | None:
        """vast.ai's own; None until it was fetched."""
        return self.instance.charged_usd

    @property
    def difference_usd(self) -> Decimal | None:
        """Above zero: vast.ai took more than we had reckoned."""
        return None if self.bill_usd is None else self.bill_usd - self.booked_usd

    @property
    def cost_usd(self) -> Decimal:
        return self.ours_usd if self.bill_usd is None else self.bill_usd


def machines(month: Month, now: datetime | None = None) -> list[MachineMoney]:
    """Every machine with money moved in the month, the newest first; two queries."""
    now = now or timezone.now()
    moved = moves(Book.MACHINE, month).values("instance").annotate(usd=Sum("usd"))
    in_month = {row["instance"]: exact(row["usd"]) for row in moved}
    spend, correct = (Q(ledger__kind=kind) for kind in _MOVES)
    rows = Instance.objects.filter(pk__in=in_month).annotate(
        booked=Sum("ledger__usd", filter=spend), corrected=Sum("ledger__usd", filter=correct)
    )
    return [_machine(row, in_month[row.pk], now) for row in rows.order_by("-created_at", "pk")]


def _machine(row: Any, month_usd: Decimal, now: datetime) -> MachineMoney:
    booked, since = exact(row.booked), row.running_at or row.sent_at
    seconds = ((row.ended_at or now) - since).total_seconds() if since else 0.0
    return MachineMoney(row, month_usd, booked, max(0.0, seconds) / HOUR_S, booked + exact(row.corrected))
