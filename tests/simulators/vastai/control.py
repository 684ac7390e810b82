"""The observer's door: /sim/state, /sim/advance, /sim/script, /sim/ledger, /sim/instances, ...

POST /sim/advance   {"seconds": 60}                      let time pass
POST /sim/clock     {"scale": 60}                        run by itself, so many times faster; 0: stand still
POST /sim/script    {"credit": 5, "fail_next": {...}}    knobs of `script.Script`; answers all of them
POST /sim/fail      {"endpoint": "create", "faults": ["504_after"]}
POST /sim/strike    {"id": 27000001, "fate": "offline"}  see `Controller.strike`
POST /sim/offer     {"id": 31000013, "gone": true} or {"machine_id": 20001, "taken": true}
POST /sim/credit    {"amount": 10}                       top up
GET  /sim/state     counts, credit, burn rate; /sim/ledger, /sim/instances, /sim/calls: the details
"""

from collections import Counter
from typing import Any

from tests.simulators.shell import ClockedDoors, Door
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.inventory import STRANGER
from tests.simulators.vastai.world import World


class Controller(ClockedDoors[World]):
    def doors(self) -> dict[str, Door]:
        return super().doors() | {
            "strike": self.strike,
            "offer": self.offer,
            "ledger": self.ledger,
            "instances": self.instances,
        }

    async def state(self, _: dict[str, Any]) -> JsonObject:
        await self._world.clock.settle()
        world = self._world
        alive = world.alive()
        return {
            "now": world.now,
            "scale": world.clock.scale,
            "credit": world.ledger.credit,
            "paid": world.ledger.paid,
            "burn_per_hour": world.burn_per_hour(),
            "peak_burn_per_hour": world.ledger.peak_burn * 3600,
            "instances": len(alive),
            "rented": len(world.instances),
            "by_status": dict(Counter(one.actual_status or "null" for one in alive)),
            "labels": dict(Counter(one.label or "" for one in alive)),
            "offers": sum(ask.on_market for ask in world.inventory.asks.values()),
            "calls": dict(world.calls),
            "violations": list(world.violations),
        }

    async def fail(self, options: dict[str, Any]) -> JsonObject:
        self._world.script.add_faults(str(options["endpoint"]), *options["faults"])
        return {"fail_next": self._world.script.fail_next}

    async def strike(self, options: dict[str, Any]) -> JsonObject:
        """Let something happen to one machine now."""
        await self._world.clock.settle()
        instance = self._world.instances[int(options["id"])]
        await self._strike(instance, str(options["fate"]))
        await self._world.clock.settle()
        return described(instance)

    async def _strike(self, instance: Instance, fate: str) -> None:
        life = self._world.life
        if fate in ("offline", "unknown"):
            life.lose(instance, fate)
        elif fate == "lost_status":
            life.lose(instance, None)
        elif fate in ("exited", "stopped"):
            life.halt(instance, fate)
        elif instance.machine is not None and fate in ("refused", "dead_network", "app_never", "ok"):
            await instance.machine.strike(fate)
        else:
            raise ValueError(f"{fate} cannot happen to this machine now")

    async def offer(self, options: dict[str, Any]) -> JsonObject:
        """Take an offer off the market, or let a stranger take (or return) a whole machine."""
        inventory = self._world.inventory
        if "id" in options:
            inventory.asks[int(options["id"])].gone = bool(options.get("gone", True))
        else:
            machine = inventory.machines[int(options["machine_id"])]
            machine.let_go(STRANGER)
            if options.get("taken", True):
                free = [gpu for gpu in range(machine.num_gpus) if gpu not in machine.taken]
                machine.hold(tuple(free), STRANGER)
            else:
                self._world.life.retry_queued()
        return {"success": True}

    async def credit(self, options: dict[str, Any]) -> JsonObject:
        await self._world.clock.settle()
        self._world.ledger.grant(float(options["amount"]))
        return {"credit": self._world.ledger.credit}

    async def ledger(self, _: dict[str, Any]) -> JsonObject:
        """What every contract has cost so far, by item."""
        await self._world.clock.settle()
        ledger = self._world.ledger
        rows = [
            {"id": number, "label": self._world.instances[number].label, "total": sum(meter.totals().values())}
            | meter.totals()
            | {"burn_per_hour": meter.burn * 3600}
            for number, meter in ledger.meters.items()
        ]
        return {"granted": ledger.granted, "paid": ledger.paid, "credit": ledger.credit, "contracts": rows}

    async def instances(self, _: dict[str, Any]) -> JsonObject:
        await self._world.clock.settle()
        return {"instances": [described(instance) for instance in self._world.instances.values()]}


def described(instance: Instance) -> JsonObject:
    """What the observer sees of a contract, destroyed ones too."""
    return {
        "id": instance.id,
        "label": instance.label,
        "machine_id": instance.ask.machine.id,
        "offer_id": instance.ask.id,
        "alive": instance.alive,
        "fate": instance.fate,
        "actual_status": instance.actual_status,
        "intended_status": instance.intended_status,
        "phase": instance.machine.phase if instance.machine else "",
        "created_at": instance.created_at,
        "destroyed_at": instance.destroyed_at,
        "destroyed_by": instance.destroyed_by,
        "env": instance.env,
        "onstart": instance.onstart,
        "image": instance.image,
        "ports": instance.host_ports,
        "api_key": instance.api_key,
        "history": instance.history,
        "log": [text for _, text in instance.log],
    }
