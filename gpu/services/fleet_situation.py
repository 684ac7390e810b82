"""What follows from the state of things before anything is decided: room under the caps, capacity, the wish to rent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

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
from gpu.services.reasons import Reason
from i2v_site.sentences import Sentence

# Why machines have to go, or to finish.
TODAY = Reason(gettext_noop("$%(spent)s were spent today, the hard cap is at $%(cap)s"))
TODAY_TIMES = Reason(gettext_noop("$%(spent)s were spent today, the hard cap is at %(factor)s times $%(cap)s"))
MONTH = Reason(gettext_noop("$%(spent)s were spent this month, the hard cap is at $%(cap)s"))
MONTH_TIMES = Reason(gettext_noop("$%(spent)s were spent this month, the hard cap is at %(factor)s times $%(cap)s"))
CREDIT_GONE = Reason(gettext_noop("the credit of $%(usd)s is nearly used up"))
OWN_CAP_PASSED = Reason(gettext_noop("it has cost $%(spent)s, and no machine may cost more than $%(cap)s"))
OWN_CAP_NEAR = Reason(gettext_noop("it has cost $%(spent)s of the $%(cap)s that a machine may cost"))
# What leaves no money for a machine.
DAY_CAP = Sentence(gettext_noop("the day's cap of $%(usd)s"))
MONTH_CAP = Sentence(gettext_noop("the month's cap of $%(usd)s"))
CREDIT_FLOOR = Sentence(gettext_noop("the credit to be left, $%(usd)s,"))
ONE_CAP = Sentence(gettext_noop("the cap of $%(usd)s a machine"))
# Why nothing is rented, whatever is on offer.
NOTHING_LEFT = Sentence(gettext_noop("%(limit)s leaves nothing for a machine"))
NO_NUMBER = Sentence(gettext_noop("no usable number in %(inputs)s"))
OTHER_HOURS = Sentence(gettext_noop("machines may run from %(start)s to %(end)s only"))


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
            gettext_noop("the policy"): self.policy.numbers(),
            gettext_noop("the demand"): self.demand.numbers(),
            gettext_noop("the spend"): self.spend.numbers(),
            # A credit below zero is a debt, not a fault.
            gettext_noop("the credit"): (abs(credit) if credit is not None else 0,),
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
            (TODAY, TODAY_TIMES, spend.today_usd, policy.daily_cap_usd),
            (MONTH, MONTH_TIMES, spend.month_usd, policy.monthly_cap_usd),
        )
        factor = policy.hard_cap_factor
        for at_cap, at_times, spent, cap in periods:
            if cap is not None and spent + ahead_usd >= cap * factor:
                words = at_cap if factor == 1 else at_times
                return words(spent=f"{spent:.2f}", cap=f"{cap:.2f}", factor=f"{factor:g}")
        return ""

    def must_drain(self) -> str:
        """Why all machines have to finish now, so that the money lasts until they have."""
        ahead = self.burn_usd_until_drained()
        credit = self.spend.credit_usd
        if credit is not None and credit <= ahead:
            return CREDIT_GONE(usd=f"{credit:.2f}")
        return self.cap_passed(ahead)

    def own_cap_passed(self, machine: Machine) -> str:
        """Whether this machine has cost all that one machine may; empty when it has not."""
        cap = self.policy.machine_cap_usd
        if cap is None or machine.spent_usd < cap:
            return ""
        return OWN_CAP_PASSED(spent=f"{machine.spent_usd:.2f}", cap=f"{cap:.2f}")

    def own_cap_near(self, machine: Machine) -> str:
        """Whether it has to finish now to stay below its own cap: at the soft limit, or when a drain takes the rest."""
        cap = self.policy.machine_cap_usd
        if cap is None:
            return ""
        drained = machine.spent_usd + machine.burn_usd_per_hour * self.policy.lease_minutes / 60
        if machine.spent_usd * 100 < cap * self.policy.soft_cap_percent and drained < cap:
            return ""
        return OWN_CAP_NEAR(spent=f"{machine.spent_usd:.2f}", cap=f"{cap:.2f}")

    def room_usd(self) -> tuple[float, str]:
        """What new machines may cost together, and which limit says so."""
        policy, spend = self.policy, self.spend
        day, month = policy.daily_cap_usd, policy.monthly_cap_usd
        cloud = min(spend.cloud_reserved_usd, spend.reserved_usd)
        # Machines need what their drains burn, even where less is promised to them: what is rented into that money
        # would have to go at the next look, and the one that is rented instead as well.
        machines = max(spend.reserved_usd - cloud, self.burn_usd_until_drained())
        limits = [(day - spend.today_usd - machines - cloud, DAY_CAP(usd=f"{day:.2f}"))]
        if month is not None:
            limits.append((month - spend.month_usd - machines - cloud, MONTH_CAP(usd=f"{month:.2f}")))
        if spend.credit_usd is not None:
            # What is promised to the cloud is not paid with the credit at vast.ai.
            left = spend.credit_usd - policy.min_credit_usd - machines
            limits.append((left, CREDIT_FLOOR(usd=f"{policy.min_credit_usd:.2f}")))
        return min(limits)

    def room_of_one(self, room_usd: float, limit: str) -> tuple[float, str]:
        """What one of them may cost, and which limit says so."""
        cap = self.policy.machine_cap_usd
        return (cap, ONE_CAP(usd=f"{cap:.2f}")) if cap is not None and cap < room_usd else (room_usd, limit)

    def why_not_rent(self) -> str:
        """What forbids renting, whatever the offers; empty when nothing does."""
        broken = self.broken()
        if broken:
            return NO_NUMBER(inputs=broken)
        if not self.policy.renting:
            return gettext_noop("renting is off")
        if not self.may_run:
            return OTHER_HOURS(start=self.policy.schedule.on_from, end=self.policy.schedule.off_at)
        if self.spend.credit_usd is None and self.policy.min_credit_usd > 0:
            return gettext_noop("the credit at vast.ai is unknown")
        room, name = self.room_of_one(*self.room_usd())
        return "" if room > 0 else NOTHING_LEFT(limit=name)

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
