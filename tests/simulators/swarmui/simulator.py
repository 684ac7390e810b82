"""The simulator in a background thread, for tests.

    with SwarmSimulator(seconds=0.05, load_seconds=0) as swarm:
        client = SwarmClient(swarm.url, ...)
        swarm.script(fail_next=["oom"])
        swarm.wait_for(lambda state: state["finished"] == 1)
        assert swarm.state()["started_by_path"] == {"raw/jobs/abc": 1}

As a fixture, `yield` it from the `with` block. Knobs are the fields of `script.Script`; `time_scale` is 0.05 here, so
that SwarmUI's 2 s grace takes 0.1 s (seconds given are scaled as well: seconds=1 is a render of 50 ms).
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.simulators.shell import SimulatorThread
from tests.simulators.swarmui.app import SwarmApp
from tests.simulators.swarmui.backends import BackendPool
from tests.simulators.swarmui.control import Controller
from tests.simulators.swarmui.script import Script
from tests.simulators.swarmui.server import Server
from tests.simulators.swarmui.world import World


class Simulation:
    """World and server on the running event loop."""

    def __init__(self, *, script: Script, backends: int, output: Path, host: str = "127.0.0.1") -> None:
        self.world = World(script=script, output=output)
        self.world.backends = BackendPool(self.world, backends)
        self.controller = Controller(self.world)
        self.server = Server(
            SwarmApp(self.world, self.controller),
            mbit_per_s=lambda: script.bandwidth_mbit_s,
            count=self.world.count_bytes,
            host=host,
        )
        self.controller.server = self.server

    async def start(self, port: int = 0) -> None:
        self.world.backends.boot()
        await self.server.start(port)

    async def stop(self) -> None:
        await self.server.stop()
        self.world.forget_work(keep_sessions=False)
        self.world.close()


class SwarmSimulator(SimulatorThread):
    """A simulated SwarmUI on a free port of 127.0.0.1; for `with` and `async with`. Its methods block briefly."""

    def __init__(self, *, backends: int = 1, port: int = 0, output: Path | None = None, **knobs: Any) -> None:
        super().__init__("swarm-simulator")
        self._script = Script(time_scale=0.05, seconds=1.0, load_seconds=0.0)
        self._script.update(knobs)
        self._backends, self._port = backends, port
        self._output, self._own_output = output, output is None
        self._simulation: Simulation

    async def _begin(self) -> None:
        self._output = self._output or Path(tempfile.mkdtemp(prefix="swarm-simulator-"))
        self._simulation = Simulation(script=self._script, backends=self._backends, output=self._output)
        await self._simulation.start(self._port)

    async def _finish(self) -> None:
        await self._simulation.stop()
        if self._own_output and self._output:
            await asyncio.to_thread(shutil.rmtree, self._output, ignore_errors=True)

    @property
    def _controller(self) -> Controller:
        return self._simulation.controller

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._simulation.server.port}"

    @property
    def output(self) -> Path:
        """The folder with one folder per user in it."""
        assert self._output is not None
        return self._output

    def renders(self) -> list[dict[str, Any]]:
        """Every image task with its parameters, picture hash, times, result and error."""
        answer = self._call(self._controller.renders({}))
        return list(answer["renders"])

    def restart(self, *, keep_sessions: bool = True, down_seconds: float = 0.0) -> None:
        """Returns when the server is back."""
        self._call(self._controller.restart_now(keep_sessions=keep_sessions, down_seconds=down_seconds))

    def set_backend(self, number: int, status: str) -> None:
        self._call(self._controller.backend({"id": number, "status": status}))

    def add_model(self, name: str, *, subtype: str = "Stable-Diffusion", architecture: str = "") -> None:
        entry = {"name": name, "subtype": subtype, "architecture": architecture}
        self._call(self._controller.models({"add": entry}))

    def remove_model(self, name: str) -> None:
        self._call(self._controller.models({"remove": name}))

    def cut_connections(self) -> None:
        """Abort every open connection; the server and its jobs go on."""
        self._loop.call_soon_threadsafe(self._simulation.server.cut_all)
