"""The Instance Portal on a machine: which apps there are and where their quick tunnels end."""

import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulators.swarmui.messages import Request, Response, text_response
from tests.simulators.vastai.doors import Door
from tests.simulators.vastai.gate import Gate, bound_socket, tunnel_name

if TYPE_CHECKING:
    from tests.simulators.vastai.machine import Machine


@dataclass(frozen=True)
class Entry:
    """One part of PORTAL_CONFIG: `host:external:internal:path:Name`."""

    external: int
    internal: int
    path: str
    name: str

    @property
    def target(self) -> str:
        return f"http://localhost:{self.external}"

    @property
    def is_portal(self) -> bool:
        return self.external == 1111 or "portal" in self.name.lower()

    @property
    def is_swarm(self) -> bool:
        return "swarm" in self.name.lower()


def entries(config: str) -> list[Entry]:
    """Raises ValueError for text that is no PORTAL_CONFIG."""
    found = []
    for part in filter(None, config.split("|")):
        _, external, internal, path, name = part.split(":", 4)
        found.append(Entry(int(external), int(internal), path, name))
    return found


class Portal:
    """Tunnels and the pages that tell them; tunnels lead through the same gates as the direct ports."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._gates: dict[int, Gate] = {}
        self.tunnels: dict[int, str] = {}

    async def open_tunnels(self) -> None:
        """A new address for every app; the old ones stop working. They are told in the container's log."""
        await self.close_tunnels()
        machine = self._machine
        for entry in machine.entries:
            if entry.external not in machine.instance.host_ports:
                continue
            self.tunnels[entry.external] = url = await self._open(entry)
            machine.log(f"Default Tunnel started for {entry.name} ({entry.target}) - {url}")

    async def close_tunnels(self) -> None:
        for gate in self._gates.values():
            await gate.stop()
        self._gates.clear()
        self.tunnels.clear()

    async def _open(self, entry: Entry) -> str:
        if not self._machine.world.script.local_tunnels:
            return f"https://{tunnel_name()}.trycloudflare.com"
        outer = self._machine.instance.host_ports[entry.external]
        ray = {"Cf-Ray": "8d2f0c1b2a3c4d5e-FRA", "Cdn-Loop": "cloudflare"}
        door = Door(upstream=lambda: outer, auth=False, extra_headers=ray, raw=True)
        gate = Gate(door, host=self._machine.world.host, count=lambda _down, _up: None)
        bound: socket.socket = bound_socket(self._machine.world.host)
        await gate.start(bound)
        self._gates[entry.external] = gate
        return f"http://{self._machine.world.host}:{gate.port}"

    async def answer(self, request: Request) -> Response:
        path = request.path
        if path == "/get-all-quick-tunnels":
            return _json([self._tunnel(external, url) for external, url in self.tunnels.items()])
        if path.startswith("/get-existing-quick-tunnel/"):
            return self._existing(path.removeprefix("/get-existing-quick-tunnel/"))
        if path.startswith("/start-quick-tunnel/"):
            await self.open_tunnels()
            return self._existing(path.removeprefix("/start-quick-tunnel/"))
        if path.startswith("/get-direct-url/"):
            return self._direct(path.rpartition("/")[2])
        if path == "/get-applications":
            return _json({entry.name: self._application(entry) for entry in self._machine.entries})
        if path in ("/health", "/capabilities"):
            return _json({"status": "ok", "instance": self._machine.instance.id})
        return text_response(200 if path == "/" else 404, "<html>Instance Portal</html>", "text/html")

    def _tunnel(self, external: int, url: str) -> dict[str, str]:
        return {"targetUrl": f"http://localhost:{external}", "tunnelUrl": url}

    def _existing(self, target: str) -> Response:
        port = target.rstrip("/").rpartition(":")[2]
        url = self.tunnels.get(int(port)) if port.isdigit() else None
        return text_response(200, url) if url else text_response(404, "Tunnel not found")

    def _direct(self, port: str) -> Response:
        outer = self._machine.instance.host_ports.get(int(port)) if port.isdigit() else None
        return _json({"direct_url": f"http://{self._machine.world.host}:{outer}"}) if outer else text_response(404, "")

    def _application(self, entry: Entry) -> dict[str, Any]:
        return {"target_url": entry.target, "open_path": entry.path, "tunnel_url": self.tunnels.get(entry.external)}


def _json(data: Any) -> Response:
    return Response(200, json.dumps(data).encode(), {"content-type": "application/json"})
