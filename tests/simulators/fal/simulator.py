"""The simulator in a background thread, for tests.

    with FalSimulator(seconds=0.1) as fal:
        client = FalClient(fal.queue_url, key=fal.api_key, ...)
        fal.fail("submit", "504_after")          # accepted, and the answer was an error
        fal.script(fate_next=["webhook_lost+drift_seed"])
        fal.wait_for(lambda state: state["paid"] == 1)
        assert len(fal.requests_for("the nonce")) == 1

As a fixture, `yield` it from the `with` block. Knobs are the fields of `script.Script`. The clock runs as fast as the
real one (`scale`); with `scale=0` it stands still and only `advance` moves it.
"""

import asyncio
import shutil
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulators.clock import Clock
from tests.simulators.fal.app import HOSTS, FalApp
from tests.simulators.fal.control import Controller
from tests.simulators.fal.script import Script
from tests.simulators.fal.transport import TlsServer
from tests.simulators.fal.world import World
from tests.simulators.shell import ClockedThread

TICK_REAL_S = 0.02
Row = dict[str, Any]


class Simulation:
    """World and four servers on the running event loop: queue, rest, media and api."""

    def __init__(
        self,
        *,
        script: Script,
        folder: Path,
        api_key: str = "sim-id:sim-secret",
        start: float | None = None,
        scale: float = 1.0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.world = World(script=script, clock=Clock(start=start, scale=scale), folder=folder, api_key=api_key)
        self.controller = Controller(self.world)
        self._host, self._scheme = host, "https" if tls else "http"
        self.servers = {
            name: TlsServer(FalApp(self.world, self.controller, name), host=host, tls=tls) for name in HOSTS
        }
        self._ticker: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> None:
        """Open the queue on `port` and the others on the three after it; 0: free ones."""
        for number, (name, server) in enumerate(self.servers.items()):
            await server.start(port + number if port else 0)
            self.world.urls[name] = f"{self._scheme}://{self._host}:{server.port}"
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        if self._ticker:
            self._ticker.cancel()
        for server in self.servers.values():
            await server.stop()
        await self.world.postman.close()
        await self.world.outcome.close()

    async def _tick(self) -> None:
        # Requests end and webhooks leave also while nobody asks.
        while True:
            await asyncio.sleep(TICK_REAL_S)
            if self.world.clock.scale:
                await self.world.clock.settle()


class FalSimulator(ClockedThread):
    """A simulated fal on free ports of 127.0.0.1; for `with` and `async with`. Its methods block briefly."""

    def __init__(
        self,
        *,
        api_key: str = "sim-id:sim-secret",
        start: float | None = None,
        scale: float = 1.0,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        **knobs: Any,
    ) -> None:
        super().__init__("fal-simulator")
        self._script = Script()
        self._script.update(knobs)
        self._options: dict[str, Any] = {"api_key": api_key, "start": start, "scale": scale, "tls": tls}
        self.api_key, self._port = api_key, port
        self._folder = Path(tempfile.mkdtemp(prefix="fal-simulator-"))
        self._simulation: Simulation

    async def _begin(self) -> None:
        self._simulation = Simulation(script=self._script, folder=self._folder, **self._options)
        await self._simulation.start(self._port)

    async def _finish(self) -> None:
        await self._simulation.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def _controller(self) -> Controller:
        return self._simulation.controller

    @property
    def queue_url(self) -> str:
        """What https://queue.fal.run is; without a slash at the end, like the others."""
        return self._simulation.world.urls["queue"]

    @property
    def rest_url(self) -> str:
        """https://rest.fal.ai: uploads and /.well-known/jwks.json."""
        return self._simulation.world.urls["rest"]

    @property
    def media_url(self) -> str:
        """https://v3.fal.media: results and uploaded files."""
        return self._simulation.world.urls["media"]

    @property
    def api_url(self) -> str:
        """https://api.fal.ai, without the /v1."""
        return self._simulation.world.urls["api"]

    @property
    def jwks_url(self) -> str:
        return self.rest_url + "/.well-known/jwks.json"

    def fail(self, call: str, *faults: str) -> None:
        """Faults for the next calls of that name ("*": any), one each; see `script.ANY_FAULT` and `OWN_FAULTS`."""
        self._call(self._controller.fail({"call": call, "faults": faults}))

    def finish(self, request_id: str) -> None:
        """End a request now with its video, also a stuck one."""
        self._call(self._controller.finish({"request_id": request_id}))

    def send_webhook(self, request_id: str) -> None:
        """Once more."""
        self._call(self._controller.webhook({"request_id": request_id}))

    def rotate_keys(self) -> None:
        """Webhooks are signed with a new key from now on."""
        self._call(self._controller.keys({}))

    def requests(self) -> list[Row]:
        """Every accepted request in order; prices and charges are texts of dollars."""
        rows: list[Row] = self._call(self._controller.requests({}))["requests"]
        return rows

    def paid_requests(self) -> list[Row]:
        """Those that were billed."""
        return [row for row in self.requests() if float(row["billed"]) > 0]

    def requests_for(self, wanted: str | Callable[[Row], bool]) -> list[Row]:
        """Those whose webhook or input holds that text, or for which the function holds."""
        if callable(wanted):
            return [row for row in self.requests() if wanted(row)]
        return [row for row in self.requests() if wanted in row["webhook"] or wanted in str(row["input"])]

    def files(self) -> dict[str, Row]:
        """The files on the media host by path."""
        files: dict[str, Row] = self._call(self._controller.files({}))["files"]
        return files

    def cut_connections(self) -> None:
        """Abort every open connection; requests go on."""
        for server in self._simulation.servers.values():
            self._loop.call_soon_threadsafe(server.cut_all)
