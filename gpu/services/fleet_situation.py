"""What follows from the state of things before anything is decided: room under the caps, capacity, the wish to rent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpu.services.fleet_values import (
    OVER,
    STARTING,
    Assumptions,
    Demand,
    Machine,
    MachineKind,
    MachineState,
    Policy,
    Spend,
    usable,
)


@dataclass(frozen=True, slots=True)
class Server:
    """Something that renders: when it is free for new work, and how long a waiting video takes on it."""

    free_in_s: float
    seconds_per_video: float


def clear_time_s(servers: Sequence[Server], videos: float) -> float:
    """Seconds until `videos` are rendered when every server takes its share; infinite without a server."""
    rate = work = 0.0
    answer = float("inf")
    for server in sorted(servers, key=lambda one: one.free_in_s):
        if answer <= server.free_in_s:
            break
        rate += 1 / server.seconds_per_video
        work += server.free_in_s / server.seconds_per_video
        answer = (videos + work) / rate
    return answer


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision looks at, except the offers."""

    policy: Policy
    machines: Sequence[Machine]
    demand: Demand
    spend: Spend
    now: datetime
    assumptions: Assumptions

    def broken(self) -> str:
        """Which input is no usable number; nothing is rented on such."""
        credit = self.spend.credit_usd
        named = {
            "the policy": self.policy.numbers(),
            "the demand": self.demand.numbers(),
            "the spend": self.spend.numbers(),
            # A credit below zero is a debt, not a fault.
            "the credit": (abs(credit) if credit is not None else 0,),
        }
        named |= {f"machine {one.id}": one.numbers() for one in self.machines if one.state not in OVER}
        return ", ".join(name for name, numbers in named.items() if not usable(*numbers))

    @property
    def lease(self) -> timedelta:
        return timedelta(minutes=self.policy.lease_minutes)

    @property
    def may_run(self) -> bool:
        return self.policy.schedule.is_on(self.now)

    def rented(self) -> list[Machine]:
        """Every machine that may cost money: a lost one until its lease has ended it, an unknown state for good."""
        return [one for one in self.machines if one.kind == MachineKind.VASTAI and self._may_burn(one)]

    def _may_burn(self, machine: Machine) -> bool:
        if machine.state != MachineState.LOST:
            return machine.state not in OVER
        longest = machine.created_at + timedelta(minutes=self.policy.max_lifetime_minutes) + self.lease
        return (machine.lease_until or machine.max_until or longest) > self.now

    def floor(self) -> int:
        """How many machines are rented ahead of demand."""
        return min(self.policy.min_machines, self.policy.max_machines) if self.policy.renting and self.may_run else 0

    def warm(self) -> int:
        """How many stay without work."""
        keep_one = self.policy.keep_warm and self.policy.renting and self.may_run
        return max(self.floor(), min(int(keep_one), self.policy.max_machines))

    def burn_usd_until_drained(self) -> float:
        """What the machines cost while they are drained: a drain ends with the lease at the latest."""
        burns = [one.burn_usd_per_hour for one in self.rented() if usable(one.burn_usd_per_hour)]
        return sum(burns) * self.policy.lease_minutes / 60

    def cap_passed(self, ahead_usd: float = 0.0) -> str:
        """Which hard cap is reached when `ahead_usd` more is spent; empty when none is."""
        policy, spend = self.policy, self.spend
        periods = (
            ("today", spend.today_usd, policy.daily_cap_usd),
            ("this month", spend.month_usd, policy.monthly_cap_usd),
        )
        for period, spent, cap in periods:
            if cap is not None and spent + ahead_usd >= cap * policy.hard_cap_factor:
                times = f"{policy.hard_cap_factor:g} times " if policy.hard_cap_factor != 1 else ""
                return f"${spent:.2f} were spent {period}, the hard cap is at {times}${cap:.2f}"
        return ""

    def must_drain(self) -> str:
        """Why all machines have to finish now, so that the money lasts until they have."""
        ahead = self.burn_usd_until_drained()
        credit = self.spend.credit_usd
        if credit is not None and credit <= ahead:
            return f"the credit of ${credit:.2f} is nearly used up"
        return self.cap_passed(ahead)

    def own_cap_passed(self, machine: Machine) -> str:
        """Whether this machine has cost all that one machine may; empty when it has not."""
        cap = self.policy.machine_cap_usd
        if cap is None or machine.spent_usd < cap:
            return ""
        return f"it has cost ${machine.spent_usd:.2f}, and no machine may cost more than ${cap:.2f}"

    def own_cap_near(self, machine: Machine) -> str:
        """Whether it has to finish now to stay below its own cap: at the soft limit, or when a drain takes the rest."""
        cap = self.policy.machine_cap_usd
        if cap is None:
            return ""
        drained = machine.spent_usd + machine.burn_usd_per_hour * self.policy.lease_minutes / 60
        if machine.spent_usd * 100 < cap * self.policy.soft_cap_percent and drained < cap:
            return ""
        return f"it has cost ${machine.spent_usd:.2f} of the ${cap:.2f} that a machine may cost"

    def room_usd(self) -> tuple[float, str]:
        """What new machines may cost together, and which limit says so."""
        policy, spend = self.policy, self.spend
        day, month = policy.daily_cap_usd, policy.monthly_cap_usd
        limits = [(day - spend.today_usd - spend.reserved_usd, f"the day's cap of ${day:.2f}")]
        if month is not None:
            limits.append((month - spend.month_usd - spend.reserved_usd, f"the month's cap of ${month:.2f}"))
        if spend.credit_usd is not None:
            # What is promised to the cloud is not paid with the credit at vast.ai.
            promised = spend.reserved_usd - min(spend.cloud_reserved_usd, spend.reserved_usd)
            left = spend.credit_usd - policy.min_credit_usd - promised
            limits.append((left, f"the credit to be left, ${policy.min_credit_usd:.2f},"))
        return min(limits)

    def room_of_one(self, room_usd: float, limit: str) -> tuple[float, str]:
        """What one of them may cost, and which limit says so."""
        cap = self.policy.machine_cap_usd
        return (cap, f"the cap of ${cap:.2f} a machine") if cap is not None and cap < room_usd else (room_usd, limit)

    def why_not_rent(self) -> str:
        """What forbids renting, whatever the offers; empty when nothing does."""
        broken = self.broken()
        if broken:
            return f"no usable number in {broken}"
        if not self.policy.renting:
            return "renting is off"
        if not self.may_run:
            return f"machines may run from {self.policy.schedule.on_from} to {self.policy.schedule.off_at} only"
        if self.spend.credit_usd is None and self.policy.min_credit_usd > 0:
            return "the credit at vast.ai is unknown"
        room, name = self.room_of_one(*self.room_usd())
        return "" if room > 0 else f"{name} leaves nothing for a machine"

    def work_scale(self) -> float:
        """How much longer a waiting video takes than the one that the assumptions speak of."""
        assumed = self.assumptions.seconds_per_video
        return _or(self.demand.seconds_per_video, assumed) / assumed

    def seconds_on(self, machine: Machine) -> float:
        return max(_or(machine.seconds_per_video, self.assumptions.seconds_per_video) * self.work_scale(), 1.0)

    def boot_s(self, machine: Machine) -> float:
        return _or(machine.boot_estimate_s, self.assumptions.boot_deadline_minutes * 30)

    def boot_left_s(self, machine: Machine) -> float:
        """An overdue boot is never just about to end: a fifth of the estimate is always left."""
        boot_s = self.boot_s(machine)
        return max(boot_s - max((self.now - machine.created_at).total_seconds(), 0), boot_s / 5)

    def server(self, machine: Machine) -> Server:
        seconds = self.seconds_on(machine)
        free_in_s = self.boot_left_s(machine) if machine.state in STARTING else machine.jobs_on_it * seconds
        return Server(free_in_s, seconds)


def _or(number: float | None, assumed: float) -> float:
    return number if number and usable(number) else assumed
