"""What only shows over real sockets: the web process as it runs in production, on both databases."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.generation.test_api_jobs import BODY, data_url
from tests.services import postgres_database
from tests.web import Web, running_web

BROKEN_PIPE = (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def people(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Web]]:
    """The same web process for a file's tests; each takes a new person."""
    environment = {"I2V_DATA_DIR": str(tmp_path_factory.mktemp("web")), "THROTTLE_SUBMIT": "1000/min"}
    with ExitStack() as stack:
        if request.param == "postgres":
            environment["DATABASE_URL"] = stack.enter_context(postgres_database())
        yield stack.enter_context(running_web(environment))


@pytest.fixture
def web(people: Iterator[Web]) -> Web:
    return next(people)


def test_one_key_posted_many_times_at_once_makes_one_job(web: Web) -> None:
    def post(_number: int) -> tuple[int, str]:
        with web.client(**{"Idempotency-Key": "same"}) as client:
            answer = client.post("/api/jobs", json=BODY)
            return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as people:
        answers = Counter(people.map(post, range(24)))
    with web.client() as client:
        jobs = client.get("/api/jobs").json()["results"]

    assert answers == {(201, jobs[0]["id"]): 24}
    assert len(jobs) == 1


def test_waiting_ends_when_the_job_does(web: Web) -> None:
    def cancel_the_first_job() -> None:
        with web.client() as client:
            deadline = time.monotonic() + 15
            while not (jobs := client.get("/api/jobs").json()["results"]) and time.monotonic() < deadline:
                time.sleep(0.02)
            client.post(f"/api/jobs/{jobs[0]['id']}/cancel")

    other = threading.Thread(target=cancel_the_first_job)
    other.start()
    with web.client(Prefer="respond-async, wait=20") as client:
        answer = client.post("/api/jobs", json=BODY)
    other.join()

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.elapsed.total_seconds() < 15


def test_waiting_ends_after_the_time_asked_for_and_leaves_threads_for_others(web: Web) -> None:
    def wait(_number: int) -> tuple[int, bool]:
        with web.client(Prefer="wait=2") as client:
            answer = client.post("/api/jobs", json=BODY)
            return answer.status_code, "preference-applied" in answer.headers

    with ThreadPoolExecutor(14) as people:
        started = time.monotonic()
        answers = Counter(people.map(wait, range(14)))
        assert time.monotonic() - started < 10

    assert answers == {(201, True): 8, (201, False): 6}


def test_bodies_without_a_length_are_read_and_limited(web: Web) -> None:
    def pieces(body: bytes) -> Iterator[bytes]:
        yield from (body[at : at + 65536] for at in range(0, len(body), 65536))

    json_type = {"Content-Type": "application/json"}
    with web.client(**json_type) as client:
        small = client.post(
            "/api/jobs", content=pieces(json.dumps(BODY | {"image_url": None, "image": data_url()}).encode())
        )
        assert (small.status_code, small.json()["error"] if small.status_code != 201 else None) == (201, None)
        assert _status(client, pieces(b" " * 40_000_000)) in (413, None)
        assert _status(client, b" " * 40_000_000) in (413, None)
        assert client.get("/health").status_code == 200


def _status(client: httpx.Client, body: Any) -> int | None:
    """None when the server hung up before everything was sent, which HTTP allows it to."""
    try:
        return client.post("/api/jobs", content=body).status_code
    except BROKEN_PIPE:
        return None


def test_a_body_that_is_cut_off_stores_nothing(web: Web) -> None:
    head = f"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {web.token}\r\n"
    for framing in (
        "Content-Type: application/json\r\nContent-Length: 500",
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 500",
    ):
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(f"{head}{framing}\r\n\r\n{json.dumps(BODY)}".encode())
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            answer = connection.recv(4096)
        assert not answer or b" 400 " in answer.splitlines()[0]
    with web.client() as client:
        assert client.get("/api/jobs").json()["results"] == []
