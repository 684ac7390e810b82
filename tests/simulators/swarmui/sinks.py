"""Where a generation's messages go: a socket, or the list that an HTTP answer is made of."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulators.swarmui.websocket import WebSocket


class Sink(Protocol):
    def send(self, message: dict[str, Any]) -> None: ...

    def status(self) -> None:
        """Say how the session stands."""

    def cut(self) -> None:
        """Cut the connection; the work goes on."""


class SocketSink:
    """Sends in order without making the generation wait; a vanished client changes nothing."""

    def __init__(self, websocket: WebSocket, status: Callable[[], dict[str, Any]]) -> None:
        self._websocket, self._status = websocket, status
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, message: dict[str, Any]) -> None:
        self._queue.put_nowait(json.dumps(message, separators=(",", ":"), ensure_ascii=False))

    def status(self) -> None:
        self.send(self._status())

    def cut(self) -> None:
        self._websocket.abort()

    async def run(self) -> None:
        """Until `finish`; messages for a client that is gone are thrown away."""
        while (text := await self._queue.get()) is not None:
            await self._websocket.send(text)

    def finish(self) -> None:
        self._queue.put_nowait(None)


class ListSink:
    """Collects images and the first error for GenerateText2Image."""

    def __init__(self) -> None:
        self.images: list[str] = []
        self.error: str | None = None

    def send(self, message: dict[str, Any]) -> None:
        if "image" in message:
            self.images.append(message["image"])
        elif "error" in message and self.error is None:
            self.error = message["error"]

    def status(self) -> None:
        pass

    def cut(self) -> None:
        pass
