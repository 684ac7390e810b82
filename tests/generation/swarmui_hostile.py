"""A server that begins like SwarmUI and then says whatever a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.simulators.swarmui.messages import Request, Response, json_response
from tests.simulators.swarmui.server import Server
from tests.simulators.swarmui.websocket import WebSocket

Story = Callable[[WebSocket], Awaitable[None]]

IDLE = {"waiting_gens": 0, "loading_models": 0, "waiting_backends": 0, "live_gens": 0}
ANSWERS: dict[str, Any] = {
    "GetNewSession": {"session_id": "A" * 40, "user_id": "local", "output_append_user": True, "version": "0.9"},
    "GetCurrentStatus": {"status": IDLE},
    "ListImages": {"folders": [], "files": []},
    "InterruptAll": {"success": True},
}


class _App:
    def __init__(self, story: Story, answers: dict[str, Any], calls: list[str]) -> None:
        self.calls = calls
        self._story = story
        self._answers = ANSWERS | answers

    def refuse(self, _request: Request) -> Response | None:
        return None

    async def http(self, request: Request) -> Response:
        route = request.path.rpartition("/")[2]
        self.calls.append(route)
        answer = self._answers.get(route)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Response):
            return answer
        return json_response(404 if answer is None else 200, answer or {"error_id": "file_not_found", "error": "404"})

    async def websocket(self, socket: WebSocket) -> None:
        await socket.receive()
        await self._story(socket)


def saying(*messages: str) -> Story:
    """Send these, then close like SwarmUI."""

    async def story(socket: WebSocket) -> None:
        for message in messages:
            await socket.send(message)

    return story


@asynccontextmanager
async def hostile(story: Story, calls: list[str] | None = None, **answers: Any) -> AsyncIterator[str]:
    """Runs on the test's own loop; yields the address, and notes the routes in `calls`.

    `answers` are JSON by API route, whole responses, or lists of them to be given in turn, the last one for ever.
    """
    server = Server(
        _App(story, answers, [] if calls is None else calls), mbit_per_s=lambda: 0, count=lambda _received, _sent: None
    )
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()
