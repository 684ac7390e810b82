"""A rented machine once its container runs: gates on its ports, the portal, SwarmUI coming up, a log."""

import contextlib
import inspect
import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulators.clock import Action, Event
from tests.simulators.swarmui.backends import ERRORED, RUNNING
from tests.simulators.swarmui.messages import DropConnection, Request, Response
from tests.simulators.swarmui.script import Script as SwarmScript
from tests.simulators.swarmui.simulator import Simulation as SwarmSimulation
from tests.simulators.vastai.doors import Door, LocalApp
from tests.simulators.vastai.gate import Gate, black_hole, bound_socket
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.portal import Entry, Portal, entries
from tests.simulators.vastai.provisioning import Provisioning

if TYPE_CHECKING:
    from tests.simulators.vastai.world import World

FOR_EVER = 1e9
SSH = 22


class Machine:
    """Phases: off, booting (ports refuse), placeholder, loading (SwarmUI answers), ready; dark when nothing gets in.

    An agent (`VastSimulator.use_agent`) is called as `agent(machine, now)` every `tick_seconds` while the container
    runs, whatever the API says about it. It may log, keep things in `memory` (gone after a restart) and on `disk`, call
    `api` with the container's own key, and put a handler for HTTP requests into `handlers` under a port that was asked
    for. `lease.DeadManSwitch` is one.
    """

    def __init__(self, world: "World", instance: Instance) -> None:
        self.world, self.instance = world, instance
        self.phase = "off"
        self.entries: list[Entry] = []
        self.portal = Portal(self)
        self.memory: dict[str, Any] = {}
        self.disk: dict[str, Any] = {}
        self.provisioning: Provisioning | None = None
        self.handlers: dict[int, LocalApp] = {}
        self.booted_at = 0.0
        self.swarm: SwarmSimulation | None = None
        self._sockets: dict[int, socket.socket] = {}
        self._gates: dict[int, Gate] = {}
        self._fillers: list[socket.socket] = []
        self._plans: list[Event] = []
        self._output: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the container sees, the platform's own variables included."""
        number = self.instance.id
        own = {"CONTAINER_ID": str(number), "VAST_CONTAINERLABEL": f"C.{number}"}
        own |= {"CONTAINER_API_KEY": self.instance.api_key, "PUBLIC_IPADDR": self.world.host}
        ports = {f"VAST_TCP_PORT_{inside}": str(outside) for inside, outside in self.instance.host_ports.items()}
        return self.instance.env | own | ports

    def log(self, text: str) -> None:
        """A line on the container's standard output."""
        self.instance.log.append((self.world.now, text))

    def tell(self, **facts: Any) -> None:
        """A line for machines."""
        self.log("i2v " + json.dumps(facts, separators=(",", ":")))

    async def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        """Call vast.ai with the container's own key; the API's faults and limits strike as they do from outside.

        Raises ConnectionResetError when the answer is lost.
        """
        headers = {"authorization": f"Bearer {self.instance.api_key}", "content-type": "application/json"}
        try:
            return await self.world.api(Request(method, path, {}, headers, json.dumps(body or {}).encode()))
        except DropConnection:
            raise ConnectionResetError from None

    def after(self, seconds: float, action: Action) -> None:
        """Do something later, if the container still runs then."""
        self._plans = [event for event in self._plans if event.at >= self.world.now and not event.cancelled]
        self._plans.append(self.world.clock.after(seconds, action))

    def take_ports(self) -> None:
        """Bind a port of this computer for every one asked for; the numbers stay through reboots."""
        if self.instance.fate == "no_ports" or not self.world.script.sockets:
            return
        for inside in self.instance.wanted_ports:
            held = bound_socket(self.world.host, self.instance.host_ports.get(inside, 0))
            self.instance.host_ports[inside] = held.getsockname()[1]
            self._sockets[inside] = held

    async def power_on(self) -> None:
        """The container starts."""
        script, fate = self.world.script, self.instance.fate
        self.phase, self.booted_at = "booting", self.world.now
        self.memory, self.handlers = {}, {}
        with contextlib.suppress(ValueError):
            self.entries = entries(self.instance.env.get("PORTAL_CONFIG", ""))
        self.log("Instance starting")
        self.after(0, self._tick)
        self.provisioning = Provisioning(self, self._provisioned) if Provisioning.wanted(self) else None
        if self.provisioning:
            self.after(script.gate_seconds, self.provisioning.start)
        if fate == "dead_network":
            self._go_dark()
        elif fate != "refused":
            self.after(script.gate_seconds, self._open_gates)
            self.after(script.tunnel_seconds, self.portal.open_tunnels)
        if not (self.provisioning and script.app_waits_for_provisioning):
            self._start_app()

    async def power_off(self) -> None:
        """The container ends: ports refuse, SwarmUI and its work are gone."""
        self.phase = "off"
        for event in self._plans:
            event.cancelled = True
        self._plans.clear()
        await self.portal.close_tunnels()
        await self._close_ports()
        await self._stop_swarm()
        if not self.instance.alive:
            self.scrap()

    def scrap(self) -> None:
        """What SwarmUI made is gone."""
        if self._output:
            shutil.rmtree(self._output, ignore_errors=True)
            self._output = None

    async def strike(self, fate: str) -> None:
        """Something happens to the running machine: refused, dead_network, app_never, or ok again."""
        self.instance.fate = fate
        if fate == "ok":
            await self.power_off()
            self.take_ports()
            await self.power_on()
        elif fate == "app_never":
            await self._stop_swarm()
            self.phase = "placeholder"
        else:
            await self._close_ports()
            self.take_ports()
            self.phase = "dark"
            if fate == "dead_network":
                self._go_dark()

    async def _close_ports(self) -> None:
        for gate in self._gates.values():
            await gate.stop()
        for held in (*self._sockets.values(), *self._fillers):
            held.close()
        self._gates.clear()
        self._sockets.clear()
        self._fillers.clear()

    def _go_dark(self) -> None:
        self.phase = "dark"
        for held in self._sockets.values():
            self._fillers += black_hole(held)

    # the ports

    async def _open_gates(self) -> None:
        self.phase = "placeholder"
        for inside, held in list(self._sockets.items()):
            if inside != SSH:
                gate = Gate(self._door(inside), host=self.world.host, count=self._count)
                await gate.start(held)
                self._gates[inside] = gate
        password = self.instance.env.get("WEB_PASSWORD") or self.instance.jupyter_token
        self.log(f"* Your web credentials are: vastai / {password}")

    def _count(self, down: int, up: int) -> None:
        self.world.traffic(self.instance, down=down, up=up)

    def _door(self, inside: int) -> Door:
        """Behind a port of PORTAL_CONFIG stands the proxy; any other port is the app itself, without a lock."""
        entry = next((entry for entry in self.entries if entry.external == inside), None)
        if inside in self.handlers or entry is None:
            handler = self.handlers.get(inside)
            return Door(auth=False, raw=True, local=handler, upstream=self._swarm_port)
        instance = self.instance
        excluded = instance.env.get("AUTH_EXCLUDE", "").replace(",", " ").split()
        locked = instance.env.get("ENABLE_AUTH", "true").lower() != "false" and str(inside) not in excluded
        same = entry.internal == entry.external
        return Door(
            internal=entry.internal,
            upstream=self._swarm_port if entry.is_swarm else lambda: None,
            local=self._portal if entry.is_portal else None,
            tokens=instance.tokens,
            auth=locked and not same,
            cookie_name=f"C.{instance.id}_auth_token",
            user=instance.env.get("WEB_USERNAME", "vastai"),
            password=instance.env.get("WEB_PASSWORD", ""),
            raw=same,
        )

    def _swarm_port(self) -> int | None:
        return self.swarm.server.port if self.swarm else None

    async def _portal(self, request: Request) -> Response:
        return await self.portal.answer(request)

    # SwarmUI

    def _start_app(self) -> None:
        script, fate = self.world.script, self.instance.fate
        if fate == "app_never" or not script.sockets:
            return
        late = script.late_factor if fate == "app_late" else 1.0
        self.after(script.gate_seconds + script.app_seconds * late, self._app_up)

    async def _app_up(self) -> None:
        script = self.world.script
        knobs = SwarmScript(time_scale=0.05, seconds=1.0, load_seconds=0.0)
        # Our clock says when the backends run, not SwarmUI's own.
        knobs.update(script.swarm | {"boot_seconds": FOR_EVER})
        self._output = self._output or Path(tempfile.mkdtemp(prefix="vast-simulator-"))
        backends = script.swarm_gpu_count or len(self.instance.ask.gpus)
        swarm = SwarmSimulation(script=knobs, backends=backends, output=self._output, host=self.world.host)
        self._prepare_models(swarm)
        await swarm.start()
        self.swarm, self.phase = swarm, "loading"
        self.log(f"SwarmUI is now listening on port {swarm.server.port}")
        self.after(script.backend_seconds, self._backends_up)

    def _prepare_models(self, swarm: SwarmSimulation) -> None:
        catalogue = swarm.world.catalogue
        for model in self.world.script.models:
            catalogue.add(**model)
        if self.provisioning is None:
            return
        self.provisioning.withhold(catalogue)
        if self.disk.get("provisioned"):
            self.provisioning.install(catalogue)

    def _provisioned(self) -> None:
        if self.instance.fate == "models_missing":
            return
        self.disk["provisioned"] = True
        if self.swarm and self.provisioning:
            self.provisioning.install(self.swarm.world.catalogue)
        if self.world.script.app_waits_for_provisioning:
            self._start_app()

    def _backends_up(self) -> None:
        if self.swarm is None:
            return
        status = ERRORED if self.instance.fate == "backend_errored" else RUNNING
        self.swarm.world.script.boot_seconds = 0.0
        for backend in self.swarm.world.backends.backends:
            self.swarm.world.backends.set_status(backend, status)
        self.phase = "ready" if status == RUNNING else "loading"

    async def _stop_swarm(self) -> None:
        if self.swarm:
            swarm, self.swarm = self.swarm, None
            await swarm.stop()

    # the agent

    async def _tick(self) -> None:
        agent = self.world.agent
        if agent is None:
            return
        self.after(self.world.script.tick_seconds, self._tick)
        known = set(self.handlers)
        # A lost answer is the agent's to bear; it is called again.
        with contextlib.suppress(ConnectionError):
            result = agent(self, self.world.now)
            if inspect.isawaitable(result):
                await result
        for inside in set(self.handlers) - known:
            await self._reopen(inside)

    async def _reopen(self, inside: int) -> None:
        """The agent has taken over a port that is open already."""
        gate = self._gates.pop(inside, None)
        if gate is not None:
            await gate.stop()
            held = bound_socket(self.world.host, self.instance.host_ports[inside])
            self._sockets[inside] = held
            self._gates[inside] = gate = Gate(self._door(inside), host=self.world.host, count=self._count)
            await gate.start(held)
