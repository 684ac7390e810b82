"""The dead-man switch on a machine (what gpu/machine/switch.py does there), on the simulator's clock.

A second writing of the protocol on purpose: `POST /lease` with `label:issued:milliseconds:hmac`.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING

from tests.simulators.swarmui.messages import Request, Response, json_response
from tests.simulators.vastai.doors import LocalApp

if TYPE_CHECKING:
    from tests.simulators.vastai.machine import Machine

DEFAULT_SILENCE_S = "600"


class DeadManSwitch:
    """An agent for `VastSimulator.use_agent`: a machine that hears nothing, or is too old, destroys itself with its own
    key. Machines whose env has no I2V_LEASE_KEY are left alone. `disk` keeps the lease over a restart.
    """

    def __init__(self, *, port: int = 7870, ttl_env: str = "I2V_SILENCE_S", max_age_env: str = "I2V_MAX_AGE_S") -> None:
        self._port, self._ttl_env, self._max_age_env = port, ttl_env, max_age_env

    async def __call__(self, machine: "Machine", now: float) -> None:
        if "I2V_LEASE_KEY" not in machine.env:
            return
        disk = machine.disk
        if "born" not in disk:
            disk |= {"born": machine.booted_at, "last": 0, "until": machine.booted_at + self._silence(machine)}
        port = int(machine.env.get("I2V_LEASE_PORT", self._port))
        machine.handlers.setdefault(port, self._listener(machine))
        if self._remaining(machine, now) <= 0:
            old = now - disk["born"] >= self._max_age(machine)
            machine.tell(switch="destroying", reason="age" if old else "silence")
            answer = await machine.api("DELETE", f"/api/v0/instances/{machine.instance.id}/")
            machine.tell(switch="asked", result=answer.status)

    def _silence(self, machine: "Machine") -> float:
        return float(machine.env.get(self._ttl_env, DEFAULT_SILENCE_S))

    def _max_age(self, machine: "Machine") -> float:
        return float(machine.env.get(self._max_age_env, "inf"))

    def _remaining(self, machine: "Machine", now: float) -> float:
        until, born = machine.disk["until"], machine.disk["born"]
        return float(min(until - now, self._max_age(machine) - (now - born)))

    def _listener(self, machine: "Machine") -> LocalApp:
        async def answer(request: Request) -> Response:
            if (request.method, request.path) != ("POST", "/lease"):
                return json_response(404, {})
            return self._renewed(machine, request.body)

        return answer

    def _renewed(self, machine: "Machine", body: bytes) -> Response:
        text, _, signature = body.rpartition(b":")
        good = hmac.new(bytes.fromhex(machine.env["I2V_LEASE_KEY"]), text, hashlib.sha256).hexdigest().encode()
        label, issued, milliseconds = [*text.decode("latin-1").rsplit(":", 2), "0", "0"][:3]
        signed = hmac.compare_digest(good, signature.strip()) and label == machine.env.get("I2V_LABEL")
        if not signed or int(milliseconds) <= 0:
            return json_response(403, {})
        disk, now = machine.disk, machine.world.now
        if int(issued) <= disk["last"]:
            return json_response(409, {"last": disk["last"]})
        disk["last"], disk["until"] = int(issued), now + min(int(milliseconds) / 1000, self._silence(machine))
        facts = {"remaining_s": self._remaining(machine, now), "age_s": now - disk["born"]}
        return json_response(200, facts | {"progress": disk.get("progress")})
