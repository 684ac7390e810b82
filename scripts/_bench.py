"""What the benchmarks share: a platform of their own in a throw-away folder, its processes, and tables."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
console = Console(width=120)


class Bench:
    """Processes and a folder that are gone when the bench is over."""

    def __init__(self, folder: Path, env: dict[str, str], stack: ExitStack) -> None:
        self.folder, self.env, self._stack = folder, env, stack

    def start(self, name: str, *argv: str, **env: str) -> "subprocess.Popen[bytes]":
        """A Python process; its words go to a file that is shown when the bench fails."""
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen([sys.executable, *argv], cwd=ROOT, env=self.env | env, stdout=log, stderr=log)
        self._stack.callback(_stop, process)
        return process

    def manage(self, *argv: str) -> None:
        subprocess.run([sys.executable, "manage.py", *argv], cwd=ROOT, env=self.env, check=True)


@contextmanager
def bench(**env: str) -> Iterator[Bench]:
    """A fresh database, and Django set up in this process with the same settings as in the children."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        defaults = {"I2V_DATA_DIR": folder, "LOG_LEVEL": "WARNING", "DJANGO_SETTINGS_MODULE": "i2v_site.settings"}
        os.environ.update(defaults | env)
        sys.path.insert(0, str(ROOT))
        import django

        django.setup()
        found = Bench(Path(folder), dict(os.environ), stack)
        found.manage("migrate", "-v0")
        try:
            yield found
        except Exception:
            for path in Path(folder).glob("*.log"):
                console.print(f"[bold]{path.name}[/]\n{path.read_text(errors='replace')[-3000:]}", markup=True)
            raise


def simulator(found: Bench, port: int, *options: str) -> "subprocess.Popen[bytes]":
    """The simulated SwarmUI, configured as the GPU of the platform."""
    process = found.start("simulator", "-m", "tests.simulators.swarmui", "--port", str(port), *options)
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/sim/state"), what="the simulator")
    from gpu.services import config

    config.save_config(swarmui_url=f"http://127.0.0.1:{port}")
    return process


def sim(port: int, door: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{port}/sim/{door}", timeout=60, trust_env=False).json()


def wait_until(look: Callable[[], bool], *, seconds: float = 600, every: float = 0.1, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def machine() -> str:
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load before {os.getloadavg()[0]:.1f}"


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
