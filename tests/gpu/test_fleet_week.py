"""The policy in the long run: one simulated week with people, a market, boots and failures."""

from collections.abc import Sequence

import pytest

from gpu.services import fleet
from gpu.services.fleet_forecast import expected_gap_s
from gpu.services.fleet_values import Decision, Policy
from tests.simulators.fleet_week import Week, rows

POLICY = Policy(renting=True, max_machines=4, daily_cap_usd=1000)


def control(week: Week) -> Sequence[Decision]:
    demand = week.demand(expected_gap_s(week.submitted, week.now))
    return fleet.decide(POLICY, rows(week.alive()), demand, week.offers(), week.memory, week.spend(), week.now)


@pytest.mark.timeout(240)
def test_in_a_week_every_video_is_rendered_by_few_machines_for_little_money():
    week = Week(1, control).run()
    assert len(week.waits) == week.done == len(week.people)
    assert max(machines for _, machines, _ in week.counts) <= POLICY.max_machines
    # One machine always on costs $58 in this week, and the best in hindsight $11.
    assert 11 < week.usd() < 24
    assert sorted(week.waits.values())[week.done // 2] < 8 * 60
