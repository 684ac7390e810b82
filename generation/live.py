"""The live process: server-sent events about jobs, for any number of watchers at one look at the database a second.

GET /events?token=... (a token from `generation.streams`; with `stay=1` the stream has no end, and `since` or the header
Last-Event-ID say which event was the last that arrived) and GET /health. Everything else is an error in JSON.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings

from generation.feed import Feed, Full, Watcher
from generation.streams import BadToken, read_token
from i2v_site.api import error_body

log = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

KEEP_ALIVE_S = 15
# A watcher that takes nothing for this long is gone, or attacks.
SEND_TIMEOUT_S = 30
# Then the browser connects again with a fresh token, so that a right that was taken away ends the stream.
LONGEST_STREAM_S = 3600


def create_application() -> "Live":
    return Live(Feed())


class Live:
    """An ASGI application."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        parts = urlsplit(settings.SITE_URL)
        self._origin = f"{parts.scheme}://{parts.netloc}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await self._json(send, 405, error_body("method_not_allowed", "Only GET is allowed."), [(b"allow", b"GET")])
        elif scope["path"] == "/health":
            await self._json(send, 200, {"status": "ok", "version": settings.VERSION, "watchers": len(self._feed)})
        elif scope["path"] == "/events" and scope["method"] == "GET":
            await self._events(scope, receive, send)
        else:
            await self._json(send, 404, error_body("not_found", "There is nothing here."))

    async def _events(self, scope: Message, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        asked = {name: query.get(name, [""])[0] for name in ("token", "since", "stay")}
        last = _header(scope, b"last-event-id") or asked["since"]
        try:
            watcher = self._feed.add(read_token(asked["token"]), last=last, stays=asked["stay"] == "1")
        except BadToken:
            body = error_body("bad_token", "The stream's token is not valid any more. Ask the API for a new one.")
            return await self._json(send, 403, body)
        except Full:
            body = error_body("too_many_streams", "Too many streams are open. Try again later.")
            return await self._json(send, 429, body, [(b"retry-after", b"10")])
        try:
            await self._serve(watcher, receive, send)
        finally:
            self._feed.remove(watcher)

    async def _serve(self, watcher: Watcher, receive: Receive, send: Send) -> None:
        writing = asyncio.ensure_future(self._write(watcher, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((writing, leaving), timeout=LONGEST_STREAM_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, leaving):
                task.cancel()
            # Also collects what a dropped or vanished client raised.
            outcomes = await asyncio.gather(writing, leaving, return_exceptions=True)
        problem = outcomes[0]
        if isinstance(problem, Exception) and not isinstance(problem, OSError):
            log.warning("live: a stream ended: %s", type(problem).__name__)
        if problem is None or isinstance(problem, asyncio.CancelledError):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": b""})

    async def _write(self, watcher: Watcher, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers + self._shared_headers()})
        await _send_piece(send, b"retry: 3000\n\n")
        while not watcher.is_done:
            events = await watcher.next_events(KEEP_ALIVE_S)
            await _send_piece(send, events or watcher.last_id + b": still here\n\n")

    async def _json(self, send: Send, status: int, body: Any, more: list[tuple[bytes, bytes]] | None = None) -> None:
        content = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        headers += self._shared_headers() + (more or [])
        await send({"type": "http.response.start", "status": HTTPStatus(status).value, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _shared_headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"access-control-allow-origin", self._origin),
            (b"vary", b"Origin"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]


def _header(scope: Message, name: bytes) -> str:
    return str(dict(scope["headers"]).get(name, b"").decode("latin-1"))


async def _send_piece(send: Send, piece: bytes) -> None:
    # uvicorn waits here while the client reads too slowly.
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
