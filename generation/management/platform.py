"""The four processes of the platform as children of one."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import httpx
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from generation import checks
from generation.management.launch import CannotStart
from generation.services.pulse import Pulse
from i2v_site import env
from i2v_site.supervise import Child, Supervisor

TICK_S = 0.25
UP_WITHIN_S = 90


class Platform:
    """Runs web, live, worker and dispatcher, and whatever else it is given, until it is told to stop."""

    def __init__(self, *, host: str, port: int, say: Callable[[str], None]) -> None:
        self._host, self._port, self._say = host, port, say
        self._signals = 0
        self._stop = threading.Event()
        # 0.0.0.0 is where a server listens, not where a browser goes.
        self._near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
        self.address = os.environ.get("SITE_URL") or f"http://{self._near}:{port}"

    def run(self, extra: Sequence[Child], *, on_up: Callable[[], None]) -> None:
        """Until Ctrl-C or SIGTERM. Raises CannotStart when the pages do not come up."""
        environment = os.environ | {"SITE_URL": self.address}
        supervisor = Supervisor([*extra, *self._children()], env=environment, cwd=settings.BASE_DIR, say=self._say)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            supervisor.start()
            if self._until(supervisor, self._is_up):
                on_up()
            elif not self._stop.is_set():
                raise CannotStart(f"The pages did not come up within {UP_WITHIN_S} s; the messages above say why.")
            if self._until(supervisor, self._is_ready):
                self._say("Ready: worker and dispatcher report.")
            while not self._stop.wait(TICK_S):
                supervisor.tick()
        finally:
            self._say("Stopping.")
            supervisor.stop(hurry=lambda: self._signals > 1)

    def _children(self) -> list[Child]:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        worker, dispatcher = Pulse("worker"), Pulse("dispatcher")
        return [
            Child(name="web", argv=[sys.executable, *self._web()]),
            Child(name="live", argv=[sys.executable, *self._live()]),
            Child(
                name="worker", argv=[*manage, "qcluster", "--skip-checks"], is_stuck=_looking(worker.worker_is_stuck)
            ),
            Child(name="dispatcher", argv=[*manage, "dispatch"], is_stuck=_looking(dispatcher.dispatcher_is_stuck)),
        ]

    def _web(self) -> list[str]:
        workers, threads = env.number("WEB_WORKERS", 2, least=1), env.number("WEB_THREADS", 4, least=1)
        options = f"--interface wsgi --no-ws --log-level warning --respawn-failed-workers --workers {workers}"
        where = f"--host {self._host} --port {self._port} --blocking-threads {threads}"
        return ["-m", "granian", *options.split(), *where.split(), "i2v_site.wsgi:application"]

    def _live(self) -> list[str]:
        # Streams never end by themselves: without a limit a stop would wait for every open page.
        options = "--log-level warning --no-access-log --timeout-graceful-shutdown 2"
        where = f"--host {self._host} --port {self._port + 1}"
        return ["-m", "uvicorn", *options.split(), *where.split(), "i2v_site.asgi:application"]

    def _until(self, supervisor: Supervisor, answers: Callable[[], bool]) -> bool:
        """Supervise until `answers`; False when it did not in time or we are told to stop."""
        for tick in range(int(UP_WITHIN_S / TICK_S)):
            if self._stop.wait(TICK_S):
                return False
            supervisor.tick()
            if tick % 2 == 0 and answers():
                return True
        return False

    def _is_up(self) -> bool:
        try:
            url = f"http://{self._near}:{self._port}/health"
            return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _is_ready(self) -> bool:
        try:
            return all(checks.beating(name) is None for name in ("worker", "dispatcher"))
        except DatabaseError:
            return False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # A second Ctrl-C means: at once.
        self._signals += 1
        self._stop.set()


def _looking(is_stuck: Callable[[float], bool]) -> Callable[[float], bool]:
    """With a connection that is given back: a database that was away for a moment must not be lost for ever."""

    def look(age_s: float) -> bool:
        try:
            return is_stuck(age_s)
        finally:
            close_old_connections()

    return look
