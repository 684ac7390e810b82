"""The platform as it really runs: its processes, a data folder of its own, and nothing but HTTP to talk to it."""

import fcntl
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "i2v_" + "test0token" * 6
Found = TypeVar("Found")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], Found | None], *, seconds: float = 60, what: str = "") -> Found:
    """The first truthy answer of `look`; fails loudly when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or look}")
        time.sleep(0.05)


class RunningPlatform:
    """web, worker and dispatcher as processes that can be killed one by one."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.port, self.live_port = free_port(), free_port()
        self.folder = folder
        self.env = os.environ | {
            "I2V_DATA_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "i2v_site.settings",
            "SECRET_KEY": "running-platform-" + "x" * 40,
            "SITE_URL": f"http://127.0.0.1:{self.port}",
            "LIVE_URL": f"http://127.0.0.1:{self.live_port}",
            "ADMIN_TOKEN": TOKEN,
            "LEASE_SECONDS": "3",
            "SWEEP_SECONDS": "1",
            "LOG_LEVEL": "WARNING",
            **env,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Token {TOKEN}"}, timeout=30
        )
        if "DATABASE_URL" in env:
            self._set_up()
        else:
            self._take_prepared()

    def _set_up(self) -> None:
        self.manage("migrate", "-v0")
        self.manage("bootstrap")

    def _take_prepared(self) -> None:
        """A copy of the database that the first platform of this run of tests has made: migrations take seconds."""
        run = next((above for above in self.folder.parents if re.fullmatch(r"pytest-\d+", above.name)), self.folder)
        prepared = run / "prepared.sqlite3"
        with (run / "prepared.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not prepared.exists():
                self._set_up()
                # Not a copy of the file: what is still in the write-ahead log would be missing.
                with closing(sqlite3.connect(self.folder / "db.sqlite3")) as database:
                    database.execute("VACUUM INTO ?", [str(prepared)])
                return
        shutil.copy(prepared, self.folder / "db.sqlite3")

    def manage(self, *args: str) -> str:
        command = [sys.executable, "manage.py", *args]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """What the database answers, without the seconds that a Django process takes to start."""
        if url := self.env.get("DATABASE_URL"):
            with psycopg.connect(url) as database:
                return database.execute(question).fetchall()
        with closing(sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True, timeout=30)) as file:
            return file.execute(question).fetchall()

    def start(self, name: str, **env: str) -> None:
        web = f"-m granian --interface wsgi --no-ws --blocking-threads 4 --port {self.port} --log-level warning"
        live = f"-m uvicorn i2v_site.asgi:application --log-level warning --port {self.live_port}"
        commands = {
            "web": [*web.split(), "i2v_site.wsgi:application"],
            "live": live.split(),
            "worker": ["manage.py", "qcluster", "--skip-checks"],
            "dispatcher": ["manage.py", "dispatch"],
        }
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, *commands[name]],
            cwd=ROOT,
            env=self.env | env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        if name == "web":
            until(self._is_up, what="the web process")

    def _is_up(self) -> bool:
        try:
            return self.api.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, name: str) -> None:
        """kill -9, with everything it started."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def has_crashed(self, name: str, point: str) -> bool:
        """Whether the process, or one that it started, has died at this crash point since the last look."""
        log = self.folder / f"{name}.log"
        if f"crashpoint {point}\n" not in log.read_text():
            return False
        log.write_text("")
        return True

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.api.close()

    def job(self, pk: str) -> dict[str, Any]:
        answer = self.api.get(f"/api/jobs/{pk}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def has_status(self, pk: str, *statuses: str) -> Callable[[], bool]:
        return lambda: self.job(pk)["status"] in statuses

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
