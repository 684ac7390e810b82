"""The observer's door, the same on every port: /sim/state, /sim/requests, /sim/script, /sim/fail, ...

GET  /sim/state                                     counts, money, calls
GET  /sim/requests                                  every accepted request: input, fates, price, what was billed
GET  /sim/calls, /sim/files                         the journal of calls; the files on the media host
POST /sim/advance   {"seconds": 60}                 let time pass
POST /sim/clock     {"scale": 60}                   run by itself, so many times faster; 0: stand still
POST /sim/script    {"credit": 5, "fate_next": ["fail_input"]}   knobs of `script.Script`; answers all of them
POST /sim/fail      {"call": "submit", "faults": ["504_after"]}
POST /sim/credit    {"amount": 10}                  top up
POST /sim/finish    {"request_id": ...}             end a stuck request now, with its video
POST /sim/webhook   {"request_id": ...}             send its webhook once more
POST /sim/keys      {}                              sign with a new key from now on
"""

from collections import Counter
from decimal import Decimal
from typing import Any

from tests.simulators.fal import storage
from tests.simulators.fal.world import World
from tests.simulators.shell import ClockedDoors, Door
from tests.simulators.swarmui.messages import JsonObject


class Controller(ClockedDoors[World]):
    def doors(self) -> dict[str, Door]:
        return super().doors() | {
            "requests": self.requests,
            "files": self.files,
            "finish": self.finish,
            "webhook": self.webhook,
            "keys": self.keys,
        }

    async def state(self, _: dict[str, Any]) -> JsonObject:
        await self._world.clock.settle()
        world = self._world
        jobs = list(world.book)
        return {
            "now": world.now,
            "scale": world.clock.scale,
            "balance": str(world.book.balance),
            "billed": str(world.book.billed),
            "accepted": len(jobs),
            "paid": sum(job.billed > 0 for job in jobs),
            "by_status": dict(Counter(job.status for job in jobs)),
            "by_code": dict(Counter(str(job.code) for job in jobs if job.over)),
            "webhooks": sum(len(job.posts) for job in jobs),
            "webhooks_under_way": world.postman.under_way,
            "calls": dict(world.calls),
            "violations": list(world.violations),
        }

    async def requests(self, _: dict[str, Any]) -> JsonObject:
        await self._world.clock.settle()
        return {"requests": [job.described() for job in self._world.book]}

    async def files(self, _: dict[str, Any]) -> JsonObject:
        return {"files": storage.described(self._world)}

    async def script(self, changes: dict[str, Any]) -> JsonObject:
        knobs = await super().script(changes)
        if "credit" in changes:
            self._world.book.granted = Decimal(str(changes["credit"]))
        return knobs

    async def fail(self, options: dict[str, Any]) -> JsonObject:
        self._world.script.add_faults(str(options["call"]), *options["faults"])
        return {"fail_next": self._world.script.fail_next}

    async def credit(self, options: dict[str, Any]) -> JsonObject:
        self._world.book.granted += Decimal(str(options["amount"]))
        return {"balance": str(self._world.book.balance)}

    async def finish(self, options: dict[str, Any]) -> JsonObject:
        await self._world.finish_now(self._world.book.jobs[str(options["request_id"])])
        return await self.requests({})

    async def webhook(self, options: dict[str, Any]) -> JsonObject:
        self._world.postman.announce(self._world.book.jobs[str(options["request_id"])])
        return await self.state({})

    async def keys(self, _: dict[str, Any]) -> JsonObject:
        self._world.postman.rotate()
        return self._world.postman.jwks()
