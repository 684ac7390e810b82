"""What becomes of the machines that are there: kept, extended, drained or destroyed. Pure."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from django.utils.translation import gettext_noop

from gpu.services.fleet_situation import Situation
from gpu.services.fleet_values import (
    OVER,
    STARTING,
    Decision,
    Destroy,
    Drain,
    Extend,
    Keep,
    Machine,
    MachineKind,
    MachineState,
    usable,
)
from gpu.services.reasons import Reason
from i2v_site.sentences import Sentence

# A forecast that says "not soon" is believed after this much quiet: people send their videos in bursts.
QUIET_S = 120
# Why a machine goes, or gets no new work. Why one is kept stands nowhere, so that is no sentence.
LIFE_OVER = Reason(gettext_noop("its lifetime is over"))
LIFE_ENDS = Reason(gettext_noop("its lifetime ends at %(at)s"))
NOT_READY = Reason(gettext_noop("it was not ready after %(minutes)s minutes"))
TOO_MANY = Reason(gettext_noop("there are more machines than the maximum of %(most)s"))
OUT_OF_HOURS = Reason(gettext_noop("the hours in which machines run are over"))
TAKES_NONE = Reason(gettext_noop("videos wait, and it takes none of them"))
DRAINED = Reason(gettext_noop("it is drained: nothing renders on it"))
LEASE_ENDED = Reason(gettext_noop("its lease ended before its videos did"))
LONGEST = Reason(
    gettext_noop("it has had no work for %(minutes)s minutes; %(most)s minutes are the longest without work")
)
NO_WORK = Reason(gettext_noop("it has had no work for %(minutes)s minutes; %(because)s"))
# What stands behind its semicolon.
COST_AS_MUCH = Sentence(gettext_noop("by now it has cost as much as renting again, $%(usd)s"))
NEXT_IS_FAR = Sentence(
    gettext_noop("the next video for it is expected in %(minutes)s minutes, and renting again costs $%(usd)s")
)


def fates(situation: Situation) -> list[Decision]:
    """One decision for every machine that is not over, in the order in which they were given."""
    if not usable(*situation.policy.numbers()):
        return [_blind_fate(one, situation) for one in situation.machines if one.state not in OVER]
    own = {one.id: _own_fate(one, situation) for one in situation.machines if one.state not in OVER}
    kept = [one for one in situation.machines if isinstance(own.get(one.id), Keep | Extend) and in_service(one)]
    own |= {machine.id: drain for machine, drain in _too_many(kept, situation)}
    kept = [one for one in kept if isinstance(own[one.id], Keep | Extend)]
    own |= {machine.id: drain for machine, drain in _idle(kept, situation)}
    return list(own.values())


def in_service(machine: Machine) -> bool:
    """Whether it is rented and renders, or will."""
    return machine.kind == MachineKind.VASTAI and (machine.state in STARTING or machine.state == MachineState.READY)


def _own_fate(machine: Machine, situation: Situation) -> Decision:
    """What follows for this machine without a look at the others."""
    if machine.kind != MachineKind.VASTAI:
        return Keep(machine=machine, reason="its address was set by hand, so it is never touched")
    return _FATES.get(machine.state, _unknown)(machine, situation)


def _blind_fate(machine: Machine, situation: Situation) -> Decision:
    """With a policy that is not usable only what has begun goes on, and lifetimes end."""
    ours = machine.kind == MachineKind.VASTAI
    if ours and machine.max_until is not None and machine.max_until <= situation.now:
        return Destroy(machine=machine, reason=LIFE_OVER())
    if ours and machine.state == MachineState.DESTROYING:
        return _destroying(machine, situation)
    return Keep(machine=machine, reason="the policy holds a number that is not usable")


def _wall(machine: Machine, situation: Situation) -> str:
    """Why the machine goes at once, whatever is on it."""
    if machine.max_until is not None and machine.max_until <= situation.now:
        return LIFE_OVER()
    return situation.cap_passed() or situation.own_cap_passed(machine)


def _must_finish(machine: Machine, situation: Situation) -> str:
    """Why it gets no new work from now on."""
    return situation.must_drain() or situation.own_cap_near(machine)


def _destroying(machine: Machine, _: Situation) -> Decision:
    return Destroy(machine=machine, reason="asked again until vast.ai says that it is gone")


def _lost(machine: Machine, _: Situation) -> Decision:
    return Keep(machine=machine, reason="it is lost; it may cost money until its lease has ended it")


def _unknown(machine: Machine, _: Situation) -> Decision:
    return Keep(machine=machine, reason=f"nothing is concluded from the unknown state {machine.state!r}")


def _draining(machine: Machine, situation: Situation) -> Decision:
    wall = _wall(machine, situation)
    if wall:
        return Destroy(machine=machine, reason=wall)
    if machine.jobs_on_it <= 0:
        return Destroy(machine=machine, reason=DRAINED())
    if machine.lease_until is not None and machine.lease_until <= situation.now:
        return Destroy(machine=machine, reason=LEASE_ENDED())
    return Keep(machine=machine, reason=f"it is drained, {machine.jobs_on_it} videos finish first")


def _starting(machine: Machine, situation: Situation) -> Decision:
    reason = _wall(machine, situation) or _must_finish(machine, situation) or _out_of_hours(machine, situation)
    if reason:
        return Destroy(machine=machine, reason=reason)
    age_s = (situation.now - machine.created_at).total_seconds()
    deadline_s = max(situation.assumptions.boot_deadline_minutes * 60, 1.5 * (machine.boot_estimate_s or 0))
    # Whether a machine that was asked for exists at all is found out by looking for its label, not by waiting.
    if age_s > deadline_s and machine.state in (MachineState.BOOTING, MachineState.PROVISIONING):
        return Destroy(machine=machine, reason=NOT_READY(minutes=f"{age_s / 60:.0f}"))
    return _hold(machine, situation, f"it starts, ready in about {situation.boot_left_s(machine) / 60:.0f} minutes")


def _ready(machine: Machine, situation: Situation) -> Decision:
    wall = _wall(machine, situation)
    if wall:
        return Destroy(machine=machine, reason=wall)
    reason = _must_finish(machine, situation) or _lifetime_ends(machine, situation) or _out_of_hours(machine, situation)
    if reason:
        return _drain(machine, situation, reason)
    work = f"{machine.jobs_on_it} videos are on it" if machine.jobs_on_it > 0 else "it is ready for work"
    return _hold(machine, situation, work)


def _lifetime_ends(machine: Machine, situation: Situation) -> str:
    """Early enough for what is on it to finish."""
    if machine.max_until is None:
        return ""
    finish = timedelta(seconds=situation.assumptions.seats_per_machine * situation.seconds_on(machine) + 60)
    if machine.max_until - min(finish, situation.lease) > situation.now:
        return ""
    return LIFE_ENDS(at=f"{machine.max_until:%H:%M}")


def _out_of_hours(machine: Machine, situation: Situation) -> str:
    return "" if situation.may_run or _asked_for(machine, situation) else OUT_OF_HOURS()


def _asked_for(machine: Machine, situation: Situation) -> bool:
    return machine.extended_until is not None and machine.extended_until > situation.now


def _drain(machine: Machine, situation: Situation, reason: str) -> Drain:
    until = situation.now + situation.lease
    return Drain(machine=machine, until=min(until, machine.max_until or until), reason=reason)


def _hold(machine: Machine, situation: Situation, reason: str) -> Keep | Extend:
    """Keep; the lease is renewed when a quarter of it is gone, and never past the lifetime."""
    until = situation.now + situation.lease
    if machine.extended_until is not None:
        until = max(until, machine.extended_until)
    until = min(until, machine.max_until or until)
    if machine.lease_until is None or until - machine.lease_until > situation.lease / 4:
        return Extend(machine=machine, until=until, reason=reason)
    return Keep(machine=machine, reason=reason)


def _too_many(kept: list[Machine], situation: Situation) -> Iterable[tuple[Machine, Decision]]:
    """What is above the maximum goes, what loses least first: the youngest that start, the idle, the dearest."""
    excess = len(kept) - situation.policy.max_machines
    if situation.broken() or excess <= 0:
        return
    reason = TOO_MANY(most=situation.policy.max_machines)
    for machine in sorted(kept, key=_least_loss)[:excess]:
        if machine.state in STARTING:
            yield machine, Destroy(machine=machine, reason=reason)
        else:
            yield machine, _drain(machine, situation, reason)


def _least_loss(machine: Machine) -> tuple[bool, float, int, float, str]:
    starting = machine.state in STARTING
    age = -machine.created_at.timestamp() if starting else 0.0
    return (not starting, age, machine.jobs_on_it, -machine.burn_usd_per_hour, machine.id)


def _idle(kept: list[Machine], situation: Situation) -> Iterable[tuple[Machine, Decision]]:
    """Drains of machines without work that cost more than renting again. The cheapest are the last to go."""
    # One that still starts keeps nobody warm: what is ready stays until it is there.
    left = sum(one.state == MachineState.READY for one in kept)
    # The cheapest takes the next video, the second the one after it, and so on.
    idle = sorted(filter(_has_no_work, kept), key=lambda one: (one.burn_usd_per_hour, one.id))
    for place, machine in reversed(list(enumerate(idle, start=1))):
        reason = "" if left <= situation.warm() else _idle_too_long(machine, place, situation)
        if reason and not _asked_for(machine, situation):
            left -= 1
            yield machine, _drain(machine, situation, reason)


def _has_no_work(machine: Machine) -> bool:
    return machine.state == MachineState.READY and machine.jobs_on_it <= 0


def _idle_too_long(machine: Machine, place: int, situation: Situation) -> str:
    since = machine.idle_since or machine.ready_at
    idle_s = (situation.now - since).total_seconds() if since else 0.0
    ceiling_s = situation.policy.idle_minutes * 60
    if situation.demand.waiting > 0:
        # Work that waits is on its way here. A machine that takes none of it for so long is broken.
        return TAKES_NONE() if idle_s >= max(2 * ceiling_s, QUIET_S) else ""
    limit_s, because = _idle_limit(machine, place, situation)
    if idle_s < min(limit_s, ceiling_s):
        return ""
    if limit_s >= ceiling_s:
        return LONGEST(minutes=f"{idle_s / 60:.0f}", most=f"{situation.policy.idle_minutes:g}")
    return NO_WORK(minutes=f"{idle_s / 60:.0f}", because=because)


def _idle_limit(machine: Machine, place: int, situation: Situation) -> tuple[float, str]:
    """How long waiting for work is cheaper than renting again, and why."""
    burn = machine.burn_usd_per_hour
    again_usd = machine.usd_per_hour * situation.boot_s(machine) / 3600 + machine.traffic_usd
    if burn <= 0 or not usable(burn, again_usd):
        return float("inf"), ""
    even_s = again_usd / burn * 3600
    next_s = situation.demand.next_job_s
    if next_s is None or not usable(next_s):
        # Nobody knows the future: spending as much as a boot costs is never worse than twice the best.
        return even_s, COST_AS_MUCH(usd=f"{again_usd:.2f}")
    if next_s * place <= even_s:
        return float("inf"), ""
    return min(even_s, QUIET_S), NEXT_IS_FAR(minutes=f"{next_s * place / 60:.0f}", usd=f"{again_usd:.2f}")


_FATES: dict[str, Callable[[Machine, Situation], Decision]] = {
    **dict.fromkeys(STARTING, _starting),
    MachineState.READY: _ready,
    MachineState.DRAINING: _draining,
    MachineState.DESTROYING: _destroying,
    MachineState.LOST: _lost,
}
