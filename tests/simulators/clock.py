"""The moving clock: it stands still and is advanced, or runs at a multiple of real time."""

import asyncio
import heapq
import inspect
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

DAY = 86400.0
TINY = 1e-9
Action = Callable[[], Awaitable[None] | None]


@dataclass(order=True)
class Event:
    at: float
    order: int
    action: Action = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class Clock:
    """`now` is the epoch second up to which everything has happened.

    Between two events `accrue(since, until)` is called, and never across `horizon()` or midnight UTC: what costs
    money by the second is integrated exactly, whatever the size of a step.
    """

    def __init__(self, *, start: float | None = None, scale: float = 0.0) -> None:
        self.now = float(int(time.time())) if start is None else start
        self.scale = scale
        self.accrue: Callable[[float, float], None] = lambda _since, _until: None
        self.horizon: Callable[[], float] = lambda: float("inf")
        self.on_horizon: Action = lambda: None
        self._target, self._anchor = self.now, time.monotonic()
        self._events: list[Event] = []
        self._order = itertools.count()
        self._running = asyncio.Lock()

    def at(self, when: float, action: Action) -> Event:
        """Do something at that second, after what was planned for it before."""
        event = Event(max(when, self.now), next(self._order), action)
        heapq.heappush(self._events, event)
        return event

    def after(self, seconds: float, action: Action) -> Event:
        return self.at(self.now + seconds, action)

    async def advance(self, seconds: float) -> None:
        """Let so much time pass and everything in it happen."""
        self._read()
        self._target += seconds
        await self.settle()

    async def settle(self) -> None:
        """Catch up with the time that has passed."""
        async with self._running:
            self._read()
            target = self._target
            while self.now < target or self._due():
                await self._step(target)

    def set_scale(self, scale: float) -> None:
        self._read()
        self.scale = scale

    def _read(self) -> None:
        real = time.monotonic()
        self._target += (real - self._anchor) * self.scale
        self._anchor = real

    def _due(self) -> bool:
        return bool(self._events) and self._events[0].at <= self.now

    async def _step(self, target: float) -> None:
        midnight = (self.now // DAY + 1) * DAY
        horizon = self.horizon()
        next_event = self._events[0].at if self._events else float("inf")
        until = max(self.now, min(target, midnight, horizon, next_event))
        self.accrue(self.now, until)
        self.now = until
        if horizon <= until + TINY:
            await self._do(self.on_horizon)
        if self._due():
            event = heapq.heappop(self._events)
            if not event.cancelled:
                await self._do(event.action)

    @staticmethod
    async def _do(action: Action) -> None:
        result = action()
        if inspect.isawaitable(result):
            await result
