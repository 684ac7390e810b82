"""What holds for the fleet's decisions whatever the machines, the market, the demand and the policy."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpu.services import offers as offering
from gpu.services.fleet_situation import Situation
from gpu.services.fleet_values import (
    OVER,
    Assumptions,
    Demand,
    Destroy,
    Drain,
    HostMemory,
    Keep,
    Machine,
    MachineKind,
    MachineState,
    MarketOffer,
    Policy,
    Schedule,
    Spend,
    Wait,
)
from tests.gpu.fleet_factories import NOW, carried_out, decide, minutes, offer, rents, reserved

STATES = [*MachineState, "hibernating"]
IN_USE = {*MachineState} - {*OVER, MachineState.LOST, MachineState.DESTROYING}
WILD = st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 1e-300, 1e300, None])


def usd(largest: float) -> st.SearchStrategy[float]:
    return st.floats(0, largest, allow_subnormal=False)


def mostly(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Most worlds let something happen: a world in which everything is forbidden proves little."""
    return st.integers(0, 7).flatmap(lambda dice: usual if dice < 7 else rare)


def times(before: float, after: float) -> st.SearchStrategy[Any]:
    return st.floats(-before, after).map(lambda number: NOW + minutes(number))


some_hours = st.builds(Schedule, on_from=st.times(), off_at=st.times(), zone=st.sampled_from(["UTC", "Asia/Kolkata"]))
policies = st.builds(
    Policy,
    renting=mostly(st.just(True), st.just(False)),
    min_machines=mostly(st.just(0), st.integers(1, 3)),
    max_machines=mostly(st.integers(3, 9), st.integers(0, 2)),
    keep_warm=st.booleans(),
    idle_minutes=usd(60),
    patience_minutes=st.sampled_from([0.0, 5.0]),
    max_lifetime_minutes=mostly(st.floats(60, 600), usd(60)),
    lease_minutes=st.floats(1, 30),
    schedule=mostly(st.just(Schedule()), some_hours),
    daily_cap_usd=mostly(st.floats(10, 40), usd(10)),
    monthly_cap_usd=mostly(st.none() | st.floats(50, 200), usd(50)),
    hard_cap_factor=st.floats(1, 2),
    machine_cap_usd=mostly(st.none() | st.floats(5, 20), usd(5)),
    soft_cap_percent=st.floats(1, 100),
    min_credit_usd=usd(10),
)
demands = st.builds(
    Demand,
    waiting=mostly(st.integers(1, 200), st.just(0)),
    running=st.integers(0, 10),
    seconds_per_video=st.none() | st.floats(5, 2000),
    oldest_wait_s=usd(10000),
    next_job_s=st.none() | usd(1e6),
)
spends = st.builds(
    Spend,
    today_usd=mostly(usd(5), usd(40)),
    month_usd=mostly(usd(20), usd(200)),
    reserved_usd=mostly(usd(2), usd(20)),
    cloud_reserved_usd=mostly(st.just(0.0), usd(20)),
    credit_usd=mostly(st.floats(20, 100), st.none() | st.floats(-5, 20)),
    # What the cloud holds is a part of all that is reserved.
).map(lambda spend: replace(spend, reserved_usd=spend.reserved_usd + spend.cloud_reserved_usd))
machines_of_all_kinds = st.lists(
    st.builds(
        Machine,
        id=st.uuids().map(str),
        kind=st.sampled_from([MachineKind.VASTAI, MachineKind.VASTAI, MachineKind.MANUAL, "azure"]),
        state=st.sampled_from([*STATES, MachineState.READY, MachineState.READY, MachineState.READY]),
        created_at=times(600, 0),
        ready_at=st.none() | times(600, 0),
        idle_since=st.none() | times(600, 0),
        lease_until=st.none() | times(10, 30),
        max_until=st.none() | times(10, 600),
        extended_until=st.none() | times(60, 60),
        machine_id=st.integers(24001, 24040),
        jobs_on_it=st.integers(0, 2),
        usd_per_hour=usd(3),
        storage_usd_per_hour=usd(0.1),
        traffic_usd=usd(1),
        spent_usd=mostly(usd(3), usd(20)),
        seconds_per_video=st.none() | st.floats(5, 500),
        boot_estimate_s=st.none() | st.floats(30, 3000),
    ),
    max_size=5,
)


@st.composite
def markets(draw: Callable[[Any], Any]) -> list[MarketOffer]:
    """Offers like those of the contract; some with numbers that no market should send."""
    found = []
    for number in range(draw(mostly(st.integers(3, 8), st.integers(0, 2)))):
        one = offer(number, dph_base=draw(st.floats(0.1, 1.1)), inet_down_cost=draw(usd(0.02)))
        one = replace(one, inet_down=draw(mostly(st.floats(800, 5000), usd(800))))
        if draw(st.integers(0, 3)) == 0:
            field = draw(
                st.sampled_from(["dph_base", "storage_cost", "inet_down", "inet_up_cost", "gpu_ram", "duration"])
            )
            one = replace(one, **{field: draw(WILD)})
        found.append(one)
    return found


hosts_seen = st.dictionaries(
    st.integers(24000, 24008),
    st.builds(
        HostMemory,
        machine_id=st.just(0),
        boots=st.integers(0, 20),
        failures=st.integers(0, 20),
        boot_seconds=WILD | st.floats(60, 3000),
        download_mbps=WILD | st.floats(50, 5000),
        seconds_per_video=WILD | st.floats(20, 300),
        avoid_until=mostly(st.none(), times(60, 60)),
    ),
)
worlds = st.fixed_dictionaries(
    {
        "policy": policies,
        "machines": machines_of_all_kinds,
        "demand": demands,
        "offers": markets(),
        "hosts": hosts_seen,
        "spend": spends,
    }
)
World = dict[str, Any]


@given(worlds)
def test_every_machine_that_is_not_over_gets_exactly_one_decision_and_each_has_a_reason(world: World):
    decisions = decide(**world)
    named = [one.machine.id for one in decisions if hasattr(one, "machine")]
    assert named == [one.id for one in world["machines"] if one.state not in OVER]
    assert all(one.reason for one in decisions)
    assert decisions == decide(**world)


@given(worlds)
def test_never_more_machines_than_the_maximum(world: World):
    alive = [one for one in world["machines"] if one.kind == MachineKind.VASTAI and one.state not in (*OVER, "lost")]
    chosen = rents(decide(**world))
    assert not chosen or len(alive) + len(chosen) <= world["policy"].max_machines


@given(worlds)
def test_reservations_fit_the_caps_and_leave_the_credit_its_floor(world: World):
    policy, before = world["policy"], world["spend"]
    chosen = rents(decide(**world))
    reserve = reserved(before, chosen).reserved_usd
    for rent in chosen:
        longest = rent.lifetime.total_seconds() / 60 + policy.lease_minutes
        assert (
            rent.reserve_usd >= rent.traffic_usd + (rent.usd_per_hour + rent.storage_usd_per_hour) * longest / 60 - 1e-9
        )
        assert 0 < rent.lifetime.total_seconds() / 60 <= policy.max_lifetime_minutes
    if chosen:
        assert before.today_usd + reserve <= policy.daily_cap_usd + 1e-9
        assert policy.monthly_cap_usd is None or before.month_usd + reserve <= policy.monthly_cap_usd + 1e-9
        of_machines = reserve - min(before.cloud_reserved_usd, before.reserved_usd)
        assert before.credit_usd is None or before.credit_usd - of_machines >= policy.min_credit_usd - 1e-9
        assert policy.machine_cap_usd is None or max(one.reserve_usd for one in chosen) <= policy.machine_cap_usd + 1e-9


@given(worlds)
def test_nothing_is_rented_when_renting_is_off_or_out_of_hours_or_with_unknown_credit(world: World):
    policy = world["policy"]
    closed = Schedule(on_from=time(13), off_at=time(14))
    assert not rents(decide(**world | {"policy": replace(policy, renting=False)}))
    assert not rents(decide(**world | {"policy": replace(policy, schedule=closed)}))
    careful = replace(policy, min_credit_usd=policy.min_credit_usd + 0.01)
    assert not rents(decide(**world | {"policy": careful, "spend": replace(world["spend"], credit_usd=None)}))


@given(worlds)
def test_only_offers_without_an_objection_are_rented_and_each_machine_once(world: World):
    scored = offering.rank(world["offers"], world["policy"], world["hosts"], Assumptions(), NOW)
    fit = {one.offer.id for one in scored if not one.excluded}
    chosen = rents(decide(**world))
    assert {one.offer.id for one in chosen} <= fit
    used = [one.offer.machine_id for one in chosen]
    assert len(set(used)) == len(used)


@given(worlds)
def test_what_is_not_rented_from_vast_is_never_touched(world: World):
    foreign = [one for one in decide(**world) if hasattr(one, "machine") and one.machine.kind != MachineKind.VASTAI]
    assert all(isinstance(one, Keep) for one in foreign)


@given(worlds, st.integers(1, 100))
def test_more_demand_never_rents_less(world: World, more: int):
    demand = world["demand"]
    greater = replace(demand, waiting=demand.waiting + more)
    assert len(rents(decide(**world | {"demand": greater}))) >= len(rents(decide(**world)))


@given(worlds, st.sampled_from(["waiting", "running", "seconds_per_video", "oldest_wait_s", "next_job_s"]))
def test_a_demand_that_is_no_number_rents_nothing_and_raises_nothing(world: World, field: str):
    for wrong in (float("nan"), float("inf"), -1.0, 1e300):
        assert not rents(decide(**world | {"demand": replace(world["demand"], **{field: wrong})}))


NUMBERS = [name for name in Policy.__dataclass_fields__ if name.endswith(("_usd", "_minutes", "_gb", "_machines"))]


@given(worlds, st.sampled_from(NUMBERS))
def test_a_policy_that_is_no_number_rents_nothing_and_raises_nothing(world: World, field: str):
    for wrong in (float("nan"), float("inf"), -1.0, 1e300):
        assert not rents(decide(**world | {"policy": replace(world["policy"], **{field: wrong})}))


def with_promises(world: World) -> World:
    """The same world with as much set aside as its machines burn while they drain, as every rental sees to."""
    spend, machines = world["spend"], world["machines"]
    burn = Situation(world["policy"], machines, world["demand"], spend, NOW, Assumptions()).burn_usd_until_drained()
    return world | {"spend": replace(spend, reserved_usd=spend.reserved_usd + burn)}


@given(worlds.map(with_promises))
def test_deciding_again_after_the_decisions_were_carried_out_adds_nothing(world: World):
    first = decide(**world)
    after = carried_out(world["machines"], first)
    again = decide(**world | {"machines": after, "spend": reserved(world["spend"], first)})
    assert not rents(again)
    begun = {one.machine.id for one in first if isinstance(one, Drain | Destroy)}
    assert {one.machine.id for one in again if isinstance(one, Drain | Destroy)} <= begun
    last = decide(**world | {"machines": carried_out(after, again), "spend": reserved(world["spend"], first)})
    assert [one for one in last if not isinstance(one, Keep | Destroy | Wait)] == []


@given(worlds)
def test_what_is_rented_is_not_given_back_at_the_next_look(world: World):
    first = decide(**world)
    after = carried_out(world["machines"], first)
    again = decide(**world | {"machines": after, "spend": reserved(world["spend"], first)})
    new = {one.id for one in after} - {one.id for one in world["machines"]}
    assert not [one for one in again if isinstance(one, Drain | Destroy) and one.machine.id in new]


@given(worlds)
def test_at_the_hard_cap_nothing_is_left_running(world: World):
    over = replace(world["spend"], today_usd=world["policy"].daily_cap_usd * world["policy"].hard_cap_factor)
    decisions = decide(**world | {"spend": over})
    living = {*MachineState} - {*OVER, MachineState.LOST}
    ours = [one for one in decisions if hasattr(one, "machine") and one.machine.kind == MachineKind.VASTAI]
    assert all(isinstance(one, Destroy) for one in ours if one.machine.state in living)


@given(worlds)
def test_what_a_machine_may_cost_is_never_passed_by_keeping_it(world: World):
    cap = world["policy"].machine_cap_usd
    if cap is None:
        return
    for one in decide(**world):
        if not hasattr(one, "machine") or one.machine.kind != MachineKind.VASTAI or one.machine.state not in IN_USE:
            continue
        if one.machine.spent_usd >= cap:
            assert isinstance(one, Destroy), one
        elif one.machine.spent_usd * 100 >= cap * world["policy"].soft_cap_percent:
            assert isinstance(one, Destroy | Drain) or one.machine.state == MachineState.DRAINING, one


@given(worlds, st.floats(0.1, 50))
def test_more_money_spent_never_rents_more(world: World, more: float):
    spend = world["spend"]
    for name in ("today_usd", "month_usd", "reserved_usd"):
        greater = replace(spend, **{name: getattr(spend, name) + more})
        after = rents(decide(**world | {"spend": greater}))
        assert len(after) <= len(rents(decide(**world)))
