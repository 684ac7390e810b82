"""What vast.ai itself has charged for machines that are over, and the difference to what we had booked.

vast.ai books by the day and late, so a bill is read every day until it says the same twice, a day apart. A bill that
says more is believed at once; one that says less only when it is settled, because half of it may still be missing.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu import providers
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Charge
from gpu.errors import RentingOff
from gpu.models import Book, Instance, LedgerEntry
from gpu.services import timeline
from gpu.services.booking import ZERO, Kind, Line, write
from gpu.services.ledger import CENT_PARTS
from gpu.services.machine_costs import BILL_WAIT
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

log = logging.getLogger(__name__)
FIRST_LOOK = timedelta(hours=1)  # after the end of a machine
EVERY = timedelta(days=1)
RETRY = timedelta(hours=1)  # when vast.ai did not answer, or we died while asking
A_DAY_APART = timedelta(hours=20)
AT_ONCE = 50
UNREAD = Sentence(gettext_noop("vast.ai's bill could not be read: %(error)s"))
UNNAMED = Sentence(gettext_noop("vast.ai's bill does not name it; $%(usd)s are as we reckoned."))
CORRECTED = Sentence(gettext_noop("vast.ai charged $%(charged)s where $%(booked)s were booked."))


def check(now: datetime | None = None) -> int:
    """Read the bills that are due and correct the books; answers how many machines were looked at. Raises nothing.

    Safe to run twice and at once. Calls vast.ai, so it must not run inside a transaction.
    """
    now = now or timezone.now()
    rows = _claimed(now)
    if not rows:
        return 0
    since = min(row.sent_at or row.created_at for row in rows) - EVERY
    try:
        charges = providers.vast().charges(since, now)
    except (VastError, RentingOff) as exc:
        log.warning("vast.ai: the charges of %s machines could not be read: %s", len(rows), exc)
        for row in rows:
            timeline.note_once(row, "bill", UNREAD(error=exc))
        return 0
    crashpoint("vast.bill.read")
    for row in rows:
        _take(row.pk, _bill_of(row, charges), now)
    return len(rows)


def _claimed(now: datetime) -> list[Instance]:
    """The machines whose bill is due, for this process alone: the next look is moved before the call."""
    mine = []
    for row in _due(now).order_by("ended_at")[:AT_ONCE]:
        if _due(now).filter(pk=row.pk).update(bill_next_at=now + RETRY):
            mine.append(row)
    return mine


def _due(now: datetime) -> QuerySet[Instance]:
    closed = LedgerEntry.objects.filter(instance=OuterRef("pk"), kind=Kind.RELEASE)
    # What was never rented has no bill, unless it turned up late and was booked then.
    cost = Q(vast_id__isnull=False) | Q(spent_usd__gt=0)
    return (
        Instance.objects.rented()
        .over()
        .filter(cost, Q(bill_next_at=None) | Q(bill_next_at__lte=now), Exists(closed))
        .filter(bill_settled=False, ended_at__lte=now - FIRST_LOOK)
    )


def _bill_of(row: Instance, charges: Iterable[Charge]) -> Decimal | None:
    """What vast.ai charged under this machine's number or label; None when it does not name it."""
    own = [one.usd for one in charges if one.label == row.label or (row.vast_id and one.instance_id == row.vast_id)]
    return sum(own, ZERO) if own else None


def _take(pk: UUID, bill: Decimal | None, now: datetime) -> None:
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=pk)
        if row.bill_settled:
            return
        settled = _is_settled(row, bill, now)
        difference = ZERO if bill is None else (bill - row.spent_usd).quantize(CENT_PARTS, ROUND_HALF_UP)
        if difference > 0 or (settled and difference):
            _correct(row, difference, now)
        if bill is not None:
            row.charged_usd = bill
        row.charges_checked_at, row.bill_settled, row.bill_next_at = now, settled, None if settled else now + EVERY
        row.save(update_fields=["spent_usd", "charged_usd", "charges_checked_at", "bill_settled", "bill_next_at"])
        if settled and bill is None:
            timeline.note(row, "bill", UNNAMED(usd=f"{row.spent_usd:.2f}"))


def _is_settled(row: Instance, bill: Decimal | None, now: datetime) -> bool:
    age = now - (row.ended_at or now)
    if age >= BILL_WAIT:
        return True
    last = row.charges_checked_at
    the_same_twice = bill is not None and bill == row.charged_usd and last is not None and now - last >= A_DAY_APART
    return the_same_twice and age >= EVERY


def _correct(row: Instance, difference: Decimal, now: datetime) -> None:
    """Book the difference on the day on which the machine ended: that is when the money was spent."""
    number = row.ledger.filter(kind=Kind.CORRECT).count() + 1
    booked = row.spent_usd
    row.spent_usd = booked + difference
    words = CORRECTED(charged=f"{row.spent_usd:.3f}", booked=f"{booked:.3f}")
    write(
        Line(
            book=Book.MACHINE,
            kind=Kind.CORRECT,
            subject=row.pk,
            usd=difference,
            key=f"bill:{row.pk}:{number}",
            at=min(now, row.ended_at or now),
            note=words,
        )
    )
    timeline.note(row, "bill", words, difference_usd=str(difference))
