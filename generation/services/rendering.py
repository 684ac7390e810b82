"""One attempt from claim to result, whatever happens on the way."""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.utils.translation import gettext_noop

from generation.engines.base import (
    Engine,
    EngineError,
    EngineLost,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    Lora,
    Progress,
    ProviderRef,
    RenderRequest,
    RenderResult,
)
from generation.models import Attempt, Provider, SourceImage
from generation.services import evidence, handing_over, intake, prices
from generation.services import held as rows
from generation.services.claims import Mode
from generation.services.held import Held, LeaseLost
from gpu.services import alarms
from i2v_site.crashpoints import crashpoint

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0  # pause before a silent provider is asked again
MAX_PAUSE_S = 60.0

DEADLINES = {
    "deadline_start": gettext_noop("The GPU did not begin with this video in time. Try again later."),
    "deadline_silence": gettext_noop("Nothing was heard from the GPU for too long. Try again."),
    "deadline_total": gettext_noop("This video took too long and was stopped. Try fewer frames or a smaller size."),
}


class PreviewSink(Protocol):
    def offer(self, job_id: Any, picture: bytes) -> None: ...


class AttemptReporter:
    """What the engine says about one attempt, on its way to the row."""

    def __init__(self, held: Held, previews: PreviewSink) -> None:
        self._held = held
        self._previews = previews

    async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
        crashpoint("render.before_sending")
        await sync_to_async(rows.save_sending)(self._held, ref, request_sent)
        crashpoint("render.sending_saved")

    def progress(self, progress: Progress) -> None:
        self._held.note(progress)
        if progress.preview:
            self._previews.offer(self._held.claim.job.pk, progress.preview)

    async def evidence(self, timeout_s: float) -> dict[str, Any] | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._held.told.wait()
        return self._held.evidence or None


async def drive(held: Held, engine: Engine, previews: PreviewSink) -> None:
    """Bring one attempt to its end. Stops by itself when cancelled with `held.stop_reason` set; never raises."""
    try:
        if held.claim.mode is Mode.CLEAN_UP:
            await _tell_engine(held, engine)
        else:
            await _to_storage(held, await _result(held, engine, previews))
    except asyncio.CancelledError:
        await _stopped(held, engine)
    except LeaseLost:
        await _unless_ours(held, engine)
    except EngineError as exc:
        await _settle(held, engine, exc)
    except Exception:
        log.exception("job %s: unexpected failure", held.claim.job.pk)
        if held.claim.attempt.engine == Provider.FAL and held.claim.attempt.sent_at:
            return  # it may be paid for: whoever finds the lease lapsed looks for it, and sends nothing
        await _settle(held, engine, EngineError(gettext_noop("Something went wrong on our side."), code="internal"))


async def _result(held: Held, engine: Engine, previews: PreviewSink) -> RenderResult:
    reporter = AttemptReporter(held, previews)
    request = request_of(held)
    held.ref = held.claim.attempt.provider_ref
    while True:
        try:
            if held.claim.attempt.sent_at:
                return await engine.recover(request, held.ref, reporter)
            return await engine.render(request, reporter)
        except EngineSilent as exc:
            # It was sent and may go on: only looking is allowed, until a deadline ends it.
            held.say(exc.message)
            await asyncio.sleep(LOOK_AGAIN_S)


def request_of(held: Held) -> RenderRequest:
    job, model = held.claim.job, held.claim.job.model
    if job.image is None or job.width is None or job.height is None:
        raise EngineRefused(gettext_noop("The picture of this job was deleted."), code="picture_missing")
    return RenderRequest(
        nonce=held.claim.attempt.nonce,
        picture=_reader(job.image, job.width, job.height, (job.focus_x, job.focus_y)),
        # Nobody says what matters in it, so its middle is kept.
        end_picture=_reader(job.end_image, job.width, job.height, (0.5, 0.5)) if job.end_image else None,
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        width=job.width,
        height=job.height,
        frames=job.frames,
        fps=job.fps,
        steps=job.steps,
        cfg_scale=job.cfg_scale,
        seed=job.seed,
        interpolate=job.interpolate,
        model=model.high_noise_model,
        low_noise_model=model.low_noise_model,
        swap_percent=model.swap_percent,
        loras=tuple(Lora(lora["name"], float(lora["weight"]), lora["stage"]) for lora in model.loras),
        sampler=model.sampler,
        scheduler=model.scheduler,
        allow_prompt_syntax=model.allow_prompt_syntax,
        **_in_the_cloud(held),
    )


def _in_the_cloud(held: Held) -> dict[str, Any]:
    """What a request needs besides, when it goes to a provider on the internet."""
    job, attempt = held.claim.job, held.claim.attempt
    if attempt.engine != Provider.FAL:
        return {}
    return {
        "endpoint": job.model.endpoint,
        "parameters": job.model.parameters,
        "picture_link": handing_over.link_of(job, attempt),
        "end_picture_link": handing_over.end_link_of(job, attempt),
        "webhook_url": evidence.webhook_url(attempt.nonce),
        "typical_seconds": job.model.typical_seconds,
    }


def _reader(image: SourceImage, width: int, height: int, focus: tuple[float, float]) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        # Pillow lets go of the interpreter while it decodes and scales, so a thread keeps the loop free.
        return await asyncio.to_thread(
            intake.cropped_png, image, width=width, height=height, focus_x=focus[0], focus_y=focus[1]
        )

    return read


async def _to_storage(held: Held, result: RenderResult) -> None:
    crashpoint("render.result_known")
    if rows.is_local(held):
        ref = await asyncio.to_thread(spool, Path(result.ref["path"]), str(held.claim.attempt.pk))
        result = replace(result, ref=ref)
    await sync_to_async(rows.to_storing)(held, result)
    if held.claim.attempt.engine == Provider.FAL:
        await sync_to_async(alarms.cloud_credit_fine)()
    crashpoint("render.storing_saved")
    await _clean_up(held)


def spool(path: Path, attempt_id: str) -> dict[str, Any]:
    """Put a local result where every worker can reach it; the ref of it there."""
    key = f"spool/{attempt_id}.mp4"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        if default_storage.exists(key):
            default_storage.delete(key)
        default_storage.save(key, File(file))
    size = path.stat().st_size
    path.unlink()
    return {"spool": key, "bytes": size, "sha256": digest}


async def _settle(held: Held, engine: Engine, exc: EngineError) -> None:
    """What an engine's error means for the job."""
    made = held.claim.job.attempts_made
    if exc.code == "fal_balance":
        await sync_to_async(alarms.cloud_credit_low)(exc.message)
    try:
        if isinstance(exc, EngineUnavailable):
            held.unavailable = True
            await _give_back(held, exc, pause_s=_pause(made + 1), counted=False, outcome=Attempt.Outcome.UNAVAILABLE)
        elif isinstance(exc, EngineRefused) or exc.billed or made >= settings.MAX_ATTEMPTS:
            await sync_to_async(rows.fail)(held, code=exc.code, message=exc.message, cost_usd=_cost_of(held, exc))
            await _clean_up(held)
        else:
            outcome = Attempt.Outcome.LOST if isinstance(exc, EngineLost) else Attempt.Outcome.FAILED
            await _give_back(held, exc, pause_s=_pause(made), counted=True, outcome=outcome)
    except LeaseLost:
        await _unless_ours(held, engine)


def _cost_of(held: Held, exc: EngineError) -> Decimal | None:
    """What the provider takes although there is no video: its price, as far as we know it."""
    job = held.claim.job
    if not exc.billed or job.width is None or job.height is None:
        return None
    return prices.price_of(job.model, width=job.width, height=job.height, frames=job.frames, fps=job.fps)


async def _give_back(held: Held, exc: EngineError, *, pause_s: float, counted: bool, outcome: str) -> None:
    await sync_to_async(rows.give_back)(
        held, pause_s=pause_s, message=exc.message, counted=counted, outcome=outcome, code=exc.code
    )
    await _clean_up(held)


async def _clean_up(held: Held) -> None:
    """The attempt is over: what was put up for the provider goes."""
    if held.claim.attempt.engine == Provider.FAL:
        await asyncio.to_thread(handing_over.take_back, held.claim.job.pk, held.claim.attempt.pk)


def _pause(tries: int) -> float:
    """Seconds before the next try: doubled each time, with jitter so that many do not come back at once."""
    return min(MAX_PAUSE_S, 2.0**tries) * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)


async def _stopped(held: Held, engine: Engine) -> None:
    """The dispatcher cancelled our task and said why."""
    if held.stop_reason == "shutdown":
        await sync_to_async(_shut_down)(held)
    elif held.stop_reason in DEADLINES:
        message = DEADLINES[held.stop_reason]
        if await sync_to_async(rows.fail_but_hold)(held, code=held.stop_reason, message=message):
            await _tell_engine(held, engine, outcome=Attempt.Outcome.FAILED)
    elif held.stop_reason == "over":
        await _tell_engine(held, engine)


def _shut_down(held: Held) -> None:
    if not rows.is_local(held):
        rows.hand_over(held)
        return
    try:
        rows.give_back(held, pause_s=0, message="", counted=False, outcome=Attempt.Outcome.LOST, code="shutdown")
    except LeaseLost:
        rows.hand_over(held)


async def _unless_ours(held: Held, engine: Engine) -> None:
    """A write matched no row: another process has the job (stop), or the person cancelled it (tell the engine)."""
    if held.token in await sync_to_async(rows.standing)([held.token]):
        await _tell_engine(held, engine)


async def _tell_engine(held: Held, engine: Engine, outcome: str = Attempt.Outcome.CANCELLED) -> None:
    """Stop the render of a job that is over. While the engine does not answer, the lease lapses and we come again."""
    ref = await sync_to_async(_known_ref)(held)
    billed: bool | None = False
    try:
        if ref:
            billed = not await engine.cancel(ref)
    except EngineError as exc:
        if not _given_up(held):
            log.warning("job %s: cancel not confirmed (%s), asking again", held.claim.job.pk, exc.code)
            return
        billed = None
    await sync_to_async(rows.let_go)(held, outcome=outcome, billed=billed)
    await _clean_up(held)


def _known_ref(held: Held) -> ProviderRef:
    """How to find the render, with what a webhook has told about a request whose answer was lost."""
    ref = held.ref or held.claim.attempt.provider_ref
    if ref and held.awaits_evidence and not ref.get("request_id"):
        told = rows.evidence_of([held]).get(held.token, {})
        return ref | {"request_id": told["request_id"]} if told.get("request_id") else ref
    return ref


def _given_up(held: Held) -> bool:
    finished = held.claim.job.finished_at
    patience_s = max(settings.TOTAL_DEADLINE_SECONDS, settings.FAL_OUTCOME_MINUTES * 60)
    return finished is not None and time.time() - finished.timestamp() > patience_s
