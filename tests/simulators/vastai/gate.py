"""A Caddy-like proxy on a machine's outer port: the loader page, and bytes both ways."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from http import HTTPStatus

from tests.simulators.swarmui.messages import Request, Response, text_response
from tests.simulators.vastai.doors import Door, Head, LocalApp, judge

MAX_HEAD = 64 * 1024
MAX_LOCAL_BODY = 1024 * 1024
PIECE = 64 * 1024
LOADER = "<!doctype html><title>Starting</title><p>The application is starting. This page reloads by itself.</p>"


class Gate:
    """Listens on a socket that was bound before. `count(down, up)` is told the bytes into and out of the machine."""

    def __init__(self, door: Door, *, host: str, count: Callable[[int, int], None]) -> None:
        self._door, self._host, self._count = door, host, count
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, bound: socket.socket) -> None:
        self._listener = await asyncio.start_server(self._connected, sock=bound, limit=MAX_HEAD)
        self.port = bound.getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and cuts what is open."""
        if self._listener:
            self._listener.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # only `stop` cancels, and asyncio's streams complain about a cancelled handler
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readuntil(b"\r\n\r\n")
        head = Head.parse(data)
        self._count(len(data), 0)
        verdict = judge(self._door, head)
        if verdict.answer is not None:
            await self._local(head, reader, writer, verdict.answer)
        elif head.path == "/portal-resolver" and not self._door.raw:
            await self._local(head, reader, writer, text_response(200, ""))
        elif self._door.local is not None:
            await self._answer_locally(self._door.local, head, reader, writer)
        else:
            await self._forward(head, reader, writer, verdict.set_cookie)

    async def _answer_locally(
        self, app: LocalApp, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = await _read_body(head, reader)
        headers = {name.lower(): value for name, value in head.headers}
        answer = await app(Request(head.method, head.path, head.query, headers, body))
        await self._send(writer, answer)

    async def _local(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Response
    ) -> None:
        # Closing with unread bytes resets the connection, and the client would never see the answer.
        await _read_body(head, reader)
        await self._send(writer, answer)

    async def _send(self, writer: asyncio.StreamWriter, answer: Response) -> None:
        assert isinstance(answer.body, bytes)
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "Server: Caddy"]
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + answer.body
        self._count(0, len(data))
        writer.write(data)
        await writer.drain()

    def _placeholder(self, head: Head) -> Response:
        # Cloudflare would replace a 502 by its own page, so the proxy says 200 to it.
        status = 200 if head.get("cf-ray") else 502
        headers = {"x-portal-placeholder": "true", "cache-control": "no-store", "content-type": "text/html"}
        return Response(status, LOADER.encode(), headers)

    async def _forward(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cookie: str
    ) -> None:
        port = self._door.upstream()
        try:
            if port is None:
                raise ConnectionRefusedError
            upstream = await asyncio.open_connection(self._host, port, limit=MAX_HEAD)
        except OSError:
            if not self._door.raw:
                await self._local(head, reader, writer, self._placeholder(head))
            return
        self._writers.add(upstream[1])
        try:
            await self._splice(self._for_app(head), (reader, writer), upstream, cookie)
        finally:
            self._writers.discard(upstream[1])
            upstream[1].close()

    def _for_app(self, head: Head) -> bytes:
        door = self._door
        if not door.raw:
            head.replaced("Host", f"localhost:{door.internal}")
            head.replaced("X-Forwarded-Proto", "http")
            head.replaced("X-Real-IP", self._host)
        for name, value in door.extra_headers.items():
            head.replaced(name, value)
        if not head.is_upgrade:
            head.replaced("Connection", "close")  # the next request is judged anew
        return head.encoded()

    async def _splice(
        self,
        first: bytes,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        app: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        cookie: str,
    ) -> None:
        app[1].write(first)
        inward = asyncio.create_task(self._pump(client[0], app[1], inward=True))
        try:
            if cookie:
                status, _, rest = (await app[0].readuntil(b"\r\n\r\n")).partition(b"\r\n")
                client[1].write(status + b"\r\nSet-Cookie: " + cookie.encode() + b"\r\n" + rest)
            await self._pump(app[0], client[1], inward=False)
        finally:
            inward.cancel()
            await asyncio.gather(inward, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, inward: bool) -> None:
        while data := await reader.read(PIECE):
            self._count(len(data) if inward else 0, 0 if inward else len(data))
            writer.write(data)
            await writer.drain()
        if inward:
            # The client is gone or half-closed: an app that only sends must hear of it.
            writer.close()


async def _read_body(head: Head, reader: asyncio.StreamReader) -> bytes:
    length = head.get("content-length")
    pieces: list[bytes] = []
    left = int(length) if length.isdigit() else 0
    while left > 0 and (piece := await reader.read(min(left, PIECE))):
        left -= len(piece)
        if sum(map(len, pieces)) < MAX_LOCAL_BODY:
            pieces.append(piece)
    return b"".join(pieces)


def bound_socket(host: str, port: int = 0) -> socket.socket:
    """A port that is taken but refuses: nothing listens yet."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, port))
    return held


def black_hole(held: socket.socket) -> list[socket.socket]:
    """Make a bound port swallow connection attempts: a full queue of a socket that never accepts (Linux)."""
    held.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(held.getsockname())
        fillers.append(filler)
    return fillers


def tunnel_name() -> str:
    """Four words, as cloudflared makes them."""
    words = ("lesser", "chocolate", "moves", "aircraft", "quiet", "river", "stone", "paper", "north", "amber", "field")
    return "-".join(secrets.choice(words) for _ in range(4)) + f"-{secrets.token_hex(2)}"
