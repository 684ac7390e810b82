"""Processes that are kept running, and are gone afterwards, whatever happens to whom."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from i2v_site.supervise import Child, Supervisor
from tests.running import ROOT, until

# Starts a helper of its own, notes both process ids in a file, and lives on.
PARENT = """
import os, subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} {helper.pid}\\n")
time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def expect_gone(*pids: int) -> None:
    """A kill is not instant, and grandchildren are not ours to wait for."""
    until(lambda: not any(map(lives, pids)), what="the end of the family")


class Watched:
    """A supervisor with one child, driven by the test."""

    def __init__(self, folder: Path, *, is_stuck: Callable[[float], bool] = lambda _age_s: False) -> None:
        self.notes = folder / "pids"
        self.said: list[str] = []
        child = Child(name="child", argv=[sys.executable, "-c", PARENT, str(self.notes)], is_stuck=is_stuck)
        self.supervisor = Supervisor([child], env=os.environ, cwd=ROOT, say=self.said.append)

    def tick_until(self, look: Callable[[], bool]) -> None:
        def tick() -> bool:
            self.supervisor.tick()
            return look()

        until(tick, what="the supervisor")

    def pids(self, run: int) -> tuple[int, int]:
        """Child and helper of the n-th start, ticking until they are there."""
        self.tick_until(lambda: self.notes.exists() and len(self.notes.read_text().splitlines()) > run)
        child, helper = self.notes.read_text().splitlines()[run].split()
        return int(child), int(helper)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    watched.supervisor.start()
    yield watched
    watched.supervisor.stop()


def test_a_killed_child_is_started_again_and_what_it_left_behind_is_killed(watched: Watched) -> None:
    child, helper = watched.pids(0)

    os.kill(child, signal.SIGKILL)
    new_child, _new_helper = watched.pids(1)

    assert new_child != child
    expect_gone(helper)
    assert watched.said == ["child ended with code -9; starting it again in 0.5 s."]


def test_a_child_that_does_no_work_any_more_is_started_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, is_stuck=lambda _age_s: (tmp_path / "stuck").exists())
    watched.supervisor.start()
    first = watched.pids(0)
    (tmp_path / "stuck").touch()

    watched.tick_until(lambda: bool(watched.said))
    (tmp_path / "stuck").unlink()
    second = watched.pids(1)
    watched.supervisor.stop()

    expect_gone(*first, *second)
    assert "does no work any more" in watched.said[0]


def test_stopping_leaves_neither_children_nor_grandchildren(watched: Watched) -> None:
    pids = watched.pids(0)

    watched.supervisor.stop()

    expect_gone(*pids)


def test_a_child_that_ignores_the_stop_is_killed_when_it_is_told_to_hurry(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deaf = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w'); time.sleep(600)"
    supervisor = Supervisor(
        [Child(name="deaf", argv=[sys.executable, "-c", deaf])], env=os.environ, cwd=ROOT, say=lambda _text: None
    )
    supervisor.start()
    until(ready.exists)
    asked = itertools.count(1)

    supervisor.stop(hurry=lambda: next(asked) > 3)

    assert next(asked) == 5


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
        import os, sys, time
        from pathlib import Path
        from i2v_site.supervise import Child, Supervisor
        child = Child(name="child", argv=[sys.executable, "-c", {PARENT!r}, {str(tmp_path / "pids")!r}])
        Supervisor([child], env=os.environ, cwd=Path("."), say=print).start()
        time.sleep(600)
    """
    killed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT)
    notes = tmp_path / "pids"
    until(lambda: notes.exists() and notes.read_text().endswith("\n"), what="the child")
    child, helper = map(int, notes.read_text().split())

    killed.kill()
    killed.wait()

    expect_gone(child, helper)
