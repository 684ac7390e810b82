"""When the fleet rents, and what becomes of what it rented: one rule at a time."""

from dataclasses import replace
from datetime import datetime, time
from typing import Any

import pytest

from gpu.services.fleet_values import (
    Demand,
    Destroy,
    Drain,
    Extend,
    HostMemory,
    Keep,
    Machine,
    MachineKind,
    MachineState,
    Schedule,
    Wait,
)
from tests.gpu.fleet_factories import (
    MARKET,
    NOW,
    POLICY,
    SPEND,
    carried_out,
    decide,
    machine,
    minutes,
    offer,
    only,
    reason_of,
    rents,
    reserved,
)

NAN = float("nan")
ALONE = replace(POLICY, max_machines=1)
WARM = replace(POLICY, keep_warm=True)
NIGHT_ONLY = Schedule(on_from=time(22), off_at=time(6))
AVOIDED = {one.machine_id: HostMemory(machine_id=one.machine_id, avoid_until=NOW + minutes(5)) for one in MARKET}
LONG_IDLE = NOW - minutes(40)


# Renting


def test_one_waiting_video_and_no_machine_rents_the_cheapest_one():
    rent = rents(decide(waiting=1))[0]
    assert rent.offer.id == MARKET[0].id
    assert "1 video waits and no machine runs" in rent.reason


def test_without_demand_nothing_is_rented_and_nothing_said():
    assert decide() == []


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"policy": replace(POLICY, renting=False)}, "renting is off"),
        ({"policy": replace(POLICY, schedule=NIGHT_ONLY)}, "from 22:00:00 to 06:00:00"),
        ({"policy": replace(POLICY, max_machines=0)}, "no more than 0 machines"),
        ({"spend": replace(SPEND, credit_usd=5.0)}, "credit to be left"),
        ({"spend": replace(SPEND, credit_usd=-1.0)}, "credit to be left"),
        ({"spend": replace(SPEND, credit_usd=None)}, "credit at vast.ai is unknown"),
        ({"spend": replace(SPEND, today_usd=10.0)}, "day's cap"),
        ({"spend": replace(SPEND, today_usd=4.0, reserved_usd=6.0)}, "day's cap"),
        ({"spend": replace(SPEND, month_usd=9.5), "policy": replace(POLICY, monthly_cap_usd=9.6)}, "month's cap"),
        ({"offers": []}, "none of 0 offers fits"),
        ({"offers": [offer(verification=None)]}, "not verified"),
        ({"hosts": AVOIDED}, "avoided until"),
    ],
)
def test_what_forbids_renting_is_said(changed: dict[str, Any], word: str):
    assert word in reason_of(decide(waiting=50, **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"demand": Demand(waiting=5, oldest_wait_s=NAN)},
        {"demand": Demand(waiting=5, seconds_per_video=-3.0)},
        {"demand": Demand(waiting=5, running=-1)},
        {"spend": replace(SPEND, today_usd=NAN)},
        {"spend": replace(SPEND, credit_usd=NAN)},
        {"spend": replace(SPEND, reserved_usd=-5.0)},
        {"policy": replace(POLICY, daily_cap_usd=float("inf"))},
        {"policy": replace(POLICY, lease_minutes=NAN)},
        {"machines": [machine(usd_per_hour=NAN)]},
    ],
)
def test_numbers_that_are_not_usable_never_rent(changed: dict[str, Any]):
    asked: dict[str, Any] = {"waiting": 50} | changed
    assert "no usable number" in reason_of(decide(asked.pop("machines", ()), **asked))


def test_demand_that_is_no_number_rents_nothing():
    assert rents(decide(demand=Demand(waiting=NAN))) == []  # type: ignore[arg-type]  # what a bad caller does


def test_a_booting_machine_is_counted_before_another_is_rented():
    assert "as it is" in reason_of(decide([machine(state=MachineState.BOOTING, created_at=NOW)], waiting=6))


@pytest.mark.parametrize(("waiting", "machines"), [(1, 1), (8, 1), (12, 2), (24, 3), (60, 3)])
def test_more_machines_are_rented_only_while_they_render_longer_than_they_boot(waiting: int, machines: int):
    assert len(rents(decide(waiting=waiting))) == machines


def test_slow_videos_are_worth_a_second_machine_sooner():
    many = [len(rents(decide(demand=Demand(waiting=8, seconds_per_video=seconds)))) for seconds in (95, 380)]
    assert many == [1, 3]


def test_a_manual_machine_does_its_share():
    by_hand = machine(kind=MachineKind.MANUAL, usd_per_hour=0.0, max_until=None)
    assert rents(decide([by_hand], waiting=3)) == []
    assert len(rents(decide([by_hand], waiting=100))) == 3


def test_the_first_video_may_wait_for_company():
    patient = replace(POLICY, patience_minutes=10)
    assert "for company" in reason_of(decide(policy=patient, waiting=1))
    assert rents(decide(policy=patient, waiting=6))
    assert rents(decide(policy=patient, demand=Demand(waiting=1, oldest_wait_s=600)))


def test_two_slots_of_one_physical_machine_are_not_rented_at_a_time():
    twins = [offer(1), replace(offer(2), machine_id=offer(1).machine_id)]
    assert [one.offer.id for one in rents(decide(waiting=100, offers=twins))] == [offer(1).id]


def test_the_reservation_holds_the_whole_lifetime_the_lease_and_the_traffic():
    rent = rents(decide(waiting=1))[0]
    per_hour = 0.41 + 0.15 * 60 / 720 + 0.004 * 0.005 * 3600 / 95
    assert rent.reserve_usd == pytest.approx(41.2 * 0.0025 + per_hour * 490 / 60)


def test_a_small_cap_shortens_the_lifetime_instead_of_refusing():
    rent = rents(decide(waiting=1, policy=replace(POLICY, daily_cap_usd=1.0)))[0]
    assert minutes(100) < rent.lifetime < minutes(140)
    assert rent.reserve_usd <= 1.0


def test_a_cap_too_small_for_boot_and_work_refuses():
    assert "too little for a machine" in reason_of(decide(waiting=1, policy=replace(POLICY, daily_cap_usd=0.25)))


def test_machines_wanted_at_all_times_are_rented_without_demand():
    policy = replace(POLICY, min_machines=2)
    assert len(rents(decide(policy=policy))) == 2
    assert len(rents(decide([machine()], policy=policy))) == 1
    assert rents(decide(policy=replace(policy, schedule=NIGHT_ONLY))) == []


def test_a_draining_machine_still_takes_a_place_and_does_no_work():
    leaving = machine(state=MachineState.DRAINING, jobs_on_it=1)
    assert "no more than 1 machines" in reason_of(decide([leaving], waiting=5, policy=ALONE))
    assert len(rents(decide([leaving], waiting=5))) == 1


@pytest.mark.parametrize("state", ["destroying", "lost", "hibernating"])
def test_what_may_still_cost_money_takes_a_place(state: str):
    assert "no more than 1 machines" in reason_of(decide([machine(state=state)], waiting=5, policy=ALONE))


def test_the_maximum_is_the_reason_even_when_the_market_was_not_asked():
    assert "no more than 1 machines" in reason_of(decide([machine(state="lost")], waiting=5, policy=ALONE, offers=[]))


@pytest.mark.parametrize("state", ["destroyed", "failed"])
def test_what_is_over_takes_no_place_and_gets_no_decision(state: str):
    assert len(decide([machine(state=state)], waiting=1, policy=ALONE)) == 1
    assert decide([machine(state=state)]) == []


def test_a_lost_machine_takes_its_place_until_its_lease_has_ended_it():
    lost = machine(state=MachineState.LOST, lease_until=NOW)
    assert rents(decide([lost], waiting=1, policy=ALONE))


# Keeping and giving back


@pytest.mark.parametrize("state", list(MachineState))
def test_a_manual_machine_is_never_touched(state: MachineState):
    spent = replace(SPEND, today_usd=100)
    old = machine(kind=MachineKind.MANUAL, state=state, idle_since=LONG_IDLE, max_until=NOW - minutes(1))
    assert all(isinstance(one, Keep) for one in decide([old], spend=spent))


def test_an_unknown_state_is_left_alone():
    assert isinstance(only(decide([machine(state="hibernating", idle_since=LONG_IDLE)])), Keep)


def test_a_busy_machine_is_kept_and_its_lease_renewed():
    decision = only(decide([machine(jobs_on_it=1, lease_until=NOW + minutes(7))]))
    assert isinstance(decision, Extend)
    assert decision.until == NOW + minutes(10)
    assert isinstance(only(decide([machine(jobs_on_it=1, lease_until=NOW + minutes(8))])), Keep)


def test_a_lease_never_passes_the_lifetime():
    decision = only(decide([machine(jobs_on_it=1, lease_until=NOW, max_until=NOW + minutes(8))]))
    assert isinstance(decision, Extend)
    assert decision.until == NOW + minutes(8)


@pytest.mark.parametrize(("idle", "kind"), [(14, Keep), (15, Drain)])
def test_an_idle_machine_goes_after_the_idle_minutes(idle: float, kind: type):
    dear_traffic = machine(idle_since=NOW - minutes(idle), traffic_usd=1.0)
    assert isinstance(only(decide([dear_traffic])), kind)


@pytest.mark.parametrize(("idle", "kind"), [(7, Keep), (8, Drain)])
def test_an_idle_machine_goes_when_renting_again_is_cheaper(idle: float, kind: type):
    assert isinstance(only(decide([machine(idle_since=NOW - minutes(idle), traffic_usd=0.0)])), kind)


@pytest.mark.parametrize(("next_job_s", "kind"), [(600, Keep), (7200, Drain), (NAN, Keep)])
def test_the_expected_next_video_decides_whether_waiting_for_it_is_cheaper(next_job_s: float, kind: type):
    idle = machine(idle_since=NOW - minutes(5))
    assert isinstance(decide([idle], demand=Demand(next_job_s=next_job_s))[0], kind)


def test_a_second_idle_machine_waits_twice_as_long_for_its_video_and_goes_first():
    both = [machine(1, idle_since=NOW - minutes(5), usd_per_hour=0.5), machine(2, idle_since=NOW - minutes(5))]
    dear, cheap = decide(both, demand=Demand(next_job_s=900))
    assert isinstance(dear, Drain)
    assert isinstance(cheap, Keep)


def test_a_warm_machine_stays_but_not_two():
    both = [machine(1, idle_since=LONG_IDLE, usd_per_hour=0.5), machine(2, idle_since=LONG_IDLE)]
    assert [type(one) for one in decide(both, policy=WARM)] == [Drain, Keep]
    assert isinstance(only(decide([both[1]], policy=replace(WARM, renting=False))), Drain)


def test_nothing_is_rented_with_the_money_that_draining_needs():
    dear = [machine(number, MachineState.REQUESTED, usd_per_hour=20.0) for number in (1, 2)]
    first = decide(dear, waiting=50, spend=replace(SPEND, today_usd=4.0))
    assert [type(one) for one in first] == [Destroy, Destroy, Wait]
    assert "day's cap" in first[2].reason


def test_a_warm_machine_stays_until_the_one_that_starts_is_ready():
    idle, new = machine(1, idle_since=LONG_IDLE), machine(2, state=MachineState.BOOTING, created_at=NOW)
    assert not any(isinstance(one, Drain) for one in decide([idle, new], policy=WARM))
    ready = replace(new, state=MachineState.READY, ready_at=NOW)
    assert isinstance(decide([idle, ready], policy=WARM)[0], Drain)


def test_an_idle_machine_is_kept_while_work_waits_for_it():
    assert isinstance(decide([machine(idle_since=NOW - minutes(20))], waiting=1)[0], Keep)


def test_a_machine_that_takes_no_work_for_long_is_given_back():
    drain = decide([machine(idle_since=NOW - minutes(30))], waiting=1)[0]
    assert isinstance(drain, Drain)
    assert "takes none of them" in drain.reason


def test_an_extension_by_hand_outlives_idleness_and_hours_but_not_the_caps():
    asked = machine(idle_since=LONG_IDLE, extended_until=NOW + minutes(60))
    kept = only(decide([asked], policy=replace(POLICY, schedule=NIGHT_ONLY)))
    assert isinstance(kept, Extend)
    assert kept.until == NOW + minutes(60)
    assert isinstance(only(decide([asked], spend=replace(SPEND, today_usd=12.0))), Destroy)


@pytest.mark.parametrize("jobs", [0, 2])
def test_outside_the_hours_a_machine_is_drained_and_a_starting_one_destroyed(jobs: int):
    policy = replace(POLICY, schedule=NIGHT_ONLY, min_machines=1)
    ready, starting = machine(1, jobs_on_it=jobs), machine(2, state=MachineState.BOOTING)
    assert [type(one) for one in decide([ready, starting], policy=policy)] == [Drain, Destroy, Wait]


@pytest.mark.parametrize(("left", "kind"), [(10, Keep), (4, Drain), (0, Destroy)])
def test_a_machine_is_drained_before_its_lifetime_ends_and_destroyed_then(left: float, kind: type):
    decision = only(decide([machine(jobs_on_it=2, max_until=NOW + minutes(left))]))
    assert isinstance(decision, kind)


@pytest.mark.parametrize(("today", "kind"), [(9.8, Keep), (9.95, Drain), (10.0, Destroy)])
def test_at_the_hard_cap_everything_goes_and_just_before_it_everything_finishes(today: float, kind: type):
    spend = replace(SPEND, today_usd=today)
    assert isinstance(only(decide([machine(jobs_on_it=1)], spend=spend)), kind)
    month = replace(POLICY, daily_cap_usd=1000, monthly_cap_usd=10)
    assert isinstance(only(decide([machine(jobs_on_it=1)], spend=replace(SPEND, month_usd=today), policy=month)), kind)


def test_a_hard_cap_may_stand_above_the_cap():
    generous = replace(POLICY, hard_cap_factor=1.2)
    spend = replace(SPEND, today_usd=10.0)
    assert isinstance(only(decide([machine(jobs_on_it=1)], spend=spend, policy=generous)), Keep)


@pytest.mark.parametrize(("spent", "kind"), [(1.55, Keep), (1.6, Drain), (1.99, Drain), (2.0, Destroy), (2.5, Destroy)])
def test_a_machine_finishes_at_the_soft_limit_of_its_own_cap_and_goes_at_the_cap(spent: float, kind: type):
    capped = replace(POLICY, machine_cap_usd=2.0)
    dear, cheap = machine(1, jobs_on_it=1, spent_usd=spent), machine(2, jobs_on_it=1, spent_usd=0.2)
    assert [type(one) for one in decide([dear, cheap], policy=capped)] == [kind, Keep]


def test_a_machine_whose_last_lease_would_pass_its_cap_finishes_before_the_soft_limit():
    capped = replace(POLICY, machine_cap_usd=0.5, lease_minutes=30)
    drain = only(decide([machine(jobs_on_it=1, spent_usd=0.3, lease_until=NOW + minutes(30))], policy=capped))
    assert isinstance(drain, Drain)
    assert "$0.30 of the $0.50 that a machine may cost" in drain.reason


def test_a_starting_machine_above_the_soft_limit_of_its_cap_is_not_waited_for():
    capped = replace(POLICY, machine_cap_usd=1.0)
    assert isinstance(only(decide([machine(state="booting", spent_usd=0.8, created_at=NOW)], policy=capped)), Destroy)


def test_a_cap_on_a_machine_shortens_every_lifetime_and_counts_for_each_alone():
    found = rents(decide(waiting=100, policy=replace(POLICY, machine_cap_usd=1.0)))
    assert len(found) == 3
    assert all(rent.reserve_usd <= 1.0 and rent.lifetime > minutes(90) for rent in found)
    reason = reason_of(decide(waiting=1, policy=replace(POLICY, machine_cap_usd=0.25)))
    assert "the cap of $0.25 a machine leaves $0.25" in reason


def test_promises_to_the_cloud_take_of_the_caps_but_not_of_the_credit_at_vast():
    promised = replace(SPEND, credit_usd=12.0, reserved_usd=7.0, cloud_reserved_usd=7.0)
    assert len(rents(decide(waiting=1, spend=promised))) == 1
    assert "credit to be left" in reason_of(decide(waiting=1, spend=replace(promised, cloud_reserved_usd=0.0)))
    full = replace(promised, credit_usd=50.0, reserved_usd=10.0, cloud_reserved_usd=10.0)
    assert "day's cap" in reason_of(decide(waiting=1, spend=full))


def test_machines_finish_before_the_credit_is_used_up():
    assert isinstance(only(decide([machine(jobs_on_it=1)], spend=replace(SPEND, credit_usd=0.05))), Drain)
    assert isinstance(only(decide([machine(jobs_on_it=1)], spend=replace(SPEND, credit_usd=1.0))), Keep)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"jobs_on_it": 1}, Keep),
        ({"jobs_on_it": 0}, Destroy),
        ({"jobs_on_it": 1, "lease_until": NOW}, Destroy),
        ({"jobs_on_it": 1, "max_until": NOW}, Destroy),
    ],
)
def test_a_drain_ends_with_its_last_video_its_lease_or_its_lifetime(changed: dict[str, Any], kind: type):
    assert isinstance(only(decide([machine(state=MachineState.DRAINING, **changed)])), kind)


def test_a_destroy_is_asked_again_for_ever():
    assert isinstance(only(decide([machine(state=MachineState.DESTROYING)])), Destroy)


@pytest.mark.parametrize(("state", "kind"), [("booting", Destroy), ("provisioning", Destroy), ("creating", Keep)])
def test_a_boot_that_takes_too_long_is_ended(state: str, kind: type):
    decision = only(decide([machine(state=state, created_at=NOW - minutes(21))]))
    assert isinstance(decision, kind)
    assert isinstance(only(decide([machine(state=state, created_at=NOW - minutes(19))])), Keep)


def test_a_host_that_is_known_to_boot_slowly_gets_its_time():
    slow = machine(state=MachineState.PROVISIONING, created_at=NOW - minutes(25), boot_estimate_s=1200.0)
    assert isinstance(only(decide([slow])), Keep)


def test_when_the_maximum_is_lowered_the_least_useful_machines_go():
    busy, idle = machine(1, jobs_on_it=1), machine(2)
    starting = machine(3, state=MachineState.BOOTING, created_at=NOW)
    assert [type(one) for one in decide([busy, idle, starting], policy=ALONE)] == [Keep, Drain, Destroy]


def test_with_an_unusable_policy_only_what_began_goes_on():
    broken = replace(POLICY, max_lifetime_minutes=NAN)
    machines = [machine(1), machine(2, state=MachineState.DESTROYING), machine(3, max_until=NOW)]
    assert [type(one) for one in decide(machines, policy=broken)] == [Keep, Destroy, Destroy, Wait]


# Steadiness


def test_a_busy_hour_minute_by_minute_rents_once_and_gives_back_once():
    machines: list[Machine] = []
    spend, seen = SPEND, []
    for minute in range(60):
        now = NOW + minutes(minute)
        demand = Demand(waiting=max(8 - max(minute - 8, 0), 0), oldest_wait_s=60.0 * minute)
        decisions = decide(machines, demand=demand, now=now, spend=spend)
        seen += [type(one).__name__ for one in decisions if not isinstance(one, Keep | Extend | Wait)]
        machines, spend = carried_out(machines, decisions, now), reserved(spend, decisions)
        machines = [_eight_minutes_later(one, now, demand) for one in machines]
    assert seen[:2] == ["Rent", "Drain"]
    assert set(seen[2:]) == {"Destroy"}


def _eight_minutes_later(one: Machine, now: datetime, demand: Demand) -> Machine:
    if one.state == MachineState.REQUESTED and now - one.created_at >= minutes(8):
        return replace(one, state=MachineState.READY, ready_at=now, idle_since=now)
    if one.state == MachineState.READY and demand.waiting:
        return replace(one, idle_since=now)
    return one


@pytest.mark.parametrize(
    ("clock", "on"), [(time(21, 59), False), (time(22), True), (time(3), True), (time(6), False), (time(12), False)]
)
def test_hours_may_run_through_midnight(clock: time, on: bool):
    assert NIGHT_ONLY.is_on(NOW.replace(hour=clock.hour, minute=clock.minute)) is on


def test_hours_are_those_of_their_time_zone():
    berlin = Schedule(on_from=time(13), off_at=time(14), zone="Europe/Berlin")
    assert berlin.is_on(NOW)
    assert not replace(berlin, zone="UTC").is_on(NOW)
    assert Schedule(on_from=time(9), off_at=time(9)).is_on(NOW)


def test_a_machine_that_has_just_become_ready_is_left_time_to_take_the_video_that_waits():
    impatient = replace(ALONE, idle_minutes=0)
    fresh = machine(idle_since=NOW - minutes(1))

    assert isinstance(decide([fresh], waiting=1, policy=impatient)[0], Keep)
