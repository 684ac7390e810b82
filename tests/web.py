"""The web process as it runs in production, for tests over real sockets."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
MAKE_TOKENS = """
from django.contrib.auth.models import User
from generation.models import ApiToken
for number in range(20):
    print("token", ApiToken.objects.create(user=User.objects.create_user(f"user{number}"), name="test")[1])
"""


@dataclass(frozen=True)
class Web:
    """A running web process, as one person sees it."""

    port: int
    token: str

    def client(self, **headers: str) -> httpx.Client:
        headers |= {"Authorization": f"Token {self.token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30, trust_env=False)


@contextmanager
def running_web(environment: dict[str, str]) -> Iterator[Iterator[Web]]:
    """A web process in an empty folder and database, as one new person after another sees it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    environment = inherited | {"SECRET_KEY": "x" * 50} | environment
    _manage(environment, "migrate", "--verbosity", "0")
    said = _manage(environment, "shell", "--verbosity", "0", "-c", MAKE_TOKENS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port), "--blocking-threads", "12"]
    process = subprocess.Popen([*command, "i2v_site.wsgi:application"], cwd=ROOT, env=environment)
    try:
        people = (Web(port, line.removeprefix("token ")) for line in said.splitlines() if line.startswith("token "))
        _until_answering(next(people))
        yield people
    finally:
        process.terminate()
        process.wait(20)


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def _until_answering(web: Web) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with web.client() as client:
                client.get("/health").raise_for_status()
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
