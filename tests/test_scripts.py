"""scripts/start and `manage.py serve`, as a newcomer meets them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from generation.management.launch import free_port
from tests.running import ROOT, until

UP_WITHIN_S = 90


class Served:
    """`manage.py serve` on a free port with a data folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / f"serve-{self.port}.log"
        self.log: IO[bytes] = self.log_path.open("ab")
        command = [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, env=environment(folder), stdout=self.log, stderr=self.log)

    def output(self) -> str:
        return self.log_path.read_text()

    def until_ready(self) -> str:
        until(lambda: "Ready:" in self.output() or self.process.poll() is not None, seconds=UP_WITHIN_S, what="Ready")
        assert self.process.poll() is None, self.output()
        return self.output()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()
            self.log.close()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Ours, without what would change how the platform starts."""
    ours = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return ours | {"I2V_DATA_DIR": str(folder)} | more


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that work in this data folder, whoever their parent is."""
    mark = f"I2V_DATA_DIR={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def serve(folder: Path, *options: str, **env: str) -> tuple[int, str]:
    """Exit code and words of a `serve` that is expected to end by itself."""
    command = [sys.executable, str(ROOT / "manage.py"), "serve", *options]
    done = subprocess.run(
        command, env=environment(folder, **env), capture_output=True, text=True, timeout=100, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    if served.process.poll() is None:
        served.stop()


def test_the_printed_curl_line_works_and_ctrl_c_stops_every_process(served: Served) -> None:
    output = served.until_ready()
    curl = next(line for line in output.splitlines() if line.strip().startswith("curl"))

    answer = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
    running = processes_of(served.folder)
    code = served.stop()

    assert json.loads(answer.stdout)["status"] == "queued"
    assert any("qcluster" in line for line in running)
    assert (code, processes_of(served.folder)) == (0, [])


def test_a_second_start_keeps_the_password_and_its_curl_line_makes_a_token(served: Served) -> None:
    first = served.until_ready()
    served.stop()
    again = Served(served.folder)
    second = again.until_ready()
    curl = next(line for line in second.splitlines() if line.strip().startswith("curl"))

    answer = subprocess.run(
        curl, shell=True, capture_output=True, text=True, check=True, env=environment(served.folder)
    )
    again.stop()

    assert "Password" in first
    assert "Password" not in second
    assert json.loads(answer.stdout)["status"] == "queued"


def test_nothing_is_left_when_the_platform_is_killed(served: Served) -> None:
    served.until_ready()

    served.process.kill()
    served.process.wait()

    until(lambda: not processes_of(served.folder), what="the end of its processes")


def test_the_demo_has_a_pretend_market_and_cloud_and_data_of_its_own(tmp_path: Path) -> None:
    served = Served(tmp_path, "--demo")
    output = served.until_ready()
    found = re.search(r"API token +(\S+)", output)
    assert found, output
    headers = {"Authorization": f"Token {found[1]}"}
    demo = f"http://127.0.0.1:{served.port}/api/gpu"
    offers = httpx.get(f"{demo}/offers", headers=headers, timeout=60).json()
    during = httpx.get(f"{demo}/config", headers=headers).json()
    models = httpx.get(f"http://127.0.0.1:{served.port}/api/models", headers=headers).json()
    served.stop()

    again = Served(tmp_path)
    own = re.search(r"API token +(\S+)", again.until_ready())
    assert own
    real = {"Authorization": f"Token {own[1]}"}
    after = httpx.get(f"http://127.0.0.1:{again.port}/api/gpu/config", headers=real).json()
    again.stop()

    assert len(offers["results"]) > 3
    assert (during["gpu_provider"], after["gpu_provider"]) == ("vastai", "manual")
    assert after["swarmui_url"] == ""
    assert {"wan-2-2", "fal-wan-2-2-turbo"} <= {model["model"] for model in models["results"] if model["available"]}


def test_the_check_makes_a_video_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code, words = serve(tmp_path, "--check", TMPDIR=str(tmp_path))

    assert code == 0, words
    assert "832x480, 49 frames at 16 per second, as asked" in words
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("i2v-check-")] == []


@pytest.mark.parametrize("offset", [0, 1])
def test_a_busy_port_is_one_sentence(tmp_path: Path, offset: int) -> None:
    port = free_port()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", port + offset))
        busy.listen()
        code, words = serve(tmp_path, "--port", str(port))

    assert code == 1
    assert f"Port {port + offset} " in words
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_OPEN_JOBS", "many", "MAX_OPEN_JOBS must be a whole number"),
        ("SITE_URL", "nonsense", "SITE_URL must be an address"),
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL must look like"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing", "The database does not answer"),
        ("REDIS_URL", "redis://127.0.0.1:1", "Redis (REDIS_URL) does not answer"),
        ("WEB_WORKERS", "none", "WEB_WORKERS must be a whole number"),
        ("I2V_DATA_DIR", "/proc/nothing", "cannot be written"),
    ],
)
def test_a_wrong_value_in_the_environment_is_one_sentence(tmp_path: Path, name: str, value: str, words: str) -> None:
    code, said = serve(tmp_path, "--port", str(free_port()), **{name: value})

    assert code != 0
    assert words in said
    assert len(said.splitlines()) == 1
