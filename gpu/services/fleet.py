"""What the fleet should do now: state, demand and offers in, a list of decisions with reasons out. Pure.

`reconcile` carries the decisions out. Deciding twice on the same state says the same, and deciding again after the
decisions were carried out adds nothing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from gpu.services import offers as offering
from gpu.services.fleet_machines import fates, in_service
from gpu.services.fleet_situation import Server, Situation, clear_time_s
from gpu.services.fleet_values import (
    Assumptions,
    Decision,
    Demand,
    Extend,
    HostMemory,
    Keep,
    Machine,
    MachineKind,
    MachineState,
    Offer,
    Policy,
    Rent,
    Spend,
    Wait,
)
from gpu.services.offers import ScoredOffer
from i2v_site.sentences import Sentence

DEFAULTS = Assumptions()
# Another machine has to render at least this many times as long as it boots.
PAYBACK = 1.0
# A lifetime cut short by a cap still has to hold the boot twice and this much on top.
LEAST_WORK_S = 900
# Why nothing is rented.
FULL = Sentence(gettext_noop("no more than %(most)s machines may run at a time"))
TOO_LITTLE = Sentence(gettext_noop("%(limit)s leaves $%(left)s, too little for a machine at $%(usd)s an hour"))
NONE_FITS = Sentence(gettext_noop("none of %(count)s offers fits"))
NONE_FITS_BECAUSE = Sentence(gettext_noop("none of %(count)s offers fits, most often because %(reason)s"))
DONE_SOON = Sentence(
    gettext_noop(
        "%(waiting)s waiting videos are done in %(minutes)s minutes as it is, "
        "another machine takes %(boot)s minutes to boot"
    )
)
COMPANY = Sentence(gettext_noop("the first video waits up to %(minutes)s minutes for company"))
# Why something is.
WANTED = Sentence(gettext_noop("at least %(least)s machines are wanted"))
ONE_WAITS = gettext_noop("1 video waits and no machine runs")
MANY_WAIT = Sentence(gettext_noop("%(waiting)s videos wait and no machine runs"))
FASTER = Sentence(
    gettext_noop(
        "%(waiting)s waiting videos take %(minutes)s minutes, %(less)s with it; "
        "another machine takes %(boot)s minutes to boot"
    )
)
CHEAPEST = Sentence(gettext_noop("%(why)s. %(gpu)s at $%(usd)s a video is the cheapest."))
CHEAPEST_KNOWN = Sentence(
    gettext_noop("%(why)s. %(gpu)s at $%(usd)s a video is the cheapest, with what is remembered of the host.")
)


def decide(
    policy: Policy,
    machines: Sequence[Machine],
    demand: Demand,
    offers: Iterable[Offer],
    hosts: Mapping[int, HostMemory],
    spend: Spend,
    now: datetime,
    assumptions: Assumptions = DEFAULTS,
) -> list[Decision]:
    """A decision for each machine that is not over, then what to rent, or why nothing is although it is wanted."""
    situation = Situation(policy, machines, demand, spend, now, assumptions)
    decisions = fates(situation)
    kept = [one.machine for one in decisions if isinstance(one, Keep | Extend)]
    return decisions + _rents(situation, kept, offers, hosts)


def _rents(
    situation: Situation, kept: list[Machine], offers: Iterable[Offer], hosts: Mapping[int, HostMemory]
) -> list[Decision]:
    serving = [one for one in kept if in_service(one) or _is_manual_and_ready(one)]
    lacking = situation.floor() - sum(map(in_service, kept))
    blocked = situation.why_not_rent()
    if blocked and (situation.broken() or situation.demand.waiting > 0 or situation.policy.min_machines > 0):
        return [Wait(reason=blocked)]
    if blocked or (situation.demand.waiting <= 0 and lacking <= 0):
        return []
    ranked = offering.rank(offers, situation.policy, hosts, situation.assumptions, situation.now)
    return _choose(situation, serving, lacking, ranked)


def _is_manual_and_ready(machine: Machine) -> bool:
    return machine.kind == MachineKind.MANUAL and machine.state == MachineState.READY


def _choose(situation: Situation, serving: list[Machine], lacking: int, ranked: list[ScoredOffer]) -> list[Decision]:
    """Offers by rising cost of a video, until one more would not be worth its boot.

    The order of the offers does not depend on the demand, so that more demand never rents less.
    """
    servers = [situation.server(one) for one in serving]
    taken = {one.machine_id for one in situation.rented()}
    places = situation.policy.max_machines - len(situation.rented())
    room, limit = situation.room_usd()
    rents: list[Decision] = []
    full = FULL(most=situation.policy.max_machines)
    no = _no_offer(ranked) if places > 0 else full
    for scored in ranked:
        # A stored answer of the market still shows what was just rented, and a machine may fail as a whole.
        if scored.excluded or scored.offer.machine_id in taken:
            continue
        why, no = _why_rent(situation, servers, scored, lacking - len(rents))
        if why and len(rents) >= places:
            why, no = "", full
        if not why:
            break
        one_room, one_limit = situation.room_of_one(room, limit)
        rent = _rent(situation, scored, one_room, why)
        if rent is None:
            no = TOO_LITTLE(limit=one_limit, left=f"{one_room:.2f}", usd=f"{scored.usd_per_hour:.3f}")
            continue
        rents.append(rent)
        room -= rent.reserve_usd
        taken.add(scored.offer.machine_id)
        servers.append(_server(situation, scored))
    return rents or [Wait(reason=no)]


def _no_offer(ranked: list[ScoredOffer]) -> str:
    """Why there is nothing to rent, with what keeps the most offers out."""
    reasons = [reason for one in ranked for reason in one.excluded]
    if not reasons:
        return NONE_FITS(count=len(ranked))
    return NONE_FITS_BECAUSE(count=len(ranked), reason=max(sorted(set(reasons)), key=reasons.count))


def _server(situation: Situation, scored: ScoredOffer) -> Server:
    return Server(scored.boot_s, max(scored.seconds_per_video * situation.work_scale(), 1.0))


def _why_rent(situation: Situation, servers: list[Server], scored: ScoredOffer, lacking: int) -> tuple[str, str]:
    """Why this machine is worth its boot, or else why it is not: one of the two texts is empty."""
    if lacking > 0:
        return WANTED(least=situation.policy.min_machines), ""
    waiting = situation.demand.waiting
    if waiting <= 0:
        return "", gettext_noop("nothing waits")
    new = _server(situation, scored)
    if not servers:
        return _why_first(situation, waiting * new.seconds_per_video, new.free_in_s)
    without, with_it = clear_time_s(servers, waiting), clear_time_s([*servers, new], waiting)
    said = {"waiting": waiting, "minutes": f"{without / 60:.0f}", "boot": f"{new.free_in_s / 60:.0f}"}
    if with_it < (1 + PAYBACK) * new.free_in_s:
        return "", DONE_SOON(**said)
    return FASTER(**said, less=f"{with_it / 60:.0f}"), ""


def _why_first(situation: Situation, work_s: float, boot_s: float) -> tuple[str, str]:
    patience_s = situation.policy.patience_minutes * 60
    if work_s < boot_s and situation.demand.oldest_wait_s < patience_s:
        return "", COMPANY(minutes=f"{situation.policy.patience_minutes:g}")
    waiting = situation.demand.waiting
    return ONE_WAITS if waiting == 1 else MANY_WAIT(waiting=waiting), ""


def _rent(situation: Situation, scored: ScoredOffer, room_usd: float, why: str) -> Rent | None:
    """The rental for as long as the room pays for, at most the policy's lifetime; None when that is too short."""
    policy = situation.policy
    usd_per_minute = (scored.usd_per_hour + scored.upload_usd_per_video * 3600 / scored.seconds_per_video) / 60
    paid = (room_usd - scored.traffic_usd) / usd_per_minute - policy.lease_minutes
    minutes = math.floor(min(policy.max_lifetime_minutes, paid))
    if minutes * 60 < min(policy.max_lifetime_minutes * 60, 2 * scored.boot_s + LEAST_WORK_S) or minutes <= 0:
        return None
    cheapest = CHEAPEST_KNOWN if scored.remembered else CHEAPEST
    return Rent(
        offer=scored.offer,
        reason=cheapest(why=why, gpu=scored.offer.gpu_name, usd=f"{scored.usd_per_video:.4f}"),
        reserve_usd=scored.traffic_usd + usd_per_minute * (minutes + policy.lease_minutes),
        lifetime=timedelta(minutes=minutes),
        usd_per_hour=scored.usd_per_hour - scored.storage_usd_per_hour,
        storage_usd_per_hour=scored.storage_usd_per_hour,
        traffic_usd=scored.traffic_usd,
        seconds_per_video=scored.seconds_per_video,
        boot_estimate_s=scored.boot_s,
    )
