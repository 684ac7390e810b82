"""The official Python client, which knows nothing of ours, against the simulated fal, over TLS as it insists."""

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.simulators.client_environment import programs_of
from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import WAN, asked, png
from tests.simulators.wire import authority

VERSION = "1.0.3"
# The queue's host comes from the environment; the other two are constants of the client.
HEAD = """
import json, os, sys
import fal_client
from fal_client import client as inside
inside.REST_URL, inside.CDN_URL = os.environ["SIM_REST"], os.environ["SIM_MEDIA"]
arguments = json.loads(os.environ["SIM_ARGUMENTS"])
WAN = os.environ["SIM_ENDPOINT"]
def tell(**answer): print(json.dumps(answer))
"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def python() -> Path:
    """An interpreter that has the client."""
    return programs_of("fal-client", VERSION) / "python"


class Official:
    """Runs a few lines with the client; nothing of it ever reaches the real service."""

    def __init__(self, python: Path, home: Path, fal: FalSimulator, ca_file: Path) -> None:
        self._python, self.fal = python, fal
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "FAL_KEY": fal.api_key,
            "FAL_QUEUE_RUN_HOST": urlsplit(fal.queue_url).netloc,
            "FAL_RUN_HOST": "127.0.0.1:9",  # fal.run itself is not simulated
            "SSL_CERT_FILE": str(ca_file),
            "SIM_REST": fal.rest_url,
            "SIM_MEDIA": fal.media_url,
            "SIM_ENDPOINT": WAN,
            "SIM_ARGUMENTS": json.dumps(asked()),
        }

    def __call__(self, lines: str, **env: str) -> dict[str, Any]:
        """What the lines told last."""
        done = subprocess.run(
            [str(self._python), "-c", HEAD + textwrap.dedent(lines)],
            env=self._env | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


@pytest.fixture
def official(python: Path, tmp_path: Path) -> Iterator[Official]:
    trust = authority(tmp_path, "127.0.0.1")
    with FalSimulator(tls=trust.server, seconds=1) as fal:
        yield Official(python, tmp_path, fal, trust.ca_file)


def test_subscribe_sees_the_queue_the_logs_and_the_result(official: Official):
    told = official("""
        seen = []
        result = fal_client.subscribe(WAN, arguments, with_logs=True, on_queue_update=seen.append)
        logs = [entry for event in seen for entry in getattr(event, "logs", None) or []]
        tell(kinds=[type(event).__name__ for event in seen], logs=len(logs), result=result)
    """)

    assert told["kinds"][-1] == "Completed"
    assert "InProgress" in told["kinds"]
    assert told["logs"] > 0
    assert told["result"] == official.fal.requests()[0]["output"]


def test_submit_status_and_result_go_by_id_without_the_subpath(official: Official):
    told = official("""
        handle = fal_client.submit(WAN, arguments, webhook_url="http://127.0.0.1:9/hook/n-5")
        queued = fal_client.status(WAN, handle.request_id)
        result = fal_client.result(WAN, handle.request_id)
        over = fal_client.status(WAN, handle.request_id, with_logs=True)
        tell(id=handle.request_id, queued=type(queued).__name__, seed=result["seed"],
             inference=over.metrics["inference_time"], error=over.error)
    """)

    assert (told["seed"], told["inference"], told["error"]) == (7, 1, None)
    assert [row["request_id"] for row in official.fal.requests_for("n-5")] == [told["id"]]


def test_a_request_in_line_is_cancelled(official: Official):
    official.fal.script(queue_seconds=1000)
    told = official("""
        handle = fal_client.submit(WAN, arguments)
        position = fal_client.status(WAN, handle.request_id).position
        fal_client.cancel(WAN, handle.request_id)
        status = fal_client.status(WAN, handle.request_id)
        tell(position=position, kind=type(status).__name__, error_type=status.error_type)
    """)

    assert told == {"position": 0, "kind": "Completed", "error_type": "client_cancelled"}
    assert official.fal.paid_requests() == []


@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
def test_uploads_arrive_and_can_be_used(official: Official, tmp_path: Path, repository: str):
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(200, 200))
    told = official(
        """
        url = fal_client.upload_file(os.environ["PICTURE"], repository=os.environ["REPOSITORY"], fallback_repository=[])
        tell(url=url, result=fal_client.subscribe(WAN, arguments | {"image_url": url}))
        """,
        PICTURE=str(picture),
        REPOSITORY=repository,
    )

    assert told["url"].startswith(official.fal.media_url + "/files/")
    assert told["result"]["video"]["url"].startswith(official.fal.media_url)
    assert official.fal.files()[told["url"].removeprefix(official.fal.media_url)]["bytes"] == len(png(200, 200))


def test_a_big_file_goes_up_in_pieces(official: Official):
    told = official("""
        inside.MULTIPART_THRESHOLD, inside.MULTIPART_CHUNK_SIZE = 1000, 700
        data = bytes(range(256)) * 10
        url = fal_client.upload(data, "application/octet-stream", "big.bin")
        import httpx
        tell(same=httpx.get(url).content == data)
    """)

    assert told == {"same": True}


@pytest.mark.parametrize(
    ("fate", "status", "kind"),
    [("fail_policy", 422, None), ("fail_runner", 503, "runner_disconnected"), ("fail_internal", 500, None)],
)
def test_failures_are_the_errors_that_the_client_knows(official: Official, fate: str, status: int, kind: str | None):
    official.fal.script(fate_next=[fate])
    told = official("""
        try:
            fal_client.subscribe(WAN, arguments)
        except fal_client.client.FalClientHTTPError as exc:
            tell(status=exc.status_code, kind=exc.error_type, detail=exc.message)
    """)

    assert (told["status"], told["kind"]) == (status, kind)
    assert isinstance(told["detail"], str if kind else list)


def test_an_exhausted_account_is_an_error_with_fals_words(official: Official):
    official.fal.script(credit=0)
    told = official("""
        try:
            fal_client.submit(WAN, arguments)
        except fal_client.client.FalClientHTTPError as exc:
            tell(status=exc.status_code, detail=exc.message)
    """)

    assert told["status"] == 403
    assert told["detail"].startswith("User is locked. Reason: Exhausted balance.")


def test_what_does_not_start_in_time_is_given_up_by_the_server(official: Official):
    official.fal.script(queue_seconds=1000)
    told = official("""
        try:
            fal_client.subscribe(WAN, arguments, start_timeout=1.5)
        except fal_client.client.FalClientHTTPError as exc:
            tell(status=exc.status_code, kind=exc.error_type)
    """)

    assert told == {"status": 504, "kind": "request_timeout"}


def test_the_official_client_pays_twice_when_an_answer_is_lost(official: Official):
    official.fal.fail("submit", "lost_after")
    official("tell(result=fal_client.subscribe(WAN, arguments))")
    official.fal.wait_for(lambda state: state["paid"] == 2)

    assert len(official.fal.requests()) == 2


def test_the_asynchronous_client_gets_the_same(official: Official):
    told = official("""
        import asyncio
        async def work():
            handle = await fal_client.submit_async(WAN, arguments)
            kinds = [type(event).__name__ async for event in handle.iter_events(with_logs=True)]
            return kinds, await handle.get()
        kinds, result = asyncio.run(work())
        tell(last=kinds[-1], seed=result["seed"])
    """)

    assert told == {"last": "Completed", "seed": 7}
