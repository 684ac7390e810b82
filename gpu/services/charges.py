"""Money of videos: promised at the submit, settled with what it has cost, given back when there is no video.

Amounts are US dollars. A person's book says what their videos are charged; the cloud's book says what the operator
pays for calls. Everything about a job happens under the lock of its person's purse, so "once" needs no luck. Locks,
always in this order: the person's purse, the row of settings (the site's caps). Settle one job per transaction.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from gpu.models import Book, GpuConfig, LedgerEntry
from gpu.services import caps, cloud_credit
from gpu.services.booking import ZERO, Kind, Line, account_of, locked_purse, near, up, write
from gpu.services.caps import Headroom, Room, headroom

__all__ = [
    "Book",
    "Headroom",
    "JobMoney",
    "Room",
    "close_the_gone",
    "correct_job",
    "headroom",
    "release_job",
    "reserve_job",
    "settle_job",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMoney:
    """Who and what a booking is about."""

    job_id: UUID
    person_id: int
    cloud: bool  # paid per call: the operator's cloud book is kept as well

    @property
    def books(self) -> tuple[Book, ...]:
        return (Book.PERSON, Book.CLOUD) if self.cloud else (Book.PERSON,)


def reserve_job(money: JobMoney, usd: Decimal) -> None:
    """Promise `usd` to a video, in the transaction that inserts its row; 0 writes nothing. Raises CapReached."""
    usd = up(usd)
    if usd <= 0:
        return
    with transaction.atomic():
        _lock(money)
        if _entry(money, Book.PERSON, Kind.RESERVE) is not None:
            return
        policy = _locked_policy() if money.cloud else caps.policy_row()
        caps.check(caps.person_rooms(money.person_id, policy), usd)
        if money.cloud:
            caps.check(caps.site_rooms(policy), usd)
            cloud_credit.check()
        for book in money.books:
            write(_line(money, book, Kind.RESERVE, usd))


def settle_job(money: JobMoney, *, charged: Decimal, cloud_usd: Decimal | None = None, note: str = "") -> bool:
    """Book a video's price, once, and give back the rest of what was promised. False: it was closed before.

    `charged` is what its person pays; `cloud_usd` what the call takes from the operator (None: nothing).
    """
    spent = {Book.PERSON: charged, Book.CLOUD: cloud_usd or ZERO}
    return _close(money, spent, note)


def release_job(money: JobMoney, *, cloud_usd: Decimal = ZERO, note: str = "") -> bool:
    """Give back what was promised to a video that there is not; its person pays nothing. False: it was closed before.

    `cloud_usd` above 0 stays on the operator's books: a call that was paid for nothing, or may have been.
    """
    return _close(money, {Book.PERSON: ZERO, Book.CLOUD: cloud_usd}, note)


def correct_job(money: JobMoney, *, usd: Decimal, book: Book, note: str, once: str = "") -> bool:
    """Book a difference that was found later; may be negative. `once` names the finding: it is booked one time.

    False: 0, or booked before.
    """
    usd = near(usd)
    if not usd:
        return False
    with transaction.atomic():
        _lock(money)
        entries = LedgerEntry.objects.filter(subject=money.job_id, book=book, kind=Kind.CORRECT)
        mark = once or str(entries.count() + 1)
        return write(_line(money, book, Kind.CORRECT, usd, mark=mark, note=note))


def close_the_gone() -> int:
    """Close the cloud promises of deleted accounts, whose jobs went with them; how many there were. Safe to run twice.

    Nobody can tell any more whether their calls were made: the operator's books keep the price.
    """
    closed = LedgerEntry.objects.filter(book=Book.CLOUD, kind=Kind.RELEASE, subject=OuterRef("subject"))
    left = LedgerEntry.objects.filter(~Exists(closed), book=Book.CLOUD, kind=Kind.RESERVE, person=None)
    promises = list(left)
    for promise in promises:
        note = "The account was deleted while this call may have run."
        line = Line(book=Book.CLOUD, kind=Kind.SPEND, subject=promise.subject, usd=promise.usd, key="", note=note)
        with transaction.atomic():
            write(replace(line, key=f"spend:cloud:{promise.subject}"), frees=promise.usd)
            write(replace(line, key=f"release:cloud:{promise.subject}", kind=Kind.RELEASE, usd=ZERO))
    return len(promises)


def _close(money: JobMoney, spent: dict[Book, Decimal], note: str) -> bool:
    if not any(spent.values()) and not LedgerEntry.objects.filter(subject=money.job_id).exists():
        return True  # free from beginning to end: there is nothing to close
    with transaction.atomic():
        _lock(money)
        if _entry(money, Book.PERSON, Kind.RELEASE) is not None:
            return False
        for book in money.books:
            _close_book(money, book, near(spent[book]), note)
    return True


def _close_book(money: JobMoney, book: Book, usd: Decimal, note: str) -> None:
    reserve = _entry(money, book, Kind.RESERVE)
    promised = reserve.usd if reserve else ZERO
    if usd:
        write(_line(money, book, Kind.SPEND, usd, note=note), frees=min(usd, promised))
    # Written even when nothing is left: it is what says that the books of this video are closed.
    write(_line(money, book, Kind.RELEASE, max(ZERO, promised - usd), note="" if usd else note))


def _lock(money: JobMoney) -> None:
    locked_purse(account_of(Book.PERSON, money.person_id))


def _locked_policy() -> GpuConfig:
    GpuConfig.objects.get_or_create(pk=1)
    return GpuConfig.objects.select_for_update().get(pk=1)


def _entry(money: JobMoney, book: Book, kind: LedgerEntry.Kind) -> LedgerEntry | None:
    return LedgerEntry.objects.filter(key=_key(money, book, kind)).first()


def _key(money: JobMoney, book: Book, kind: LedgerEntry.Kind, mark: str = "") -> str:
    whose = "job" if book == Book.PERSON else str(book)
    return f"{kind}:{whose}:{money.job_id}" + (f":{mark}" if mark else "")


def _line(money: JobMoney, book: Book, kind: LedgerEntry.Kind, usd: Decimal, *, mark: str = "", note: str = "") -> Line:
    return Line(
        book=book,
        kind=kind,
        subject=money.job_id,
        person_id=money.person_id,
        usd=usd,
        key=_key(money, book, kind, mark),
        note=note,
    )
