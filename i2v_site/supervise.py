"""Keeps a handful of processes running, each with its own process group, and leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A child that lived this long was healthy: its next death starts the back-off anew.
HEALTHY_AFTER_S = 60.0
# A queue worker finishes what it holds, a dispatcher hands its renders over; more is not worth waiting for at a Ctrl-C.
GRACE_S = 20.0
STUCK_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run. `is_stuck`, given its age in seconds, says that it lives but does no work any more."""

    name: str
    argv: Sequence[str]
    is_stuck: Callable[[float], bool] = lambda _age_s: False


@dataclass(slots=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_after: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    looked_at: float = 0.0


class Supervisor:
    """Call `start`, then `tick` a few times a second, then `stop`."""

    def __init__(
        self, children: Sequence[Child], *, env: Mapping[str, str], cwd: Path, say: Callable[[str], None]
    ) -> None:
        self._running = [_Running(child) for child in children]
        self._env, self._cwd, self._say = dict(env), cwd, say
        self._undertaker = Undertaker(cwd)

    def start(self) -> None:
        for running in self._running:
            self._launch(running)

    def tick(self) -> None:
        """Start again what died or is stuck."""
        self._undertaker.keep_alive()
        now = time.monotonic()
        for running in self._running:
            if running.process is None:
                if now >= running.start_after:
                    self._launch(running)
            elif (code := running.process.poll()) is not None:
                self._bury(running, f"ended with code {code}")
            elif now - running.looked_at >= STUCK_LOOK_EVERY_S:
                running.looked_at = now
                if running.child.is_stuck(now - running.started_at):
                    self._bury(running, "does no work any more")

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """End every child with all that it started; `hurry` turning true ends the patience."""
        living = [running for running in self._running if running.process is not None]
        for running in living:
            if running.process is not None:
                # Only the first of its group: a queue cluster whose helpers get the signal too waits for them in vain.
                running.process.terminate()
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and not hurry() and any(_lives(running) for running in living):
            time.sleep(0.05)
        for running in living:
            self._kill(running)
        self._undertaker.close()

    def _launch(self, running: _Running) -> None:
        # A session of its own: a Ctrl-C in the terminal reaches only us, and the group can be ended as a whole.
        running.process = subprocess.Popen(running.child.argv, env=self._env, cwd=self._cwd, start_new_session=True)
        running.started_at = time.monotonic()
        self._undertaker.add(running.process.pid)

    def _bury(self, running: _Running, why: str) -> None:
        # A killed queue cluster exits with 0 and leaves workers behind that nobody guards.
        self._kill(running)
        if time.monotonic() - running.started_at > HEALTHY_AFTER_S:
            running.pause_s = FIRST_PAUSE_S
        running.start_after = time.monotonic() + running.pause_s
        self._say(f"{running.child.name} {why}; starting it again in {running.pause_s:g} s.")
        running.pause_s = min(running.pause_s * 2, LONGEST_PAUSE_S)

    def _kill(self, running: _Running) -> None:
        if running.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
            self._undertaker.remove(running.process.pid)
            running.process = None


class Undertaker:
    """A tiny process that ends the groups when we die without a chance to do it ourselves (kill -9)."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._groups: set[int] = set()
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-S", "-m", "i2v_site.undertaker"]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, cwd=self._cwd, start_new_session=True)

    def add(self, group: int) -> None:
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def keep_alive(self) -> None:
        if self._process.poll() is not None:
            self._process = self._spawn()
            for group in self._groups:
                self._tell(f"+{group}\n")

    def close(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            # Dead itself: the next tick makes a new one and tells it everything.
            with suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def _lives(running: _Running) -> bool:
    return running.process is not None and running.process.poll() is None
