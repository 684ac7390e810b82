"""The dispatcher: drives many renders at once on one event loop, and keeps the next job queued at every GPU."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from generation import providers
from generation.engines.base import Engine
from generation.models import Attempt, Provider, Status
from generation.services import claims, fleet_bell, prices, pulse, queueing, rendering, smoothing, sweeping
from generation.services import held as rows
from generation.services.claims import Claim, Mode, Room
from generation.services.held import Held
from generation.services.previews import Previews
from gpu.services import config

log = logging.getLogger(__name__)

TICK_S = 0.2
FLUSH_S = 1.0
CANCELS_S = 1.0
BEAT_S = 10.0
FLEET_S = 5.0
CLAIM_BATCH = 32  # in one transaction: a thousand at once would keep every other writer waiting for seconds
OUTCOME_MARGIN_S = 300
REST_S = 10.0  # an endpoint that could not be reached gets no new work for so long


@dataclass(slots=True)
class Running:
    held: Held
    task: asyncio.Task[None]


@dataclass(slots=True)
class Dispatcher:
    """Run one with `await Dispatcher().run(stop)`; as many as wanted may run, on as many hosts."""

    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"[:80])
    max_renders: int = field(default_factory=lambda: settings.DISPATCH_MAX_RENDERS)
    _running: dict[str, Running] = field(default_factory=dict)
    _engines: dict[tuple[str, str], Engine] = field(default_factory=dict)
    _resting: dict[str, float] = field(default_factory=dict)
    _previews: Previews = field(default_factory=Previews)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then hand the renders over and return."""
        duties = (
            (TICK_S, self._tick),
            (FLUSH_S, self._flush),
            (CANCELS_S, self._cancel),
            (BEAT_S, self._beat),
            (settings.SWEEP_SECONDS, self._sweep),
            (FLEET_S, self._look_at_fleet),
        )
        try:
            # Each ends between two rounds, never in one: a claim that was just made must not be dropped.
            await asyncio.gather(*(_every(seconds, act, stop) for seconds, act in duties))
        finally:
            await self._hand_over()

    # --- taking work ------------------------------------------------------------------------------------------
    async def _tick(self) -> None:
        await sync_to_async(claims.ring_for_pictures)()
        for claim in await sync_to_async(self._claim)():
            held = Held(claim)
            task = asyncio.create_task(self._drive(held))
            self._running[claim.token] = Running(held, task)

    def _claim(self) -> list[Claim]:
        now = time.monotonic()
        endpoints = [end.url for end in config.endpoints() if self._resting.get(end.url, 0) < now]
        used = Counter(run.held.claim.attempt.engine for run in self._running.values())
        room = Room(
            total=min(CLAIM_BATCH, self.max_renders - len(self._running)),
            preview=settings.PREVIEW_PROCESSES - used[Provider.PREVIEW],
            fal=self._resting.get(Provider.FAL, 0) < now and prices.fal_ready(),
            endpoints=endpoints,
            smooth=smoothing.servers_for_waiting(endpoints),
        )
        return claims.claim_jobs(owner=self.name, room=room)

    async def _drive(self, held: Held) -> None:
        attempt = held.claim.attempt
        try:
            engine = await sync_to_async(self._engine)(attempt.engine, attempt.endpoint)
            await rendering.drive(held, engine, self._previews)
            if held.unavailable:
                self._resting[_server_of(attempt)] = time.monotonic() + REST_S
        except Exception:
            log.exception("job %s: could not be settled; its lease will lapse", held.claim.job.pk)
        finally:
            self._running.pop(held.token, None)

    def _engine(self, provider: str, endpoint: str) -> Engine:
        # One account at fal.ai, whatever the model is: one engine.
        key = (provider, "" if provider == Provider.FAL else endpoint)
        if key not in self._engines:
            self._engines[key] = providers.engine_for(provider, endpoint)
        return self._engines[key]

    # --- keeping rows and renders together ----------------------------------------------------------------------
    async def _flush(self) -> None:
        running = list(self._running.values())
        if not running:
            return
        await sync_to_async(rows.flush)([run.held for run in running])
        await sync_to_async(self._renew)(running)
        told = await sync_to_async(rows.evidence_of)([run.held for run in running])
        for run in running:
            if run.held.token in told:
                run.held.hear(told[run.held.token])
            self._watch(run)

    def _renew(self, running: list[Running]) -> None:
        tokens = [run.held.token for run in running]
        rows.renew(tokens)
        standing = rows.standing(tokens)
        for run in running:
            status = standing.get(run.held.token)
            if status is None:
                run.held.stop_reason = run.held.stop_reason or "lost"
            elif status != Status.RENDERING and run.held.claim.mode is not Mode.CLEAN_UP:
                run.held.stop_reason = run.held.stop_reason or "over"

    def _watch(self, run: Running) -> None:
        held = run.held
        reason = held.stop_reason or _passed_deadline(held)
        if reason and not held.stopping:
            held.stop_reason, held.stopping = reason, True
            run.task.cancel()

    async def _cancel(self) -> None:
        await sync_to_async(queueing.cancel_due)()

    async def _beat(self) -> None:
        await sync_to_async(pulse.beat)("dispatcher")

    async def _sweep(self) -> None:
        # The worker's schedule does this too; whichever of the two is alive is enough.
        await sync_to_async(sweeping.sweep)()

    async def _look_at_fleet(self) -> None:
        # The schedule comes once a minute; a machine that boots, or a video without one, wants more.
        await sync_to_async(fleet_bell.ring_if_needed)()

    async def _hand_over(self) -> None:
        running = list(self._running.values())
        for run in running:
            run.held.stop_reason, run.held.stopping = "shutdown", True
            run.task.cancel()
        await asyncio.gather(*(run.task for run in running), return_exceptions=True)
        for engine in self._engines.values():
            await engine.aclose()
        self._previews.close()


async def _every(seconds: float, act: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        started = time.monotonic()
        try:
            await act()
        except Exception:
            # A database that is away for a moment must not end the dispatcher: leases outlive several rounds.
            log.exception("dispatcher: a round failed")
            await sync_to_async(close_old_connections)()
        pause = max(0.01, seconds - (time.monotonic() - started))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


def _server_of(attempt: Attempt) -> str:
    """What rests when it could not be reached: one SwarmUI server, or all of fal.ai."""
    return str(Provider.FAL if attempt.engine == Provider.FAL else attempt.endpoint)


def _passed_deadline(held: Held) -> str:
    """Our own clock decides: SwarmUI's deadlines are a week long."""
    if held.claim.mode is Mode.CLEAN_UP:
        return ""
    age = held.age_s
    if held.claim.attempt.engine == Provider.FAL and held.claim.attempt.sent_at:
        # It is paid for: silence and a long line are no reason to give it up. While it is not known what became of
        # the call, the engine itself decides when it has waited long enough for evidence.
        patience_s = max(settings.TOTAL_DEADLINE_SECONDS, settings.FAL_OUTCOME_MINUTES * 60 + OUTCOME_MARGIN_S)
        return "deadline_total" if age > patience_s else ""
    if age > settings.TOTAL_DEADLINE_SECONDS:
        return "deadline_total"
    if time.monotonic() - held.last_sign > settings.SILENCE_DEADLINE_SECONDS:
        return "deadline_silence"
    if not held.rendering_seen and age > settings.START_DEADLINE_SECONDS:
        return "deadline_start"
    return ""
