import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gpu.clients.guarded import (
    AddressRefused,
    AnswerRefused,
    Policy,
    async_guarded_client,
    guarded_client,
    open_guarded_socket,
)
from tests.simulators.wire import Authority, Wire, authority, reply, serve


def allowing(*hosts: str, **values: Any) -> Policy:
    return Policy(private_hosts=frozenset(hosts), **values)


@pytest.fixture(params=["blocking", "async"])
def fetch(request: pytest.FixtureRequest) -> Any:
    """GET with both clients: the same rules hold for both."""

    def blocking(url: str, policy: Policy, *, seconds: float = 5, size: int = 10_000) -> httpx.Response:
        with guarded_client(policy, total_timeout_s=seconds, max_bytes=size) as client:
            return client.get(url)

    def on_the_loop(url: str, policy: Policy, *, seconds: float = 5, size: int = 10_000) -> httpx.Response:
        async def get() -> httpx.Response:
            async with async_guarded_client(policy, total_timeout_s=seconds, max_bytes=size) as client:
                return await client.get(url)

        return asyncio.run(get())

    return blocking if request.param == "blocking" else on_the_loop


@pytest.fixture
def hello() -> Iterator[Wire]:
    with serve(reply(b"hello")) as wire:
        yield wire


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return authority(tmp_path, "pictures.example")


def drip(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def test_a_named_private_host_answers(fetch: Any, hello: Wire) -> None:
    assert fetch(f"http://{hello.host}/", allowing(hello.host)).text == "hello"


def test_compression_and_kept_connections_are_declined(fetch: Any, hello: Wire) -> None:
    fetch(f"http://{hello.host}/", allowing(hello.host))

    head = hello.requests[0].lower()
    assert b"accept-encoding: identity" in head
    assert b"connection: close" in head


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0"])
def test_a_host_that_nobody_named_is_never_connected_to(fetch: Any, hello: Wire, host: str) -> None:
    with pytest.raises(AddressRefused):
        fetch(f"https://{host}:{hello.port}/", Policy())
    with pytest.raises(AddressRefused):
        fetch(f"http://{host}:{hello.port}/", allowing("gpu:7801"))

    assert hello.requests == []


def test_the_connection_is_checked_even_when_nothing_before_it_is(hello: Wire) -> None:
    transport = guarded_client(Policy(), total_timeout_s=5, max_bytes=1000)._transport
    with pytest.raises(AddressRefused):
        transport._pool.request("GET", f"http://{hello.host}/")  # type: ignore[attr-defined]  # behind the first wall


def test_the_address_that_was_checked_is_the_one_connected_to(fetch: Any, hello: Wire) -> None:
    name, answers = f"moving.test:{hello.port}", iter([["127.0.0.1"], ["127.0.0.9"]])

    assert fetch(f"http://{name}/", allowing(name, resolve=lambda *_: next(answers))).text == "hello"
    assert next(answers) == ["127.0.0.9"]


def test_the_next_address_is_tried_when_one_does_not_answer(fetch: Any, hello: Wire) -> None:
    name = f"two.test:{hello.port}"

    assert fetch(f"http://{name}/", allowing(name, resolve=lambda *_: ["127.0.0.9", "127.0.0.1"])).text == "hello"


def test_a_redirect_is_an_answer_and_not_followed(fetch: Any, hello: Wire) -> None:
    with serve(reply(status="302 Found", Location=f"http://{hello.host}/secret")) as wire:
        answer = fetch(f"http://{wire.host}/", allowing(wire.host, hello.host))

    assert (answer.status_code, hello.requests) == (302, [])


def test_a_proxy_in_the_environment_is_ignored(fetch: Any, hello: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert fetch(f"http://{hello.host}/", allowing(hello.host)).text == "hello"


def test_a_dripping_server_meets_the_total_deadline(fetch: Any) -> None:
    with serve(drip) as wire, pytest.raises(httpx.TimeoutException):
        fetch(f"http://{wire.host}/", allowing(wire.host), seconds=0.4)


def test_a_server_that_never_reads_meets_the_total_deadline() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        guarded_client(allowing(f"127.0.0.1:{deaf.getsockname()[1]}"), total_timeout_s=0.4, max_bytes=10) as client,
        pytest.raises(httpx.TimeoutException),
    ):
        client.post(f"http://127.0.0.1:{deaf.getsockname()[1]}/", content=b"x" * 30_000_000)


def test_a_slow_name_service_meets_the_total_deadline(fetch: Any) -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        release.wait(10)
        return ["127.0.0.1"]

    threading.Timer(0.8, release.set).start()
    with pytest.raises(httpx.TimeoutException):
        fetch("https://slow.test/", Policy(resolve=slow), seconds=0.3)


def test_a_name_service_that_is_down_is_a_network_error(fetch: Any) -> None:
    def down(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    with pytest.raises(httpx.ConnectError):
        fetch("https://example.com/", Policy(resolve=down))


def test_an_endless_answer_meets_the_byte_budget(fetch: Any) -> None:
    with serve(endless) as wire, pytest.raises(AnswerRefused, match="larger than allowed"):
        fetch(f"http://{wire.host}/", allowing(wire.host), size=1_000_000)


def test_endless_headers_meet_the_byte_budget(fetch: Any) -> None:
    def informs(connection: socket.socket, _: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)

    with serve(informs) as wire, pytest.raises(AnswerRefused):
        fetch(f"http://{wire.host}/", allowing(wire.host))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP, identity"])
def test_a_compressed_answer_is_refused_unread(fetch: Any, encoding: str) -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    with (
        serve(reply(bomb, Content_Encoding=encoding)) as wire,
        pytest.raises(AnswerRefused, match="compressed"),
    ):
        fetch(f"http://{wire.host}/", allowing(wire.host))


def test_tls_checks_the_name_and_not_the_address(fetch: Any, trusted: Authority) -> None:
    with serve(reply(b"safe"), tls=trusted.server) as wire:
        good, bad = f"pictures.example:{wire.port}", f"other.example:{wire.port}"
        policy = allowing(good, bad, resolve=lambda *_: ["127.0.0.1"], ssl_context=trusted.client)

        assert fetch(f"https://{good}/", policy).text == "safe"
        with pytest.raises(httpx.ConnectError):
            fetch(f"https://{bad}/", policy)


def test_an_unknown_authority_is_not_trusted(fetch: Any, trusted: Authority) -> None:
    with serve(reply(b"safe"), tls=trusted.server) as wire:
        name = f"pictures.example:{wire.port}"
        with pytest.raises(httpx.ConnectError):
            fetch(f"https://{name}/", allowing(name, resolve=lambda *_: ["127.0.0.1"]))


def test_a_silent_tls_handshake_meets_the_total_deadline(fetch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(httpx.TimeoutException):
            fetch(f"https://{host}/", allowing(host), seconds=0.4)


def keeps_open(connection: socket.socket, _: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + b"x" * 600
    connection.sendall(answer)
    while connection.recv(65536):
        connection.sendall(answer)


def test_a_kept_connection_serves_many_requests_each_with_its_own_allowance() -> None:
    with serve(keeps_open) as wire:
        policy = allowing(wire.host, keep_alive=True)
        with guarded_client(policy, total_timeout_s=5, max_bytes=1000) as client:
            sizes = [len(client.get(f"http://{wire.host}/").content) for _ in range(5)]

    assert (sizes, len(wire.requests)) == ([600] * 5, 1)


async def test_a_kept_connection_on_the_loop_serves_many_requests_each_with_its_own_allowance() -> None:
    with serve(keeps_open) as wire:
        policy = allowing(wire.host, keep_alive=True)
        async with async_guarded_client(policy, total_timeout_s=5, max_bytes=1000) as client:
            sizes = [len((await client.get(f"http://{wire.host}/")).content) for _ in range(5)]

    assert (sizes, len(wire.requests)) == ([600] * 5, 1)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_connection_that_the_server_closed_is_replaced(hello: Wire, keep_alive: bool) -> None:
    def once(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with serve(once) as wire:
        policy = allowing(wire.host, keep_alive=keep_alive)
        with guarded_client(policy, total_timeout_s=5, max_bytes=1000) as client:
            answers = []
            for _ in range(3):
                answers.append(client.get(f"http://{wire.host}/").text)
                while any(not one.is_closed() and not one.has_expired() for one in connections(client)):
                    time.sleep(0.005)

    assert (answers, len(wire.requests)) == (["ok"] * 3, 3)


def connections(client: httpx.Client) -> list[Any]:
    return list(client._transport._pool.connections)  # type: ignore[attr-defined]  # to wait for the server's close


async def test_a_socket_for_websockets_is_connected_and_does_not_block(hello: Wire) -> None:
    sock = await open_guarded_socket("127.0.0.1", hello.port, allowing(hello.host), 5, tls=False)

    with sock:
        assert (sock.getpeername(), sock.getblocking()) == (("127.0.0.1", hello.port), False)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_socket_to_a_host_that_nobody_named_is_refused(hello: Wire, tls: bool) -> None:
    with pytest.raises(AddressRefused):
        await open_guarded_socket("localhost", hello.port, allowing(hello.host), 5, tls=tls)


async def test_a_socket_to_a_closed_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(OSError, match=r"."):
        await open_guarded_socket("127.0.0.1", port, allowing(f"127.0.0.1:{port}"), 5, tls=False)


def never_asked(host: str, port: int) -> list[str]:
    raise AssertionError("looked up")


def test_plain_http_is_refused_before_any_lookup(fetch: Any) -> None:
    with pytest.raises(AddressRefused, match="https"):
        fetch("http://example.com/", Policy(resolve=never_asked))


async def test_a_socket_without_tls_is_refused_before_any_lookup() -> None:
    with pytest.raises(AddressRefused, match="https"):
        await open_guarded_socket("example.com", 443, Policy(resolve=never_asked), 5, tls=False)
