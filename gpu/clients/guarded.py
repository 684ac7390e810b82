"""The one transport for addresses that people give us: every connection is checked, bounded in time and in bytes."""

import asyncio
import queue
import socket
import ssl
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from gpu.clients.guarded_addresses import (
    AddressRefused,
    GuardError,
    Policy,
    Resolver,
    check_syntax,
    check_url,
    port_of,
)
from gpu.clients.guarded_streams import Allowance, AnswerRefused, AsyncGuardedStream, GuardedStream

__all__ = [
    "AddressRefused",
    "AnswerRefused",
    "GuardError",
    "Policy",
    "Resolver",
    "async_guarded_client",
    "check_syntax",
    "check_url",
    "guarded_client",
    "open_guarded_socket",
    "port_of",
]

CONNECT_TIMEOUT_S = 10.0


class _Backend(httpcore.NetworkBackend):
    def __init__(self, policy: Policy, total_timeout_s: float, max_bytes: int) -> None:
        self._policy = policy
        self._limits = (total_timeout_s, max_bytes)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 (the signature is httpcore's)
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> GuardedStream:
        allowance = Allowance(*self._limits)
        addresses = _resolve_within(self._policy, host, port, allowance.cap(timeout, httpcore.ConnectTimeout))
        problem: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return GuardedStream(
                    _connect(address, port, allowance.cap(timeout, httpcore.ConnectTimeout)), allowance
                )
            except TimeoutError as exc:
                problem = httpcore.ConnectTimeout(str(exc))
            except OSError as exc:
                problem = httpcore.ConnectError(str(exc))
        raise problem


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: Policy, total_timeout_s: float, max_bytes: int) -> None:
        self._policy = policy
        self._limits = (total_timeout_s, max_bytes)
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the signature is httpcore's)
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> AsyncGuardedStream:
        allowance = Allowance(*self._limits)
        capped = allowance.cap(timeout, httpcore.ConnectTimeout)
        try:
            addresses = await _aresolve_within(self._policy, host, port, capped)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("the name service is slow") from exc
        except socket.gaierror as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        problem: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                capped = allowance.cap(timeout, httpcore.ConnectTimeout)
                return AsyncGuardedStream(await self._inner.connect_tcp(address, port, capped), allowance)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                problem = exc
        raise problem


class GuardedTransport(httpx.HTTPTransport):
    """Calls only what `policy` allows; refuses compressed answers."""

    def __init__(self, policy: Policy, *, total_timeout_s: float, max_bytes: int) -> None:
        context = policy.ssl_context or _public_authorities()
        super().__init__(verify=context, trust_env=False)
        self._policy = policy
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=None if policy.keep_alive else 0,
            keepalive_expiry=30,
            network_backend=_Backend(policy, total_timeout_s, max_bytes),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._policy.check_target(request.url.scheme, request.url.raw_host.decode("ascii"), port_of(request.url))
        response = super().handle_request(request)
        if _is_encoded(response):
            response.close()
            raise AnswerRefused("encoded")
        return response


class AsyncGuardedTransport(httpx.AsyncHTTPTransport):
    """GuardedTransport on the event loop."""

    def __init__(self, policy: Policy, *, total_timeout_s: float, max_bytes: int) -> None:
        context = policy.ssl_context or _public_authorities()
        super().__init__(verify=context, trust_env=False)
        self._policy = policy
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=None if policy.keep_alive else 0,
            keepalive_expiry=30,
            network_backend=_AsyncBackend(policy, total_timeout_s, max_bytes),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._policy.check_target(request.url.scheme, request.url.raw_host.decode("ascii"), port_of(request.url))
        response = await super().handle_async_request(request)
        if _is_encoded(response):
            await response.aclose()
            raise AnswerRefused("encoded")
        return response


def guarded_client(policy: Policy, *, total_timeout_s: float, max_bytes: int, **options: Any) -> httpx.Client:
    """An httpx client for addresses that people give: no redirects, no proxies, no retries, no compression.

    One request and its answer may take `total_timeout_s` seconds and `max_bytes` bytes (headers included) in all.
    `options` go to httpx.Client (base_url, headers, auth).
    Its calls raise AddressRefused, AnswerRefused, and httpx errors; a passed deadline is an httpx.TimeoutException.
    """
    transport = GuardedTransport(policy, total_timeout_s=total_timeout_s, max_bytes=max_bytes)
    return httpx.Client(transport=transport, **_client_options(policy, total_timeout_s, options))


def async_guarded_client(
    policy: Policy, *, total_timeout_s: float, max_bytes: int, **options: Any
) -> httpx.AsyncClient:
    """guarded_client on the event loop; the same limits and errors."""
    transport = AsyncGuardedTransport(policy, total_timeout_s=total_timeout_s, max_bytes=max_bytes)
    return httpx.AsyncClient(transport=transport, **_client_options(policy, total_timeout_s, options))


async def open_guarded_socket(
    host: str,
    port: int,
    policy: Policy,
    timeout_s: float,
    *,
    tls: bool,
) -> socket.socket:
    """A connected non-blocking socket for `websockets.connect(..., sock=...)`, which then does TLS for the name.

    `host` without brackets; `tls` says whether the caller will use wss. At most `timeout_s` seconds in all.
    Raises AddressRefused, or OSError (TimeoutError among them) when nothing answers.
    """
    policy.check_target("https" if tls else "http", host, port)
    async with asyncio.timeout(timeout_s):
        problem: OSError = ConnectionError("no address")
        for address in await _aresolve_within(policy, host, port, timeout_s):
            sock = _new_socket(address)
            try:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except OSError as exc:
                sock.close()
                problem = exc
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise problem


def _client_options(policy: Policy, total_timeout_s: float, options: dict[str, Any]) -> dict[str, Any]:
    headers = httpx.Headers(options.pop("headers", None))
    headers["Accept-Encoding"] = "identity"
    if not policy.keep_alive:
        headers["Connection"] = "close"
    timeout = httpx.Timeout(total_timeout_s, connect=min(CONNECT_TIMEOUT_S, total_timeout_s))
    return options | {"headers": headers, "timeout": timeout, "trust_env": False, "follow_redirects": False}


@lru_cache(maxsize=1)
def _public_authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _is_encoded(response: httpx.Response) -> bool:
    return response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def _new_socket(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _connect(address: str, port: int, timeout_s: float) -> socket.socket:
    sock = _new_socket(address)
    try:
        sock.settimeout(timeout_s)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve_within(policy: Policy, host: str, port: int, timeout_s: float) -> list[str]:
    # getaddrinfo knows no timeout, and a hostile name server may answer late: a daemon thread is left behind then.
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(policy.addresses(host, port))
        except Exception as exc:
            answer.put(exc)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        found = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise httpcore.ConnectTimeout("the name service is slow") from None
    if isinstance(found, socket.gaierror):
        raise httpcore.ConnectError(str(found)) from found
    if isinstance(found, Exception):
        raise found
    return found


async def _aresolve_within(policy: Policy, host: str, port: int, timeout_s: float) -> list[str]:
    # Not wait_for: in Python 3.11 it swallows a cancellation that arrives together with the answer.
    async with asyncio.timeout(timeout_s):
        return await asyncio.to_thread(policy.addresses, host, port)
