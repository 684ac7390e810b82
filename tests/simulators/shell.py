"""What every simulator has: an event loop in a thread of its own, and doors for whoever watches it."""

import asyncio
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from tests.simulators.clock import Clock
from tests.simulators.swarmui.messages import JsonObject, Request, Response, json_response

T = TypeVar("T")
Door = Callable[[dict[str, Any]], Awaitable[JsonObject]]


class SimulatorThread(ABC):
    """A simulation in a background thread; for `with` and `async with`. Its methods block briefly."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    @abstractmethod
    async def _begin(self) -> None:
        """Open for business; runs on the simulator's loop."""

    @abstractmethod
    async def _finish(self) -> None:
        """Close; runs on the simulator's loop."""

    @property
    @abstractmethod
    def _controller(self) -> "Doors":
        """The doors of what runs on the loop."""

    def start(self) -> Self:
        self._thread.start()
        self._call(self._begin())
        return self

    def stop(self) -> None:
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def state(self) -> dict[str, Any]:
        """What GET /sim/state answers."""
        return self._call(self._controller.state({}))

    def script(self, **knobs: Any) -> dict[str, Any]:
        """Turn knobs; answers all of them. Raises ValueError for one that does not exist."""
        return self._call(self._controller.script(knobs))

    def wait_for(self, reached: Callable[[dict[str, Any]], bool], *, timeout_s: float = 10.0) -> dict[str, Any]:
        """The first state for which `reached` holds. Raises TimeoutError with the last one."""
        deadline = time.monotonic() + timeout_s
        while not reached(state := self.state()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the simulator never got there: {state}")
            time.sleep(0.01)
        return state

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class Doors(ABC):
    """Answers /sim/<name> with what the door of that name makes of the JSON body."""

    @abstractmethod
    def doors(self) -> dict[str, Door]:
        """Name and handler of every door."""

    @abstractmethod
    async def state(self, _: dict[str, Any]) -> JsonObject:
        """What there is to see at a glance."""

    @abstractmethod
    async def script(self, changes: dict[str, Any]) -> JsonObject:
        """Turn knobs; answers all of them."""

    async def answer(self, request: Request) -> Response:
        door = self.doors().get(request.path.removeprefix("/sim/"))
        if door is None:
            return json_response(404, {"error": f"no such door: {request.path}"})
        try:
            return json_response(200, await door(json.loads(request.body or b"{}")))
        except (ValueError, KeyError, TypeError) as exc:
            return json_response(400, {"error": f"{type(exc).__name__}: {exc}"})


class Knobs(Protocol):
    def update(self, changes: dict[str, Any]) -> None: ...

    def as_dict(self) -> dict[str, Any]: ...


class ClockedWorld(Protocol):
    """A simulated account at a provider, on a clock of its own."""

    @property
    def clock(self) -> Clock: ...

    @property
    def script(self) -> Knobs: ...

    @property
    def journal(self) -> list[JsonObject]: ...


W = TypeVar("W", bound=ClockedWorld)


class ClockedDoors(Doors, Generic[W]):
    """The doors of a world with a clock."""

    def __init__(self, world: W) -> None:
        self._world = world

    def doors(self) -> dict[str, Door]:
        return {
            "state": self.state,
            "advance": self.advance,
            "clock": self.clock,
            "script": self.script,
            "fail": self.fail,
            "credit": self.credit,
            "calls": self.calls,
        }

    @property
    def now(self) -> float:
        return self._world.clock.now

    async def advance(self, options: dict[str, Any]) -> JsonObject:
        await self._world.clock.advance(float(options["seconds"]))
        return await self.state({})

    async def clock(self, options: dict[str, Any]) -> JsonObject:
        self._world.clock.set_scale(float(options["scale"]))
        return await self.state({})

    async def script(self, changes: dict[str, Any]) -> JsonObject:
        self._world.script.update(changes)
        return self._world.script.as_dict()

    @abstractmethod
    async def fail(self, options: dict[str, Any]) -> JsonObject:
        """Add faults for the next calls; answers all that wait."""

    @abstractmethod
    async def credit(self, options: dict[str, Any]) -> JsonObject:
        """Top up; answers what the account has now."""

    async def calls(self, _: dict[str, Any]) -> JsonObject:
        """Every call with its time, path, status and fault; no keys."""
        return {"calls": list(self._world.journal)}


class ClockedThread(SimulatorThread):
    """A simulation whose time stands still, runs or is advanced."""

    @property
    @abstractmethod
    def _controller(self) -> ClockedDoors[Any]:
        """The doors of what runs on the loop."""

    @property
    def now(self) -> float:
        """The epoch second on the simulator's clock."""
        return self._controller.now

    def advance(self, seconds: float) -> dict[str, Any]:
        """Let so much time pass at once, with everything that happens in it; answers the state."""
        return self._call(self._controller.advance({"seconds": seconds}))

    def set_scale(self, scale: float) -> None:
        """So many times faster than real time; 0: the clock stands still."""
        self._call(self._controller.clock({"scale": scale}))

    def top_up(self, amount: float) -> None:
        self._call(self._controller.credit({"amount": amount}))

    def calls(self, name: str = "") -> list[dict[str, Any]]:
        """Every call so far, or those of one name, in order."""
        rows: list[dict[str, Any]] = self._call(self._controller.calls({}))["calls"]
        return [row for row in rows if name in ("", row["name"])]
