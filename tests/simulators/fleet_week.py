"""A week of the fleet in simulated time: machines that boot, fail, render and are paid for, under any control."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gpu.services.fleet_values import (
    Assumptions,
    Decision,
    Demand,
    Destroy,
    Drain,
    Extend,
    HostMemory,
    Machine,
    MachineState,
    MarketOffer,
    Rent,
    Spend,
)
from tests.simulators.fleet_market import HOUR_S, WEEK_S, Host, Video, market, videos

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
MEAN_LIFE_H = 150.0  # of a machine, before it dies for no reason
SEEN_DEAD_AFTER_S = 60.0
GIVES_UP_AFTER_S = 30 * HOUR_S  # past the week, so that everything that was asked for is rendered


@dataclass(slots=True)
class Rented:
    """A machine of the simulation: the row that decisions see, and what really happens to it."""

    row: Machine
    host: Host
    created_s: float
    running_s: float  # the container runs, and the GPU is billed
    ready_s: float | None  # None: it never gets there
    dies_s: float
    queue: deque[tuple[int, Video]] = field(default_factory=deque)
    ended_s: float | None = None
    rendered: int = 0
    rendered_s: float = 0.0

    def usd(self) -> float:
        """The bill, as section 8.2 writes it."""
        end = self.ended_s if self.ended_s is not None else WEEK_S
        offer, hours = self.host.offer, max(end - self.running_s, 0) / HOUR_S
        down_gb = Assumptions().download_gb if self.ready_s else Assumptions().image_gb
        return (
            hours * (offer.dph_base or 0)
            + (end - self.created_s) / HOUR_S * self.row.storage_usd_per_hour
            + down_gb * (offer.inet_down_cost or 0)
            + self.rendered * Assumptions().upload_gb_per_video * (offer.inet_up_cost or 0)
        )


Control = Callable[["Week"], Sequence[Decision]]


class Week:
    """Runs a control against people and a market; afterwards `waits` and `machines` tell what it was like."""

    def __init__(self, seed: int, control: Control, *, seats: int = 2) -> None:
        self.control, self.seats = control, seats
        self.people, self.hosts = videos(seed), market(seed)
        self.dice = random.Random(f"luck-{seed}")
        self.now_s = 0.0
        self.waiting: deque[tuple[int, Video]] = deque()
        self.machines: dict[str, Rented] = {}
        self.memory: dict[int, HostMemory] = {}
        self.submitted: list[datetime] = []
        self.waits: dict[int, float] = {}
        self.done = 0
        self.counts: list[tuple[float, int, int]] = []  # time, machines that cost money, waiting videos
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        # A host's slot is taken by others and comes back, by the hour.
        self._luck = [random.Random(f"slots-{seed}-{hour}").sample(range(48), 30) for hour in range(24 * 9)]

    @property
    def now(self) -> datetime:
        return MONDAY + timedelta(seconds=self.now_s)

    def run(self) -> "Week":
        for number, video in enumerate(self.people):
            self._at(video.at_s, lambda one=(number, video): self._submit(one))  # type: ignore[misc]  # bound now
        self._at(0.0, self._tick)
        while not self._over():
            self.now_s, _, act = heapq.heappop(self._events)
            act()
            self._hand_out()
            for decision in self.control(self):
                self._carry_out(decision)
            self.counts.append((self.now_s, len(self.alive()), len(self.waiting)))
        for one in self.alive():
            one.ended_s = self.now_s
        return self

    def alive(self) -> list[Rented]:
        return [one for one in self.machines.values() if one.ended_s is None]

    def offers(self) -> list[MarketOffer]:
        used = {one.row.machine_id for one in self.alive()}
        there = self._luck[int(self.now_s // HOUR_S)]
        return [self.hosts[n].offer for n in there if self.hosts[n].offer.machine_id not in used]

    def demand(self, next_job_s: float | None = None) -> Demand:
        oldest = self.now_s - self.waiting[0][1].at_s if self.waiting else 0.0
        running = sum(len(one.queue) for one in self.alive())
        return Demand(waiting=len(self.waiting), running=running, oldest_wait_s=oldest, next_job_s=next_job_s)

    def spend(self) -> Spend:
        """The bill without caps in the way: what is compared is time and money, not refusals."""
        return Spend(credit_usd=1e6)

    def usd(self) -> float:
        return sum(one.usd() for one in self.machines.values())

    def _at(self, when_s: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when_s, self._number, act))

    def _tick(self) -> None:
        self._at(self.now_s + 60, self._tick)

    def _over(self) -> bool:
        """At the end of the week, or later if something is still to be rendered."""
        late = self.now_s >= WEEK_S + GIVES_UP_AFTER_S
        return late or (self.now_s >= WEEK_S and self.done == len(self.people))

    def _submit(self, one: tuple[int, Video]) -> None:
        self.submitted.append(self.now)
        self.waiting.append(one)

    def _hand_out(self) -> None:
        """The oldest video to the machine with the fewest."""
        while self.waiting:
            free = [one for one in self.alive() if one.row.state == "ready" and len(one.queue) < self.seats]
            if not free:
                return
            machine = min(free, key=lambda one: (len(one.queue), one.row.id))
            machine.queue.append(self.waiting.popleft())
            self._refresh(machine)
            if len(machine.queue) == 1:
                self._start(machine)

    def _start(self, machine: Rented) -> None:
        number, video = machine.queue[0]
        self.waits[number] = self.now_s - video.at_s
        seconds = machine.host.seconds_per_video * video.work
        self._at(self.now_s + seconds, lambda: self._finish(machine, number, seconds))

    def _finish(self, machine: Rented, number: int, seconds: float) -> None:
        if machine.ended_s is not None or not machine.queue or machine.queue[0][0] != number:
            return
        machine.queue.popleft()
        machine.rendered += 1
        machine.rendered_s += seconds
        self.done += 1
        self._refresh(machine)
        if machine.queue:
            self._start(machine)

    def _refresh(self, machine: Rented) -> None:
        idle = None if machine.queue else self.now
        machine.row = replace(machine.row, jobs_on_it=len(machine.queue), idle_since=idle)

    def _carry_out(self, decision: Decision) -> None:
        if isinstance(decision, Rent):
            self._rent(decision)
        elif isinstance(decision, Extend):
            one = self.machines[decision.machine.id]
            one.row = replace(one.row, lease_until=decision.until)
        elif isinstance(decision, Drain):
            one = self.machines[decision.machine.id]
            one.row = replace(one.row, state=MachineState.DRAINING, lease_until=decision.until)
        elif isinstance(decision, Destroy):
            one = self.machines[decision.machine.id]
            if one.row.state in (MachineState.BOOTING, MachineState.PROVISIONING):
                self._remember_failure(one)
            self._end(one)

    def _rent(self, rent: Rent) -> None:
        host = next(one for one in self.hosts if one.offer.id == rent.offer.id)
        name = f"m{len(self.machines):04d}"
        row = Machine(
            id=name, state=MachineState.BOOTING, created_at=self.now, machine_id=host.offer.machine_id,
            lease_until=self.now + timedelta(minutes=10), max_until=self.now + rent.lifetime,
            usd_per_hour=rent.usd_per_hour, storage_usd_per_hour=rent.storage_usd_per_hour,
            traffic_usd=rent.traffic_usd, seconds_per_video=rent.seconds_per_video,
            boot_estimate_s=rent.boot_estimate_s,
        )  # fmt: skip
        pull_s = Assumptions().image_gb * 8000 / host.mbps
        boots = self.dice.random() >= host.failure_rate
        ready_s = self.now_s + pull_s + Assumptions().models_gb * 8000 / host.mbps + host.start_s if boots else None
        dies_s = self.now_s + self.dice.expovariate(1 / MEAN_LIFE_H) * HOUR_S
        machine = Rented(row, host, self.now_s, self.now_s + pull_s, ready_s, dies_s)
        self.machines[name] = machine
        if ready_s is not None:
            self._at(ready_s, lambda: self._ready(machine))
            self._at(max(dies_s, ready_s) + SEEN_DEAD_AFTER_S, lambda: self._die(machine))

    def _ready(self, machine: Rented) -> None:
        if machine.ended_s is not None:
            return
        machine.row = replace(machine.row, state=MachineState.READY, ready_at=self.now, idle_since=self.now)
        seen = self._seen(machine)
        self.memory[seen.machine_id] = replace(
            seen,
            boots=seen.boots + 1,
            boot_seconds=self.now_s - machine.created_s,
            download_mbps=machine.host.mbps,
            seconds_per_video=machine.host.seconds_per_video,
        )

    def _die(self, machine: Rented) -> None:
        if machine.ended_s is None:
            self._remember_failure(machine)
            self._end(machine)

    def _end(self, machine: Rented) -> None:
        if machine.ended_s is None:
            self.waiting.extendleft(reversed(machine.queue))
            machine.queue.clear()
            machine.ended_s = self.now_s

    def _seen(self, machine: Rented) -> HostMemory:
        return self.memory.get(machine.host.offer.machine_id, HostMemory(machine_id=machine.host.offer.machine_id))

    def _remember_failure(self, machine: Rented) -> None:
        seen = self._seen(machine)
        until = self.now + timedelta(hours=1)
        self.memory[seen.machine_id] = replace(seen, failures=seen.failures + 1, avoid_until=until)


def rows(machines: Iterable[Rented]) -> list[Machine]:
    return [one.row for one in machines]
