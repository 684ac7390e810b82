"""The observer's door: /sim/state, /sim/renders, /sim/script, /sim/restart, /sim/backend, /sim/models.

POST /sim/script   {"seconds": 3, "fail_next": ["oom"], ...}   knobs of `script.Script`; answers all of them
GET  /sim/state                                                counts, GPU seconds, traffic
GET  /sim/renders                                              every render with its parameters and times
POST /sim/restart  {"keep_sessions": true, "down_seconds": 0}  new server_id, jobs gone; counts stay
POST /sim/backend  {"id": 0, "status": "errored"}              running, loading, errored, idle, disabled, waiting
POST /sim/models   {"add": {"name": ..., "subtype": ..., "architecture": ...}} or {"remove": name}
"""

from typing import Any

from tests.simulators.shell import Door, Doors
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.server import Server
from tests.simulators.swarmui.world import World


class Controller(Doors):
    def __init__(self, world: World) -> None:
        self._world = world
        self.server: Server

    def doors(self) -> dict[str, Door]:
        return {
            "state": self.state,
            "renders": self.renders,
            "script": self.script,
            "control": self.script,
            "restart": self.restart,
            "backend": self.backend,
            "models": self.models,
        }

    async def state(self, _: dict[str, Any]) -> JsonObject:
        world = self._world
        return world.ledger.summary() | {
            "gpus": [backend.gpu_use() for backend in world.backends.backends],
            "backends": {str(backend.id): backend.status for backend in world.backends.backends},
            "sessions": len(world.sessions),
            "sockets_open": len(world.sockets),
            "calls": dict(world.calls),
            "bytes_in": world.bytes_in,
            "bytes_out": world.bytes_out,
            "server_id": world.server_id,
        }

    async def renders(self, _: dict[str, Any]) -> JsonObject:
        return {"renders": [render.as_dict() for render in self._world.ledger.renders]}

    async def script(self, changes: dict[str, Any]) -> JsonObject:
        self._world.script.update(changes)
        return self._world.script.as_dict()

    async def restart(self, options: dict[str, Any]) -> JsonObject:
        """As if the process had been restarted; on the same port, after `down_seconds`."""
        self._world.spawn_forever(
            self.restart_now(
                keep_sessions=bool(options.get("keep_sessions", True)),
                down_seconds=float(options.get("down_seconds", 0)),
            )
        )
        return {"restarting": True}

    async def restart_now(self, *, keep_sessions: bool, down_seconds: float) -> None:
        self.server.pause()
        self._world.forget_work(keep_sessions=keep_sessions)
        await self._world.sleep(down_seconds)
        self._world.backends.boot()
        await self.server.resume()

    async def backend(self, options: dict[str, Any]) -> JsonObject:
        backend = self._world.backends.by_id(str(options["id"]))
        if backend is None:
            raise ValueError("no such backend")
        self._world.backends.set_status(backend, str(options["status"]))
        return self._world.backends.status()

    async def models(self, options: dict[str, Any]) -> JsonObject:
        if "add" in options:
            self._world.catalogue.add(**options["add"])
        if "remove" in options:
            self._world.catalogue.remove(options["remove"])
        return {"models": [model.name for model in self._world.catalogue.models]}
