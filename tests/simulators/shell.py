"""What every simulator has: an event loop in a thread of its own, and doors for whoever watches it."""

import asyncio
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

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

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What GET /sim/state answers."""

    def start(self) -> Self:
        self._thread.start()
        self._call(self._begin())
        return self

    def stop(self) -> None:
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

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

    async def answer(self, request: Request) -> Response:
        door = self.doors().get(request.path.removeprefix("/sim/"))
        if door is None:
            return json_response(404, {"error": f"no such door: {request.path}"})
        try:
            return json_response(200, await door(json.loads(request.body or b"{}")))
        except (ValueError, KeyError, TypeError) as exc:
            return json_response(400, {"error": f"{type(exc).__name__}: {exc}"})
