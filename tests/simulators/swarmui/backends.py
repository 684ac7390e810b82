"""Backends with one GPU each: their life, who gets a slot, which model is loaded, who has the GPU."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.swarmui.catalogue import Model
from tests.simulators.swarmui.errors import GenerationError
from tests.simulators.swarmui.script import FAULTS
from tests.simulators.swarmui.world import World

DISABLED, ERRORED, WAITING, LOADING, IDLE, RUNNING = ("disabled", "errored", "waiting", "loading", "idle", "running")
COMFY_RESTART_S = 2.0
NO_BACKENDS = "No backends available!"

STATUS_TEXTS = {
    "empty": (
        "error",
        "No backends present. You must configure backends in the Backends section of the Server tab before you can "
        "continue.",
    ),
    "all_disabled": ("error", "All backends are disabled. You must enable backends before you can continue."),
    "errored": ("error", "Some backends have errored on the server. Check the server logs for details."),
    "some_loading": ("warn", "Some backends are ready, but others are still loading..."),
    "running": ("", ""),
    "loading": ("soft", "Backends are still loading on the server..."),
    "disabled": ("warn", "Some backends are disabled. Please enable or configure them to continue."),
    "idle": ("warn", "All backends are idle. Cannot generate until at least one backend is running."),
    "unknown": ("error", "Something is wrong with the backends."),
}


@dataclass(eq=False)
class Backend:
    id: int
    world: World
    status: str = WAITING
    title: str = ""
    over_queue: int = 1
    in_use: int = 0
    busy_loading: bool = False
    current_model: str = ""
    last_used: float = field(default_factory=time.monotonic)
    busy_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)
    _gpu: asyncio.Lock = field(default_factory=asyncio.Lock)
    _busy_since: float | None = None
    _first_render: float | None = None
    _last_end: float | None = None

    @property
    def max_usages(self) -> int:
        return 1 + self.over_queue

    @property
    def free(self) -> bool:
        return self.status == RUNNING and not self.busy_loading and self.in_use < self.max_usages

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Comfy's own queue: one job has the GPU, the other waits here although it counts as live."""
        queued = self._gpu.locked()
        async with self._gpu:
            if queued:
                await self.world.sleep(self.world.script.gap_seconds)
            self._begin()
            try:
                yield
            finally:
                self._end()

    def _begin(self) -> None:
        now = time.monotonic()
        self._first_render = self._first_render or now
        if self._last_end is not None:
            self.gaps_s.append(now - self._last_end)
        self._busy_since = now

    def _end(self) -> None:
        now = time.monotonic()
        self.busy_s += now - (self._busy_since or now)
        self._busy_since, self._last_end, self.last_used = None, now, now

    def gpu_use(self) -> dict[str, Any]:
        """Seconds busy and idle since the first render began, and the gaps between renders."""
        now = time.monotonic()
        busy = self.busy_s + (now - self._busy_since if self._busy_since else 0.0)
        idle = now - self._first_render - busy if self._first_render else 0.0
        return {
            "id": self.id,
            "rendering": self._busy_since is not None,
            "busy_seconds": busy,
            "idle_seconds": idle,
            "gaps_seconds": list(self.gaps_s),
        }


@dataclass(eq=False)
class Demand:
    """A request that waits for a slot. `loading` is told when a model load begins and ends for its sake."""

    model: Model | None
    backend_id: str = ""
    no_load: bool = False
    loading: Callable[[bool], None] = lambda _: None
    since: float = field(default_factory=time.monotonic)
    slot: "asyncio.Future[Backend]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def model_name(self) -> str:
        return self.model.name if self.model else ""


class BackendPool:
    def __init__(self, world: World, count: int) -> None:
        self._world = world
        self._waiting: list[Demand] = []
        self.backends = [Backend(number, world) for number in range(count)]

    def boot(self) -> None:
        """All enabled backends start loading; they run after the scripted time."""
        self._waiting.clear()
        self.backends = [Backend(old.id, self._world, title=old.title) for old in self.backends]
        for backend in self.backends:
            self.restart(backend, after=0.0)

    def add(self) -> Backend:
        backend = Backend(max((each.id for each in self.backends), default=-1) + 1, self._world)
        self.backends.append(backend)
        self.restart(backend, after=0.0)
        return backend

    def remove(self, backend: Backend) -> None:
        self.backends.remove(backend)
        self._pump()

    def restart(self, backend: Backend, *, after: float) -> None:
        backend.current_model = ""
        self._world.spawn(self._restart(backend, after))

    async def _restart(self, backend: Backend, after: float) -> None:
        if after:
            await self._world.sleep(after)
        self.set_status(backend, LOADING)
        if self._world.script.boot_seconds:
            await self._world.sleep(self._world.script.boot_seconds)
        if backend.status == LOADING:
            self.set_status(backend, RUNNING)

    def crash(self, backend: Backend) -> None:
        """Comfy died: errored for two seconds, then it starts again."""
        self.set_status(backend, ERRORED)
        self.restart(backend, after=COMFY_RESTART_S)

    def set_status(self, backend: Backend, status: str) -> None:
        backend.status = status
        self._pump()

    async def acquire(self, demand: Demand) -> Backend:
        """A slot on a backend that has the model. Raises GenerationError; cancelling gives the place up."""
        self._waiting.append(demand)
        self._pump()
        try:
            return await demand.slot
        except asyncio.CancelledError:
            if demand.slot.done() and not demand.slot.cancelled():
                self.release(demand.slot.result())
            raise
        finally:
            if demand in self._waiting:
                self._waiting.remove(demand)

    def release(self, backend: Backend) -> None:
        backend.in_use -= 1
        self._pump()

    def _pump(self) -> None:
        for demand in list(self._waiting):
            backend = self._with_model(demand)
            if backend is not None:
                self._hand_over(demand, backend)
        self._start_loads()
        if self._waiting and self._dead():
            asyncio.get_running_loop().call_later(self._world.script.time_scale, self._fail_if_still_dead)

    def _with_model(self, demand: Demand) -> Backend | None:
        for backend in self.backends:
            fits = demand.no_load or not demand.model or backend.current_model == demand.model_name
            if backend.free and fits and demand.backend_id in ("", str(backend.id)):
                return backend
        return None

    def _hand_over(self, demand: Demand, backend: Backend) -> None:
        self._waiting.remove(demand)
        if demand.slot.done():
            return
        backend.in_use += 1
        if demand.no_load:
            backend.current_model = demand.model_name
        demand.slot.set_result(backend)

    def _start_loads(self) -> None:
        for backend in self.backends:
            if backend.in_use or not backend.free:
                continue
            loading = {each.current_model for each in self.backends if each.busy_loading}
            wanted = [demand for demand in self._waiting if demand.model_name not in loading]
            wanted = [demand for demand in wanted if demand.backend_id in ("", str(backend.id))]
            if wanted:
                first = self._most_pressing(wanted)
                backend.busy_loading, backend.current_model = True, first.model_name
                self._world.spawn(self._load(backend, first))

    @staticmethod
    def _most_pressing(demands: list[Demand]) -> Demand:
        """The first one that wants the model with the highest "pressure": requests x 10 + seconds waited."""
        by_model: dict[str, list[Demand]] = {}
        for demand in demands:
            by_model.setdefault(demand.model_name, []).append(demand)
        now = time.monotonic()
        return max(by_model.values(), key=lambda same: len(same) * 10 + now - same[0].since)[0]

    async def _load(self, backend: Backend, demand: Demand) -> None:
        demand.loading(True)
        await self._world.sleep(self._world.script.load_seconds)
        demand.loading(False)
        backend.busy_loading = False
        if self._world.script.load_fail_next > 0:
            self._world.script.load_fail_next -= 1
            backend.current_model = ""
            self._fail(
                demand.model_name, FAULTS["load_failed"][1].replace("{model_path}", f"/models/{demand.model_name}")
            )
        self._pump()

    def _fail(self, model_name: str | None, text: str) -> None:
        for demand in list(self._waiting):
            if model_name in (None, demand.model_name):
                self._waiting.remove(demand)
                if not demand.slot.done():
                    demand.slot.set_exception(GenerationError(text))

    def _dead(self) -> bool:
        return not any(backend.status in (RUNNING, LOADING, WAITING) for backend in self.backends)

    def _fail_if_still_dead(self) -> None:
        if self._dead():
            self._fail(None, NO_BACKENDS)

    def by_id(self, text: str) -> Backend | None:
        return next((backend for backend in self.backends if str(backend.id) == text), None)

    def simultaneous(self) -> int:
        """How many images of one request run ahead."""
        usages = sum(backend.max_usages for backend in self.backends if backend.status == RUNNING)
        return max(1, min(32, usages * 2)) + 1

    def status(self) -> dict[str, Any]:
        """The `backend_status` of every status message."""
        name = self._status_name([backend.status for backend in self.backends])
        kind, message = STATUS_TEXTS[name]
        any_loading = any(backend.status in (LOADING, WAITING) for backend in self.backends)
        return {"status": name, "class": kind, "message": message, "any_loading": any_loading}

    @staticmethod
    def _status_name(states: list[str]) -> str:
        if not states:
            return "empty"
        if all(state == DISABLED for state in states):
            return "all_disabled"
        if ERRORED in states:
            return "errored"
        loading = LOADING in states or WAITING in states
        if RUNNING in states:
            return "some_loading" if loading else "running"
        if loading:
            return "loading"
        return "disabled" if DISABLED in states else "idle"
