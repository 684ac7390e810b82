"""The money of a video from its submit to its end: one promise, then one charge or none. Nothing is promised for ever.

A job ends in `end` and nowhere else: there the row moves, its promise is settled or kept, and its person is told, in
one transaction. A promise is kept only while a cloud call may still be billed and somebody holds the job to find out;
then `learn` closes it. `close_leftovers`, run by the sweep, is the second wall. Locks, always in this order: the
person's purse, the row of the job.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from generation.models import Attempt, Provider, Status, VideoJob, VideoJobQuerySet
from generation.services import notify
from gpu.services import booking, charges
from gpu.services.charges import Book, JobMoney
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

ZERO = Decimal(0)
BILLED_ALL_THE_SAME = Sentence(
    gettext_noop("It was finished and billed before it could be stopped: $%(usd)s were charged.")
)
BILLED_LATE = gettext_noop("The provider said late that it was billed.")
NOT_BILLED_LATE = gettext_noop("The provider said late that it was not billed.")
# Ends of an attempt that was sent which do not say whether the provider will bill it.
UNKNOWN_ENDS = frozenset(
    {
        *("outcome_unknown", "internal", "engine_silent", "engine_lost", "engine_error"),
        *("deadline_start", "deadline_silence", "deadline_total"),
    }
)
# Ends after an answer that held no video which we can use: paid for nothing.
BILLED_ENDS = frozenset({"no_result", "result_host"})
# Ended without a video, with a promise that is still open.
_UNSETTLED = Q(status__in=(Status.FAILED, Status.CANCELLED), cost_is_final=False, reserved_usd__gt=0)
# A holder may be about to close the promise itself.
LEFT_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a finished video has cost: itself, and its share of what its machine cost beside its videos."""

    direct_usd: Decimal = ZERO
    share_usd: Decimal = ZERO
    is_final: bool = True

    def charged(self, promised_usd: Decimal) -> Decimal:
        """Never more than was promised: what was shown at the submit is what it costs at most."""
        return max(ZERO, min(self.direct_usd + self.share_usd, promised_usd)).quantize(booking.PLACES)

    def columns(self, promised_usd: Decimal) -> dict[str, Any]:
        return {
            "direct_usd": self.direct_usd,
            "share_usd": self.share_usd,
            "cost_usd": self.charged(promised_usd),
            "cost_is_final": self.is_final,
        }


def promise(job: VideoJob) -> None:
    """Set aside what `job` may cost; call it in the transaction that inserts it, before. Raises CapReached."""
    if not job.reserved_usd:
        return
    job.cost_is_final = False
    charges.reserve_job(_money(job), job.reserved_usd)
    crashpoint("money.promised")
    _warn(job.owner_id)


def end(rows: VideoJobQuerySet, values: dict[str, Any], price: Price | None = None) -> VideoJob | None:
    """Move the one job that `rows` selects to the terminal status in `values`; None when there is none any more.

    `price`, at success: what the video has cost.
    """
    job = rows.select_related("model").first()
    if job is None:
        return None
    with transaction.atomic():
        _lock(job)
        crashpoint("money.before_end")
        values = values | (price.columns(job.reserved_usd) if price else {})
        if not rows.update(**values):
            return None
        for name, value in values.items():
            setattr(job, name, value)
        _settle_end(job, price)
        crashpoint("money.settled")
        notify.job_ended(job)
    crashpoint("money.after_end")
    return job


def learn(rows: VideoJobQuerySet, *, billed: bool | None) -> None:
    """The cloud call of the ended job that `rows` selects was billed, or was not (None: nobody can tell): close it.

    Call it before the attempt is ended, in the transaction that lets go of the job. Does nothing for any other job.
    """
    with transaction.atomic():
        if job := _locked(rows.filter(_UNSETTLED)):
            attempt = _last_sent(job)
            if attempt is None:
                _release(job)
            else:
                # Without an id nobody has seen the call at the provider: it may be billed, and may not be.
                seen = billed is False or "request_id" in attempt.provider_ref | attempt.evidence
                _close_call(job, attempt, billed if seen else None)
            crashpoint("money.learned")


def correct(rows: VideoJobQuerySet, price: Price, *, note: str) -> None:
    """Charge the finished video that `rows` selects what it has really cost. Safe to run twice and at once."""
    with transaction.atomic():
        job = _locked(rows.filter(status=Status.SUCCEEDED))
        if job is None:
            return
        columns = price.columns(job.reserved_usd)
        if all(getattr(job, name) == value for name, value in columns.items()):
            return
        crashpoint("shares.before")
        usd = columns["cost_usd"] - job.cost_usd
        charges.correct_job(_money(job), usd=usd, book=Book.PERSON, note=note)
        crashpoint("shares.booked")
        VideoJob.objects.filter(pk=job.pk).update(**columns)
    crashpoint("shares.after")


def close_leftovers() -> int:
    """Close what is promised to ended jobs that nobody holds; how many there were. Safe to run twice and at once."""
    left = VideoJob.objects.filter(_UNSETTLED, lease_token="", finished_at__lt=timezone.now() - LEFT_AFTER)
    keys = list(left.values_list("pk", flat=True))
    for pk in keys:
        with transaction.atomic():
            if job := _locked(left.filter(pk=pk)):
                _decide(job)
    return len(keys)


def evidence_arrived(attempt: Attempt) -> None:
    """Correct the operator's books when the provider says late how a call ended that nobody could tell about.

    Its person paid nothing and still pays nothing. Safe to call for any attempt and any number of times.
    """
    billed = _told(attempt)
    ended = VideoJob.objects.filter(status__in=(Status.FAILED, Status.CANCELLED), cost_is_final=True)
    if billed is None:
        return
    with transaction.atomic():
        job = _locked(ended.filter(pk=attempt.job_id, reserved_usd__gt=0))
        row = Attempt.objects.exclude(sent_at=None).exclude(ended_at=None).filter(pk=attempt.pk).first()
        if job is None or row is None:
            return  # whoever holds the job reads the evidence and settles
        truth = _price_of_call(job, row) if billed else ZERO
        note = BILLED_LATE if billed else NOT_BILLED_LATE
        charges.correct_job(_money(job), usd=truth - row.cost_usd, book=Book.CLOUD, note=note)
        Attempt.objects.filter(pk=row.pk).update(cost_usd=truth)
        if not billed and job.cost_usd:
            charges.correct_job(_money(job), usd=-job.cost_usd, book=Book.PERSON, note=note)
            VideoJob.objects.filter(pk=job.pk).update(cost_usd=ZERO, direct_usd=ZERO, message="")


# --- how it ends ------------------------------------------------------------------------------------------------------


def _settle_end(job: VideoJob, price: Price | None) -> None:
    if not job.reserved_usd:
        return
    if price is not None:
        spent = (_spent_on_calls(job) or price.direct_usd) if job.model.provider == Provider.FAL else None
        charges.settle_job(_money(job), charged=job.cost_usd, cloud_usd=spent)
    elif _is_held(job) and _running_call(job):
        return  # whoever holds the job tells the provider to stop, and hears whether that was in time
    else:
        _decide(job)


def _decide(job: VideoJob) -> None:
    """Close a promise with what the rows say: nobody will ever know more."""
    attempt = _last_sent(job)
    if attempt is None:
        _release(job)
    else:
        _close_call(job, attempt, _was_billed(job, attempt))


def _was_billed(job: VideoJob, attempt: Attempt) -> bool | None:
    if attempt.result_ref or attempt.cost_usd:
        return True
    if (told := _told(attempt)) is not None:
        return told
    if attempt.ended_at is None:
        failed, code = job.status == Status.FAILED, job.error_code
    else:
        failed = attempt.outcome in (Attempt.Outcome.FAILED, Attempt.Outcome.UNAVAILABLE)
        code = attempt.error_code
    if code in BILLED_ENDS:
        return True
    # A provider that says itself why it failed bills nothing.
    return False if failed and code not in UNKNOWN_ENDS else None


def _close_call(job: VideoJob, attempt: Attempt, billed: bool | None) -> None:
    usd = ZERO if billed is False else _price_of_call(job, attempt)
    Attempt.objects.filter(pk=attempt.pk).update(cost_usd=usd)
    if billed and job.status == Status.CANCELLED:
        _charge_cancelled(job, usd)
        return
    notes = {True: "Billed, and there is no video.", False: "", None: "Nobody knows whether the call was billed."}
    _release(job, cloud_usd=_spent_on_calls(job), note=notes[billed])


def _charge_cancelled(job: VideoJob, usd: Decimal) -> None:
    """The person changed their mind too late: the video was made and has to be paid."""
    price = Price(direct_usd=usd)
    columns = price.columns(job.reserved_usd)
    message = BILLED_ALL_THE_SAME(usd=f"{columns['cost_usd']:.2f}")
    charges.settle_job(_money(job), charged=columns["cost_usd"], cloud_usd=_spent_on_calls(job), note="Cancelled late")
    VideoJob.objects.filter(pk=job.pk).update(**columns, message=message, updated_at=timezone.now())


def _release(job: VideoJob, *, cloud_usd: Decimal = ZERO, note: str = "") -> None:
    charges.release_job(_money(job), cloud_usd=cloud_usd, note=note)
    VideoJob.objects.filter(pk=job.pk).update(cost_is_final=True)


# --- what the rows say ------------------------------------------------------------------------------------------------


def _is_held(job: VideoJob) -> bool:
    # Read under the row's lock: what was read before the update may be from before somebody claimed the job.
    return VideoJob.objects.exclude(lease_token="").filter(pk=job.pk).exists()


def _sent(job: VideoJob) -> QuerySet[Attempt]:
    return job.attempts.filter(engine=Provider.FAL).exclude(sent_at=None)


def _last_sent(job: VideoJob) -> Attempt | None:
    return _sent(job).order_by("number").last()


def _running_call(job: VideoJob) -> bool:
    """A call that was, or may have been, sent and has no result yet."""
    return any(not attempt.result_ref for attempt in _sent(job).filter(ended_at=None))


def _price_of_call(job: VideoJob, attempt: Attempt) -> Decimal:
    # What the provider told; before it tells, the catalogue's price, which is what was promised.
    return attempt.cost_usd or job.reserved_usd


def _spent_on_calls(job: VideoJob) -> Decimal:
    return sum(_sent(job).values_list("cost_usd", flat=True), ZERO)


def _told(attempt: Attempt) -> bool | None:
    """Whether the provider's webhook says that the call was billed; None: it has not said anything."""
    return {"OK": True, "ERROR": False}.get(str(attempt.evidence.get("status", "")))


def _warn(person_id: int) -> None:
    """Tell the person, once a day or month, that this promise brings them near a budget of theirs."""
    today = booking.day_of(timezone.now())
    for room in charges.headroom(person_id).person:
        if room.soft and room.cap_usd is not None:
            notify.budget_warning(
                person_id,
                scope=room.scope,
                period=room.period,
                starts=today.replace(day=1) if room.period == "month" else today,
                used_usd=room.used_usd,
                cap_usd=room.cap_usd,
            )


def _money(job: VideoJob) -> JobMoney:
    return JobMoney(job_id=job.pk, person_id=job.owner_id, cloud=job.model.provider == Provider.FAL)


def _locked(rows: VideoJobQuerySet) -> VideoJob | None:
    """The row, with its money locked, if `rows` still selects it then."""
    job = rows.select_related("model").first()
    if job is None:
        return None
    _lock(job)
    return rows.select_related("model").first()


def _lock(job: VideoJob) -> None:
    # Before the job's row: a submit holds the purse and waits for rows that whoever claims jobs holds.
    if job.reserved_usd:
        booking.locked_purse(booking.account_of(Book.PERSON, job.owner_id))
