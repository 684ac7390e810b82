"""The simulator in a background thread, for tests.

    with VastSimulator(credit=20) as vast:
        client = VastClient(vast.url, api_key=vast.api_key)
        vast.fail("create", "504_after")
        vast.advance(120)
        assert vast.state()["instances"] == 1
        assert vast.ledger()["paid"] < 1

As a fixture, `yield` it from the `with` block. Knobs are the fields of `script.Script`. The clock stands still unless
`scale` says how many times faster than real time it runs; `start` is the epoch second it begins at, by default now.
"""

import asyncio
from typing import Any

from tests.simulators.clock import Clock
from tests.simulators.shell import ClockedThread
from tests.simulators.swarmui.server import Server
from tests.simulators.vastai.app import VastApp
from tests.simulators.vastai.control import Controller
from tests.simulators.vastai.script import Script
from tests.simulators.vastai.world import Agent, World

TICK_REAL_S = 0.05


class Simulation:
    """World and server on the running event loop."""

    def __init__(
        self,
        *,
        script: Script,
        seed: int = 1,
        machines: int = 120,
        api_key: str = "sim-key",
        start: float | None = None,
        scale: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        self.world = World(
            script=script, clock=Clock(start=start, scale=scale), seed=seed, machines=machines, api_key=api_key
        )
        self.world.host = host
        self.controller = Controller(self.world)
        self.app = VastApp(self.world, self.controller)
        self.world.api = self.app.dispatch
        self.server = Server(self.app, mbit_per_s=lambda: 0.0, count=lambda _received, _sent: None, host=host)
        self._ticker: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> None:
        await self.server.start(port)
        self.world.base_url = f"http://{self.world.host}:{self.server.port}"
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        if self._ticker:
            self._ticker.cancel()
        await self.server.stop()
        for instance in self.world.instances.values():
            if instance.machine:
                await instance.machine.power_off()
                instance.machine.scrap()

    async def _tick(self) -> None:
        # Machines boot, log and die also while nobody asks for them.
        while True:
            await asyncio.sleep(TICK_REAL_S)
            if self.world.clock.scale:
                await self.world.clock.settle()


class VastSimulator(ClockedThread):
    """A simulated vast.ai on a free port of 127.0.0.1; for `with` and `async with`. Its methods block briefly."""

    def __init__(
        self,
        *,
        seed: int = 1,
        machines: int = 120,
        api_key: str = "sim-key",
        start: float | None = None,
        scale: float = 0.0,
        port: int = 0,
        **knobs: Any,
    ) -> None:
        super().__init__("vast-simulator")
        self._script = Script()
        self._script.update(knobs)
        self._options: dict[str, Any] = {"seed": seed, "machines": machines, "start": start, "scale": scale}
        self.api_key, self._port = api_key, port
        self._simulation: Simulation

    async def _begin(self) -> None:
        self._simulation = Simulation(script=self._script, api_key=self.api_key, **self._options)
        await self._simulation.start(self._port)

    async def _finish(self) -> None:
        await self._simulation.stop()

    @property
    def _controller(self) -> Controller:
        return self._simulation.controller

    @property
    def url(self) -> str:
        """Without a slash at the end, as VAST_URL wants it."""
        return self._simulation.world.base_url

    def fail(self, endpoint: str, *faults: str) -> None:
        """Faults for the next calls of that endpoint ("*": any), one each; see `script.ANY_FAULT` and `OWN_FAULTS`."""
        self._call(self._controller.fail({"endpoint": endpoint, "faults": faults}))

    def strike(self, instance_id: int, fate: str) -> dict[str, Any]:
        """Let something happen to one machine now; see `control`."""
        return self._call(self._controller.strike({"id": instance_id, "fate": fate}))

    def take_offer(self, offer_id: int) -> None:
        """An offer vanishes for good."""
        self._call(self._controller.offer({"id": offer_id}))

    def take_machine(self, machine_id: int, *, taken: bool = True) -> None:
        """A stranger rents all free GPUs of a machine, or gives them back."""
        self._call(self._controller.offer({"machine_id": machine_id, "taken": taken}))

    def ledger(self) -> dict[str, Any]:
        """granted, paid, credit, and `contracts` with what each has cost: the truth."""
        return self._call(self._controller.ledger({}))

    def instances(self, *, alive: bool | None = None) -> list[dict[str, Any]]:
        """All contracts there ever were, or only living or only destroyed ones."""
        rows = self._call(self._controller.instances({}))["instances"]
        return [row for row in rows if alive is None or row["alive"] is alive]

    def use_agent(self, agent: Agent | None) -> None:
        """What runs beside SwarmUI on every machine that boots from now on; see `machine.Machine`."""
        self._simulation.world.agent = agent

    def publish_template(self, **template: Any) -> str:
        """Add a template (image, tag, env_map, onstart, runtype); answers its hash_id."""
        return self._simulation.world.publish_template(**template)
