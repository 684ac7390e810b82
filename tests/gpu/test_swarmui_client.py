"""The client's own corners: results over /View, credentials, TLS."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from gpu.clients.guarded import AddressRefused
from gpu.clients.swarmui import SwarmClient, authorization_header
from gpu.clients.swarmui_errors import SwarmError, SwarmProtocolError, SwarmResultRefused, SwarmUnavailable
from tests.simulators.wire import Handler, Wire, authority, reply, serve

VIDEO = b"\x00\x00\x00\x20ftypisom" + b"v" * 200_000
PATH = "View/local/raw/jobs/a b.mp4"


def client_of(wire: Wire, authorization: str = "") -> SwarmClient:
    return SwarmClient(f"http://{wire.host}", authorization=authorization, allow_private=frozenset({wire.host}))


def result_of(wire: Wire, authorization: str = "") -> AbstractContextManager[Iterator[bytes]]:
    return client_of(wire, authorization).open_result(PATH, max_bytes=1_000_000)


def fetched(handler: Handler, *, max_bytes: int = 1_000_000, path: str = PATH) -> bytes:
    with serve(handler) as wire, client_of(wire).open_result(path, max_bytes=max_bytes) as pieces:
        return b"".join(pieces)


def test_a_result_comes_in_pieces_by_its_quoted_path() -> None:
    with serve(reply(VIDEO, Content_Type="video/mp4")) as wire, result_of(wire) as pieces:
        received = list(pieces)
    assert b"".join(received) == VIDEO
    assert max(map(len, received)) <= 64 * 1024
    assert wire.requests[0].startswith(b"GET /View/local/raw/jobs/a%20b.mp4 HTTP/1.1")


def test_credentials_go_with_the_download() -> None:
    with serve(reply(VIDEO, Content_Type="video/mp4")) as wire, result_of(wire, "Bearer xyz") as pieces:
        next(pieces)
    assert b"authorization: bearer xyz" in wire.requests[0].lower()


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (reply(b"<html>", Content_Type="text/html"), "type"),
        (reply(b"{}", Content_Type="application/json"), "type"),
        (reply(b"no", status="404 Not Found"), "missing"),
        (reply(VIDEO * 6, Content_Type="video/mp4"), "too_large"),
    ],
)
def test_what_is_no_video_within_the_limit_is_refused(handler: Handler, code: str) -> None:
    with pytest.raises(SwarmResultRefused) as caught:
        fetched(handler)
    assert caught.value.code == code


def test_a_byte_too_many_is_refused_before_the_first_is_read() -> None:
    with serve(reply(VIDEO, Content_Type="video/mp4")) as wire:
        opened = client_of(wire).open_result(PATH, max_bytes=len(VIDEO) - 1)
        with pytest.raises(SwarmResultRefused):
            opened.__enter__()


def test_a_byte_too_many_is_refused_when_no_length_was_announced() -> None:
    def unannounced(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n" + VIDEO)

    assert fetched(unannounced, max_bytes=len(VIDEO)) == VIDEO
    with pytest.raises(SwarmResultRefused):
        fetched(unannounced, max_bytes=len(VIDEO) - 1)


def test_an_endless_answer_is_stopped_at_the_limit() -> None:
    def endless(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"v" * 65536)

    with pytest.raises(SwarmResultRefused) as caught:
        fetched(endless)
    assert caught.value.code == "too_large"


def test_a_broken_off_answer_is_noticed() -> None:
    def cut(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 100000\r\n\r\nvvv")

    with pytest.raises(SwarmResultRefused) as caught:
        fetched(cut)
    assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (reply(b"", status="302 Found", Location="http://127.0.0.1:1/"), SwarmProtocolError),
        (reply(b"", status="502 Bad Gateway"), SwarmUnavailable),
        (reply(VIDEO, Content_Type="video/mp4", Content_Encoding="gzip"), SwarmProtocolError),
    ],
)
def test_a_proxys_answers_are_errors_of_ours(handler: Handler, kind: type[SwarmError]) -> None:
    with pytest.raises(kind):
        fetched(handler)


def test_a_path_that_is_no_result_is_never_asked_for() -> None:
    with serve(reply(VIDEO)) as wire:
        opened = client_of(wire).open_result("View/../secret.mp4", max_bytes=10)
        with pytest.raises(SwarmResultRefused), opened:
            pass
    assert wire.requests == []


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("", {}),
        ("Bearer xyz", {"Authorization": "Bearer xyz"}),
        ("Basic ada:s3 cret", {"Authorization": "Basic YWRhOnMzIGNyZXQ="}),
        ("Basic YWRhOnMzY3JldA==", {"Authorization": "Basic YWRhOnMzY3JldA=="}),
    ],
)
def test_credentials_become_a_header(text: str, header: dict[str, str]) -> None:
    assert authorization_header(text) == header


async def test_a_folder_that_does_not_exist_lists_nothing() -> None:
    missing = reply(b'{"error": "404, path not found."}', Content_Type="application/json")
    with serve(missing) as wire:
        assert await client_of(wire).list_files("A" * 40, "raw/jobs") == []


async def test_a_private_address_that_is_not_allowed_is_refused_for_calls_and_sockets() -> None:
    client = SwarmClient("http://127.0.0.1:9")
    with pytest.raises(AddressRefused):
        await client.new_session()
    with pytest.raises(AddressRefused):
        async with client.open_stream():
            pass


@pytest.mark.parametrize(("name", "trusted"), [("127.0.0.1", True), ("other.example", False)])
async def test_the_socket_checks_the_servers_name(tmp_path: Path, name: str, trusted: bool) -> None:
    certificates = authority(tmp_path, name)
    reached = threading.Event()

    def notice(_connection: socket.socket, _head: bytes) -> None:
        reached.set()

    with serve(notice, tls=certificates.server) as wire:
        client = SwarmClient(
            f"https://{wire.host}", allow_private=frozenset({wire.host}), ssl_context=certificates.client
        )
        with pytest.raises(SwarmUnavailable):
            async with client.open_stream():
                pass
    assert reached.is_set() is trusted


async def test_a_cancelled_call_never_goes_on_as_if_nothing_had_happened() -> None:
    went_on = []

    async def ask(client: SwarmClient) -> None:
        await client.interrupt("A" * 40)
        await asyncio.sleep(0)
        went_on.append(cancelled)

    with serve(reply(b"{}", Content_Type="application/json")) as wire:
        client = client_of(wire)
        for turns in range(150):
            cancelled = False
            task = asyncio.create_task(ask(client))
            for _ in range(turns % 50):
                await asyncio.sleep(0)
            cancelled = task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert not any(went_on)


async def test_a_call_that_drips_ends_at_its_deadline() -> None:
    stop = threading.Event()

    def drip(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b" ")

    with serve(drip) as wire:
        client = SwarmClient(f"http://{wire.host}", allow_private=frozenset({wire.host}), call_timeout_s=0.4)
        async with asyncio.timeout(5):
            with pytest.raises(SwarmUnavailable):
                await client.new_session()
    stop.set()


@pytest.mark.parametrize("call", [SwarmClient.new_session, lambda client: client.status("A" * 40)])
async def test_errors_hold_no_session_and_no_address(call: Callable[[SwarmClient], Awaitable[object]]) -> None:
    with serve(reply(b"boom", status="500 Oops")) as wire, pytest.raises(SwarmUnavailable) as caught:
        await call(client_of(wire, "Bearer xyz"))
    assert not any(secret in str(caught.value) for secret in ("A" * 40, "xyz", wire.host))
