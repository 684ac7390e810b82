"""What the tests of the SwarmUI engine share: requests, a reporter that remembers, an impatient engine."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from generation.engines.base import Phase, Progress, ProviderRef, RenderRequest
from generation.engines.swarmui import SwarmEngine, Timing
from tests import factories
from tests.generation.test_engine_swarmui_request import REQUEST
from tests.simulators.swarmui.simulator import SwarmSimulator

QUICK = Timing(
    idle_s=5,
    trailer_s=2,
    look_interval_s=0.05,
    absent_after_s=0.3,
    unreachable_looks=4,
    cancel_s=5,
    cancel_pause_s=0.05,
)


class Recorder:
    """A reporter that remembers; `holds` is asked before anything is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[ProviderRef, dict[str, Any]]] = []
        self.news: list[Progress] = []
        self.before_sending: Callable[[], None] = lambda: None

    async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
        self.before_sending()
        self.sent.append((ref, request_sent))

    def progress(self, progress: Progress) -> None:
        self.news.append(progress)

    async def evidence(self, timeout_s: float) -> dict[str, Any] | None:
        return None

    @property
    def ref(self) -> ProviderRef:
        return self.sent[-1][0]

    @property
    def phases(self) -> list[Phase]:
        """Without repetitions."""
        found = [progress.phase for progress in self.news]
        return [phase for phase, before in zip(found, [None, *found], strict=False) if phase != before]


async def picture() -> bytes:
    return factories.png(128, 96)


def a_request(**changes: Any) -> RenderRequest:
    small = replace(REQUEST, nonce=uuid.uuid4().hex, picture=picture, width=128, height=96, frames=5)
    return replace(small, **changes)


@asynccontextmanager
async def an_engine(url: str, **changes: Any) -> AsyncIterator[SwarmEngine]:
    """Changes are the engine's arguments, or fields of its timing."""
    times = {name: changes.pop(name) for name in list(changes) if name in Timing.__dataclass_fields__}
    host = url.partition("://")[2]
    allowed = changes.pop("allow_private", frozenset({host}))
    engine = SwarmEngine(url, allow_private=allowed, timing=replace(QUICK, **times), **changes)
    try:
        yield engine
    finally:
        await engine.aclose()


async def until(reached: Callable[[], bool], *, timeout_s: float = 10) -> None:
    """Wait for a condition on our side."""
    async with asyncio.timeout(timeout_s):
        while not reached():  # noqa: ASYNC110 (the state belongs to somebody else)
            await asyncio.sleep(0.005)


async def until_state(swarm: SwarmSimulator, reached: Callable[[dict[str, Any]], bool]) -> None:
    """Wait for a condition at the simulator."""
    await asyncio.to_thread(swarm.wait_for, reached)
