"""What the simulated market remembers, and what can happen to a contract."""

import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.simulators.clock import Clock
from tests.simulators.swarmui.messages import Request, Response
from tests.simulators.vastai import offers
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.inventory import Ask, Inventory
from tests.simulators.vastai.ledger import Ledger
from tests.simulators.vastai.lifecycle import Lifecycle
from tests.simulators.vastai.script import Script

if TYPE_CHECKING:
    from tests.simulators.vastai.machine import Machine

FIRST_INSTANCE = 27000001
HOUR = 3600.0
QUEUED = "Required resources are currently unavailable, state change queued."

Agent = Callable[["Machine", float], Any]


class World:
    """One account on the market. Everything here happens on the event loop of the server."""

    def __init__(
        self, *, script: Script, clock: Clock, seed: int = 1, machines: int = 120, api_key: str = "sim-key"
    ) -> None:
        self.script, self.clock, self.api_key = script, clock, api_key
        self.inventory = Inventory(seed=seed, machines=machines)
        self.random = random.Random(f"market {seed}")
        self.ledger = Ledger(script.credit)
        self.instances: dict[int, Instance] = {}  # destroyed ones too
        self.calls: Counter[str] = Counter()
        self.journal: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self.logs: dict[str, list[Any]] = {}  # name of a log to [polls left, text]
        self.templates: list[dict[str, Any]] = []
        self.agent: Agent | None = None
        self.api: Callable[[Request], Awaitable[Response]]  # the API from inside, set by the simulation
        self.host, self.base_url = "127.0.0.1", ""
        self.next_id = FIRST_INSTANCE
        clock.accrue, clock.horizon = self.ledger.accrue, lambda: self.ledger.empty_at(clock.now)
        self.life = Lifecycle(self)
        clock.on_horizon = self.life.credit_used_up
        self.life.start_churn()

    @property
    def now(self) -> float:
        return self.clock.now

    def alive(self) -> list[Instance]:
        return [instance for instance in self.instances.values() if instance.alive]

    def readable(self, instance: Instance) -> bool:
        """Whether a read sees it: new ones and destroyed ones can lag behind."""
        if not instance.alive:
            return self.now < instance.listed_until
        return instance.hidden_reads <= 0 and self.now >= instance.visible_from

    def count_read(self) -> None:
        for instance in self.alive():
            instance.hidden_reads = max(0, instance.hidden_reads - 1)

    def offer(self, ask: Ask, *, disk_gb: float, bid: bool = False) -> dict[str, Any]:
        script = self.script
        return offers.offer(
            ask, now=self.now, disk_gb=disk_gb, bid=bid, factor=script.price_factor, max_days=script.max_rental_days
        )

    def rent(self, ask: Ask, *, disk_gb: float, stopped: bool = False, **wanted: Any) -> Instance:
        """Make the contract; the disk is billed from here on."""
        terms = self.offer(ask, disk_gb=disk_gb, bid=wanted.get("bid") is not None)
        instance = Instance(
            id=self.next_id,
            ask=ask,
            terms=terms,
            created_at=self.now,
            end_at=terms["end_date"],
            disk_gb=disk_gb,
            fate=self.script.take_fate(ask.machine.id),
            visible_from=self.now + self.script.create_lag_seconds,
            hidden_reads=self.script.create_lag_reads,
            **wanted,
        )
        self.next_id += 1 + self.random.randrange(9)
        self.instances[instance.id] = instance
        if stopped:
            self.life.never_started(instance)
        else:
            self.life.begin(instance)
        return instance

    def set_rates(self, instance: Instance) -> None:
        """$ per second of GPU and disk in the present state; traffic sets its own."""
        rates = self.ledger.meters[instance.id].rates
        status = instance.actual_status
        on_gpu = status in ("running", "frozen", "rebooting", "recycling")
        lost = instance.running_since is not None and status in ("unknown", None)
        on_gpu = on_gpu or (lost and self.script.unknown_bills_gpu)
        rates["gpu"] = instance.gpu_per_hour / HOUR if instance.alive and on_gpu else 0.0
        stores = instance.alive and status != "offline"
        factor = self.script.stopped_storage_factor if status in ("exited", "stopped") else 1.0
        rates["disk"] = instance.terms["storage_total_cost"] / HOUR * factor if stores else 0.0

    def traffic(self, instance: Instance, *, down: int = 0, up: int = 0) -> None:
        """Bytes that went through the machine's network just now."""
        meter = self.ledger.meters[instance.id]
        meter.add("bwd", down / 1e9 * instance.terms["inet_down_cost"], self.now)
        meter.add("bwu", up / 1e9 * instance.terms["inet_up_cost"], self.now)

    def burn_per_hour(self) -> float:
        return self.ledger.burn * HOUR

    def new_log(self, text: str) -> str:
        """The address where the text appears after a few looks."""
        name = secrets.token_hex(16)
        self.logs[name] = [self.script.log_real_polls, text]
        return f"{self.base_url}/instance_logs/{name}.log"

    def publish_template(self, **template: Any) -> str:
        """Add a template; answers its hash_id."""
        hash_id = template.setdefault("hash_id", secrets.token_hex(16))
        template.setdefault("id", 300000 + len(self.templates))
        self.templates.append(template)
        return str(hash_id)
