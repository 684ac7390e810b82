"""Connections that are bounded in time and in bytes."""

import select
import socket
import ssl
import time
from typing import Any

import httpcore

from gpu.clients.guarded_addresses import GuardError

_ANSWER_SENTENCES = {
    "too_large": "The server's answer is larger than allowed.",
    "encoded": "The server compressed its answer although it was asked not to.",
}


class AnswerRefused(GuardError):
    """An answer that we stop reading. Codes: too_large, encoded."""

    def __init__(self, code: str) -> None:
        super().__init__(code, _ANSWER_SENTENCES[code])


class Allowance:
    """What one request and its answer may still use of time and bytes.

    httpx's own timeouts are per read: a server that sends a byte a second would hold them for ever.
    """

    def __init__(self, total_timeout_s: float, max_bytes: int) -> None:
        self._total_timeout_s = total_timeout_s
        self._max_bytes = max_bytes
        self._renew()

    def _renew(self) -> None:
        self._deadline = time.monotonic() + self._total_timeout_s
        self._bytes_left = self._max_bytes
        self._answering = False

    def next_write(self) -> None:
        # HTTP/1.1 without pipelining: a write after a read starts the next request of a kept connection.
        if self._answering:
            self._renew()

    def cap(self, timeout: float | None, error: type[Exception]) -> float:
        """The seconds that one operation may take; raises `error` when none are left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise error("the whole exchange took too long")
        return left if timeout is None else min(left, timeout)

    def spend(self, data: bytes) -> bytes:
        self._answering = True
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise AnswerRefused("too_large")
        return data


class GuardedStream(httpcore.NetworkStream):
    """A blocking connection under an allowance."""

    def __init__(self, sock: socket.socket, allowance: Allowance) -> None:
        self._sock = sock
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(self._allowance.cap(timeout, httpcore.ReadTimeout))
            return self._allowance.spend(self._sock.recv(max_bytes))
        except TimeoutError as exc:
            raise httpcore.ReadTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.ReadError(str(exc)) from exc

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._allowance.next_write()
        rest = memoryview(buffer)
        try:
            while rest:
                # Capped for each piece: the other side may also read one byte a second.
                self._sock.settimeout(self._allowance.cap(timeout, httpcore.WriteTimeout))
                rest = rest[self._sock.send(rest) :]
        except TimeoutError as exc:
            raise httpcore.WriteTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "GuardedStream":
        try:
            self._sock.settimeout(self._allowance.cap(timeout, httpcore.ConnectTimeout))
            wrapped = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError as exc:
            self.close()
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            self.close()
            raise httpcore.ConnectError(str(exc)) from exc
        return GuardedStream(wrapped, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "server_addr":
            return self._sock.getpeername()
        if info == "is_readable":
            return _has_input(self._sock)
        return self._sock if info == "socket" else None


class AsyncGuardedStream(httpcore.AsyncNetworkStream):
    """A connection on the event loop under an allowance."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, allowance: Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 (httpcore's signature)
        capped = self._allowance.cap(timeout, httpcore.ReadTimeout)
        return self._allowance.spend(await self._stream.read(max_bytes, capped))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._allowance.next_write()
        await self._stream.write(buffer, self._allowance.cap(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> "AsyncGuardedStream":
        capped = self._allowance.cap(timeout, httpcore.ConnectTimeout)
        return AsyncGuardedStream(await self._stream.start_tls(ssl_context, server_hostname, capped), self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _has_input(sock: socket.socket) -> bool:
    """Whether a read would not wait: on an idle kept connection that means the server has closed it."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
