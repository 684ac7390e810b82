"""A small HTTP/1.1 and WebSocket server whose connections can be slowed, held and cut.

A ready-made server hides the transport, and the faults of a real network are what the simulator is for.
"""

import asyncio
import gzip
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
from websockets.datastructures import Headers
from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol

from tests.simulators.swarmui.messages import DropConnection, FilePart, Request, Response
from tests.simulators.swarmui.stream import Stream
from tests.simulators.swarmui.websocket import WebSocket

MAX_REQUEST_BYTES = 200 * 1024 * 1024
MAX_HEADER_BYTES = 1024 * 1024
GZIP_FROM_BYTES = 1024
FILE_PIECE = 256 * 1024

logger = logging.getLogger(__name__)


class App(Protocol):
    def refuse(self, request: Request) -> Response | None:
        """Asked first, also before a WebSocket is accepted."""

    async def http(self, request: Request) -> Response: ...

    async def websocket(self, socket: WebSocket) -> None: ...


class Server:
    """Serves `app` on one port; `pause` and `resume` take the port away and bring it back."""

    def __init__(
        self, app: App, *, mbit_per_s: Callable[[], float], count: Callable[[int, int], None], host: str = "127.0.0.1"
    ) -> None:
        self._app, self._mbit_per_s, self._count, self._host = app, mbit_per_s, count, host
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: set[Stream] = set()
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._listener = await asyncio.start_server(
            self._connected, self._host, port, limit=64 * 1024, backlog=2048, family=socket.AF_INET
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def pause(self) -> None:
        """Stop listening and cut every connection."""
        if self._listener is not None:
            self._listener.close()
        self.cut_all()

    async def resume(self) -> None:
        await self.start(self.port)

    def cut_all(self) -> None:
        for stream in list(self._streams):
            stream.abort()

    async def stop(self) -> None:
        self.pause()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer, mbit_per_s=self._mbit_per_s, count=self._count)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._streams.add(stream)
        try:
            await self._serve(stream)
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # only `stop` cancels, and asyncio's streams complain about a cancelled handler
        except DropConnection:
            stream.abort()
        finally:
            self._tasks.discard(task)
            self._streams.discard(stream)
            await stream.close()

    async def _serve(self, stream: Stream) -> None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        while True:
            head = await _next_event(parser, stream)
            if not isinstance(head, h11.Request):
                return
            request = _request(head)
            if "websocket" in request.headers.get("upgrade", "").lower():
                await self._serve_websocket(stream, request, head, parser.trailing_data[0])
                return
            request = await _with_body(parser, stream, request)
            await _respond(parser, stream, request, await self._answer(request))
            if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
                return
            parser.start_next_cycle()

    async def _answer(self, request: Request) -> Response:
        return self._app.refuse(request) or await self._app.http(request)

    async def _serve_websocket(self, stream: Stream, request: Request, head: h11.Request, rest: bytes) -> None:
        protocol = ServerProtocol(max_size=MAX_REQUEST_BYTES)
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers])
        handshake = HandshakeRequest(head.target.decode("latin-1"), headers)
        protocol.receive_data(handshake.serialize() + rest)
        protocol.events_received()
        refusal = self._app.refuse(request)
        if refusal is not None:
            assert isinstance(refusal.body, bytes)
            protocol.send_response(protocol.reject(HTTPStatus(refusal.status), refusal.body.decode()))
        else:
            protocol.send_response(protocol.accept(handshake))
        for data in protocol.data_to_send():
            await stream.write(data)
        if refusal is None:
            await self._run_websocket(WebSocket(stream, protocol, request))

    async def _run_websocket(self, websocket: WebSocket) -> None:
        helpers = [asyncio.ensure_future(websocket.run_reader()), asyncio.ensure_future(websocket.run_pongs())]
        try:
            await self._app.websocket(websocket)
            await websocket.close()
        finally:
            for helper in helpers:
                helper.cancel()


async def _next_event(parser: h11.Connection, stream: Stream) -> object:
    while True:
        event = parser.next_event()
        if event is not h11.NEED_DATA:
            return event
        if parser.they_are_waiting_for_100_continue:
            await stream.write(parser.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        parser.receive_data(await stream.read())


def _request(head: h11.Request) -> Request:
    target = urlsplit(head.target.decode("latin-1"))
    return Request(
        method=head.method.decode(),
        path=unquote(target.path),
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers},
    )


async def _with_body(parser: h11.Connection, stream: Stream, request: Request) -> Request:
    too_large = request.length > MAX_REQUEST_BYTES
    pieces: list[bytes] = []
    while not too_large:
        event = await _next_event(parser, stream)
        if not isinstance(event, h11.Data):
            break
        pieces.append(bytes(event.data))
        too_large = sum(map(len, pieces)) > MAX_REQUEST_BYTES
    body = b"".join(pieces)
    return Request(request.method, request.path, request.query, request.headers, body, too_large)


async def _respond(parser: h11.Connection, stream: Stream, request: Request, response: Response) -> None:
    headers, body = dict(response.headers), response.body
    if isinstance(body, bytes) and len(body) >= GZIP_FROM_BYTES and _wants_gzip(request, headers):
        body = gzip.compress(body, 1)
        headers["content-encoding"] = "gzip"
    headers["content-length"] = str(body.length if isinstance(body, FilePart) else len(body))
    headers.setdefault("server", "Kestrel")
    await stream.write(parser.send(h11.Response(status_code=response.status, headers=list(headers.items()))) or b"")
    if isinstance(body, FilePart):
        await _send_file(parser, stream, body)
    elif body:
        await stream.write(parser.send(h11.Data(data=body)) or b"")
    await stream.write(parser.send(h11.EndOfMessage()) or b"")


def _wants_gzip(request: Request, headers: dict[str, str]) -> bool:
    json_text = headers.get("content-type", "").startswith("application/json")
    return json_text and "gzip" in request.headers.get("accept-encoding", "")


async def _send_file(parser: h11.Connection, stream: Stream, part: FilePart) -> None:
    left, kept_back = part.length, part.length - (part.length if part.cut_at is None else part.cut_at)
    with part.path.open("rb") as file:
        file.seek(part.start)
        while left > kept_back:
            piece = file.read(min(FILE_PIECE, left - kept_back))
            if not piece:
                raise ConnectionResetError  # the file shrank under us
            left -= len(piece)
            await stream.write(parser.send(h11.Data(data=piece)) or b"")
    if left:
        raise ConnectionResetError
