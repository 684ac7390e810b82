"""What a dispatcher knows of the attempts that it drives, and how that reaches the rows: in batches, once a second."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from generation.engines.base import Phase, Progress, ProviderRef, RenderResult
from generation.models import Attempt, PreviewFrame, Provider, Status, VideoJob
from generation.services import claims, jobs, settling
from generation.services.claims import Claim
from i2v_site import queue

# Rendering fills the bar up to here; the rest is for storing.
RENDERED = 0.97
WORDS = {
    Phase.SENDING: gettext_noop("Sending the picture"),
    Phase.WAITING: gettext_noop("In line at the GPU"),
    Phase.LOADING: gettext_noop("Loading the model"),
    Phase.RENDERING: gettext_noop("Rendering"),
    Phase.FINISHING: gettext_noop("Finishing the video"),
}


class LeaseLost(Exception):
    """Somebody else has the job now, or it is over: stop quietly."""


@dataclass(slots=True)
class Held:
    """One attempt in flight. Times are seconds of the monotonic clock."""

    claim: Claim
    ref: ProviderRef = field(default_factory=dict)
    phase: Phase | None = None
    fraction: float = 0.0
    message: str = ""
    position: int | None = None
    dirty: bool = False
    last_sign: float = field(default_factory=time.monotonic)
    phase_since: float = field(default_factory=time.monotonic)
    rendering_seen: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    stop_reason: str = ""  # "over", "lost", "shutdown" or a deadline's code
    stopping: bool = False
    unavailable: bool = False  # the engine could not be reached; its server should rest
    evidence: dict[str, Any] = field(default_factory=dict)  # what a verified webhook brought
    told: asyncio.Event = field(default_factory=asyncio.Event)  # set when there is evidence

    @property
    def age_s(self) -> float:
        """Since the attempt began, in whichever process that was."""
        return (timezone.now() - self.claim.attempt.created_at).total_seconds()

    @property
    def token(self) -> str:
        return self.claim.token

    @property
    def awaits_evidence(self) -> bool:
        return self.claim.attempt.engine == Provider.FAL and not self.evidence

    def hear(self, evidence: dict[str, Any]) -> None:
        """Call it on the event loop: whoever waits for evidence goes on at once."""
        self.evidence = evidence
        self.told.set()

    def note(self, progress: Progress) -> None:
        """Take in one sign of life; what is shown never goes backwards."""
        self.last_sign = time.monotonic()
        self.enter(progress.phase)
        self.fraction = max(self.fraction, min(1.0, max(0.0, progress.fraction)))
        self.position = progress.position
        self.message = (progress.message or WORDS[progress.phase])[:200]
        self.dirty = True

    def enter(self, phase: Phase | None) -> None:
        """Book the time since the last change of phase."""
        now = time.monotonic()
        if self.phase is not None:
            spent = self.timings.get(self.phase, 0.0) + now - self.phase_since
            self.timings[str(self.phase)] = round(spent, 3)
        self.phase, self.phase_since = phase, now
        self.rendering_seen = self.rendering_seen or phase in (Phase.RENDERING, Phase.FINISHING)

    def say(self, message: str) -> None:
        """Show something that is no sign of life."""
        self.message, self.dirty = message[:200], True


def flush(held: Iterable[Held]) -> None:
    """Write the news of all attempts in one statement per row, all in one transaction."""
    now = timezone.now()
    news = [item for item in held if item.dirty]
    if not news:
        return
    rows = [
        (item.fraction * RENDERED, item.phase or "", item.message, item.position, now, item.token, Status.RENDERING)
        for item in news
    ]
    for item in news:
        item.dirty = False
    table = connection.ops.quote_name(VideoJob._meta.db_table)  # noqa: SLF001 (Django's documented model API)
    # The ORM would build one CASE with a branch for every row and column; this is one prepared statement.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET progress = %s, phase = %s, message = %s, provider_position = %s, updated_at = %s "  # noqa: S608
            "WHERE lease_token = %s AND status = %s",
            rows,
        )


def renew(tokens: list[str]) -> None:
    until = timezone.now() + claims.lease()
    VideoJob.objects.filter(lease_token__in=tokens).update(lease_until=until)


def standing(tokens: list[str]) -> dict[str, str]:
    """The status of each job that is still held with one of `tokens`."""
    return dict(VideoJob.objects.filter(lease_token__in=tokens).values_list("lease_token", "status"))


def evidence_of(held: Iterable[Held]) -> dict[str, dict[str, Any]]:
    """What webhooks have brought about attempts that wait for it, by the holder's token; one query."""
    waiting = {item.claim.attempt.pk: item.token for item in held if item.awaits_evidence}
    if not waiting:
        return {}
    found = Attempt.objects.filter(pk__in=waiting).exclude(evidence_at=None).values_list("pk", "evidence")
    return {waiting[pk]: evidence for pk, evidence in found if evidence}


def save_sending(held: Held, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
    """Commit how to find this render before anything is sent. Raises LeaseLost.

    What identifies a render that was sent already is kept also when its job is over: it has to be stopped.
    """
    attempt = held.claim.attempt
    now = timezone.now()
    with transaction.atomic():
        rows = VideoJob.objects.select_for_update().held_with(held.token)
        if not (rows if attempt.sent_at else rows.filter(status=Status.RENDERING)).exists():
            raise LeaseLost
        Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(
            provider_ref=ref, request_sent=request_sent, sent_at=attempt.sent_at or now
        )
    attempt.sent_at = attempt.sent_at or now
    held.ref = ref


def to_storing(held: Held, result: RenderResult) -> None:
    """The result is known: hand the job to a worker, in one transaction with the ring."""
    attempt = held.claim.attempt
    values = jobs.released(Status.STORING) | {"progress": RENDERED, "next_attempt_at": None}
    if result.seed is not None:
        values["seed"] = result.seed
    with transaction.atomic():
        if not VideoJob.objects.held_with(held.token).filter(status=Status.RENDERING).update(**values):
            raise LeaseLost
        told = {} if result.cost_usd is None else {"cost_usd": result.cost_usd}
        Attempt.objects.filter(pk=attempt.pk).update(
            result_ref=result.ref,
            engine_metadata=result.metadata,
            drift=list(result.drift),
            timings=attempt.timings | held.timings,
            **told,
        )
        PreviewFrame.objects.filter(job=held.claim.job).delete()
        queue.ring("generation.tasks.store_result", str(attempt.pk))


def give_back(held: Held, *, pause_s: float, message: str, counted: bool, outcome: str, code: str = "") -> None:
    """Queue the job again after `pause_s`; `counted`: the attempt was the job's fault and is not given back."""
    now = timezone.now()
    values = jobs.queued() | {"message": message[:200], "next_attempt_at": now + timedelta(seconds=pause_s)}
    if not counted:
        values["attempts_made"] = max(0, held.claim.job.attempts_made - 1)
    with transaction.atomic():
        if not VideoJob.objects.held_with(held.token).filter(status=Status.RENDERING).update(**values):
            raise LeaseLost
        _end_attempt(held, outcome=outcome, code=code, message=message)


def fail(held: Held, *, code: str, message: str, cost_usd: Decimal | None = None) -> None:
    """The end of the job and of this attempt, with the reason; `cost_usd`: what the provider takes all the same."""
    with transaction.atomic():
        if cost_usd:
            Attempt.objects.filter(pk=held.claim.attempt.pk).update(cost_usd=cost_usd)
        if not jobs.fail_job(job_id=held.claim.job.pk, token=held.token, code=code, message=message):
            raise LeaseLost
        _end_attempt(held, outcome=Attempt.Outcome.FAILED, code=code, message=message)


def fail_but_hold(held: Held, *, code: str, message: str) -> bool:
    """A deadline has passed: the job has failed, and the lease stays until the engine has been told."""
    values = {"status": Status.FAILED, "finished_at": timezone.now(), "updated_at": timezone.now()}
    values |= {"error_code": code, "error_message": message, "phase": "", "message": ""}
    return settling.end(VideoJob.objects.held_with(held.token).filter(status=Status.RENDERING), values) is not None


def let_go(held: Held, *, outcome: str, billed: bool | None = None) -> None:
    """The job is over and the engine knows: end the attempt and drop the lease.

    `billed`: whether the provider takes its price all the same; None: it cannot be known.
    """
    with transaction.atomic():
        settling.learn(VideoJob.objects.held_with(held.token), billed=billed)
        gone = {"lease_token": "", "lease_owner": "", "lease_until": None}
        if VideoJob.objects.held_with(held.token).update(**gone):
            _end_attempt(held, outcome=outcome)


def hand_over(held: Held) -> None:
    """This process stops: whoever comes next finds the lease lapsed and adopts the render."""
    VideoJob.objects.held_with(held.token).update(lease_until=timezone.now())


def _end_attempt(held: Held, *, outcome: str, code: str = "", message: str = "") -> None:
    attempt = held.claim.attempt
    PreviewFrame.objects.filter(job=held.claim.job).delete()
    if outcome == Attempt.Outcome.UNAVAILABLE and attempt.sent_at is None:
        attempt.delete()  # nothing happened; a server that is away for a night would leave a thousand rows
        return
    held.enter(None)
    Attempt.objects.filter(pk=attempt.pk).update(
        ended_at=timezone.now(),
        outcome=outcome,
        error_code=code[:40],
        error_message=message[:500],
        timings=attempt.timings | held.timings,
    )


def is_local(held: Held) -> bool:
    """A local render dies with its process; one at a server goes on."""
    return bool(held.claim.attempt.engine == Provider.PREVIEW)
