"""The caps on money: what each allows, how much of it is left, and the refusal that says so.

Amounts are US dollars; days and months are those of UTC. What counts against a cap is what was spent in the period
and everything that is promised and not given back yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu.errors import CapReached
from gpu.models import Book, DayTotal, GpuConfig, Instance, LedgerEntry, PersonBudget, Purse
from gpu.services.booking import ZERO, account_of, day_of, near
from i2v_site.sentences import Sentence, translated

SITE_ACCOUNTS = (str(Book.MACHINE), str(Book.CLOUD))
PERSON, SITE = "person", "site"
DAY, MONTH = "day", "month"
_NEXT = {DAY: gettext_noop("tomorrow (UTC)"), MONTH: gettext_noop("next month")}
_CAPS = {
    (PERSON, DAY): Sentence(gettext_noop("your own cap of %(cap)s a day")),
    (PERSON, MONTH): Sentence(gettext_noop("your own cap of %(cap)s a month")),
    (SITE, DAY): Sentence(gettext_noop("this site's cap of %(cap)s a day")),
    (SITE, MONTH): Sentence(gettext_noop("this site's cap of %(cap)s a month")),
}
_REFUSAL = Sentence(
    gettext_noop(
        "%(what)s may cost up to %(usd)s, but only %(left)s are left under %(cap)s: %(spent)s were spent and "
        "%(promised)s are set aside for what still runs. Choose something cheaper, wait until %(next)s, or ask the "
        "operator for a higher cap."
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One cap and how it stands. No cap (None): nothing is refused and nothing is warned of."""

    scope: str  # person or site
    period: str  # day or month
    cap_usd: Decimal | None
    spent_usd: Decimal
    promised_usd: Decimal
    soft_percent: int

    @property
    def used_usd(self) -> Decimal:
        return self.spent_usd + self.promised_usd

    @property
    def left_usd(self) -> Decimal | None:
        return None if self.cap_usd is None else max(ZERO, self.cap_usd - self.used_usd)

    @property
    def soft(self) -> bool:
        """Whether people should be warned."""
        return self.soft_with(ZERO)

    def soft_with(self, usd: Decimal) -> bool:
        """Whether they should be once `usd` more is promised."""
        return self.cap_usd is not None and (self.used_usd + usd) * 100 >= self.cap_usd * self.soft_percent

    def allows(self, usd: Decimal) -> bool:
        return self.cap_usd is None or self.used_usd + usd <= self.cap_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """How one person's and the site's caps stand. The site's count for cloud calls and for renting machines."""

    person_day: Room
    person_month: Room
    site_day: Room
    site_month: Room

    @property
    def person(self) -> tuple[Room, Room]:
        return self.person_day, self.person_month

    @property
    def site(self) -> tuple[Room, Room]:
        return self.site_day, self.site_month

    @property
    def soft(self) -> bool:
        """Whether this person nears one of their own caps, or the site one of its."""
        return any(room.soft for room in (*self.person, *self.site))

    def left_usd(self, *, cloud: bool) -> Decimal | None:
        """What one more video may cost; None without any cap."""
        rooms = (*self.person, *self.site) if cloud else self.person
        return min((room.left_usd for room in rooms if room.left_usd is not None), default=None)

    def refusal(self, usd: Decimal, *, cloud: bool) -> str:
        """What a submit of `usd` would be refused with now; "" when it would not."""
        rooms = (*self.person, *self.site) if cloud else self.person
        return next((refusal_text(room, usd) for room in rooms if not room.allows(usd)), "")


def headroom(person_id: int) -> Headroom:
    """How the caps stand now. Reads without locks: what it says may be over the next moment."""
    policy = policy_row()
    person, site = person_rooms(person_id, policy), site_rooms(policy)
    return Headroom(person_day=person[0], person_month=person[1], site_day=site[0], site_month=site[1])


def policy_row() -> GpuConfig:
    return GpuConfig.objects.filter(pk=1).first() or GpuConfig()


def person_rooms(person_id: int, policy: GpuConfig, now: datetime | None = None) -> tuple[Room, Room]:
    """Day and month of one person."""
    account = account_of(Book.PERSON, person_id)
    own = PersonBudget.objects.filter(person_id=person_id).first() or PersonBudget()
    caps = (
        policy.person_daily_cap_usd if own.daily_cap_usd is None else own.daily_cap_usd,
        policy.person_monthly_cap_usd if own.monthly_cap_usd is None else own.monthly_cap_usd,
    )
    # First what is promised, then what is spent: money that moves from one to the other meanwhile counts twice, not
    # never.
    promised = promised_to(account)
    return _rooms(PERSON, caps, promised, spent((account,), now), policy)


def site_rooms(policy: GpuConfig, now: datetime | None = None) -> tuple[Room, Room]:
    """Day and month of machines and cloud calls together."""
    promised = site_promised()
    return _rooms(SITE, (policy.daily_cap_usd, policy.monthly_cap_usd), promised, spent(SITE_ACCOUNTS, now), policy)


def _rooms(
    scope: str,
    caps: tuple[Decimal | None, Decimal | None],
    promised: Decimal,
    spent_usd: tuple[Decimal, Decimal],
    policy: GpuConfig,
) -> tuple[Room, Room]:
    day, month = (
        Room(
            scope=scope,
            period=period,
            cap_usd=None if cap is None else Decimal(cap),
            spent_usd=usd,
            promised_usd=promised,
            soft_percent=policy.soft_cap_percent,
        )
        for period, cap, usd in zip((DAY, MONTH), caps, spent_usd, strict=True)
    )
    return day, month


def check(rooms: Iterable[Room], usd: Decimal, *, what: str = "") -> None:
    """Raises CapReached for the first cap that `usd` more would break."""
    for room in rooms:
        if not room.allows(usd):
            raise CapReached(refusal_text(room, usd, what=what))


def refusal_text(room: Room, usd: Decimal, *, what: str = "") -> str:
    """Which cap, what is left, what to do: in the language of who asks, and in English where nobody does."""
    text = _REFUSAL(
        what=what or gettext_noop("This video"),
        usd=f"${usd:.2f}",
        left=f"${room.left_usd or ZERO:.2f}",
        cap=_CAPS[room.scope, room.period](cap=f"${room.cap_usd or ZERO:.2f}"),
        spent=f"${room.spent_usd:.2f}",
        promised=f"${room.promised_usd:.2f}",
        next=_NEXT[room.period],
    )
    return translated(text)


# --- sums ----------------------------------------------------------------------------------------------------------


def spent(accounts: tuple[str, ...], now: datetime | None = None) -> tuple[Decimal, Decimal]:
    """What the accounts have spent today and this month, corrections included."""
    today = day_of(now or timezone.now())
    found = DayTotal.objects.filter(account__in=accounts, day__gte=today.replace(day=1), day__lte=today).aggregate(
        day=Sum("spent_usd", filter=Q(day=today)), month=Sum("spent_usd")
    )
    # SQLite adds in floating point.
    return near(found["day"] or ZERO), near(found["month"] or ZERO)


def spent_from(accounts: tuple[str, ...], first: date) -> Decimal:
    total = DayTotal.objects.filter(account__in=accounts, day__gte=first).aggregate(usd=Sum("spent_usd"))["usd"]
    return near(total or ZERO)


def promised_to(account: str) -> Decimal:
    """What is promised to the cloud, or to one person's videos, and neither spent nor given back."""
    return Purse.objects.filter(account=account).values_list("reserved_usd", flat=True).first() or ZERO


def promised_to_machines() -> Decimal:
    """The same for machines that are not over: their future is paid for before it begins."""
    open_rows = Instance.objects.filter(reserved_usd__gt=0).exclude(ledger__kind=LedgerEntry.Kind.RELEASE)
    return sum(
        (max(ZERO, promised - usd) for promised, usd in open_rows.values_list("reserved_usd", "spent_usd")), ZERO
    )


def site_promised() -> Decimal:
    return promised_to_machines() + promised_to(str(Book.CLOUD))
