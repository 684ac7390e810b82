"""What a video on a rented GPU costs: its own seconds and its share of the rest, to the last millionth."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from gpu.models import InstanceState as S
from gpu.services import true_cost
from gpu.services.machine_costs import machine_cost, machine_costs, machines_over
from tests.gpu import machine_rows

D = Decimal
dollars = st.decimals(0, 100, places=6)


def test_seconds_cost_their_part_of_the_hour() -> None:
    assert true_cost.direct(90, D("0.40")) == D("0.01")
    assert true_cost.direct(-5, D("0.40")) == 0


def test_the_rest_is_shared_by_the_videos_own_seconds() -> None:
    directs = {"short": D("0.01"), "long": D("0.03")}
    rest = true_cost.overhead(D("0.12"), directs.values())
    assert true_cost.shares(rest, directs) == {"short": D("0.02"), "long": D("0.06")}


def test_seconds_that_overlapped_are_a_rebate() -> None:
    directs = {"one": D("0.05"), "other": D("0.05")}
    assert true_cost.shares(true_cost.overhead(D("0.08"), directs.values()), directs) == {
        "one": D("-0.01"),
        "other": D("-0.01"),
    }


def test_a_machine_without_videos_is_nobodys_share() -> None:
    assert true_cost.shares(D(1), {}) == {}
    assert true_cost.shares(D(1), {"cancelled": D(0)}) == {"cancelled": D(0)}


@given(spent=dollars, directs=st.dictionaries(st.integers(), st.decimals("0.000001", 10, places=6), min_size=1))
def test_direct_and_shared_parts_add_up_to_what_the_machine_took(spent: Decimal, directs: dict[int, Decimal]) -> None:
    shares = true_cost.shares(true_cost.overhead(spent, directs.values()), directs)
    assert sum(directs.values()) + sum(shares.values()) == spent
    in_order = [shares[key] for key in sorted(directs, key=lambda key: directs[key])]
    if sum(directs.values()) <= spent:
        assert all(one <= other + true_cost.PLACES for one, other in pairwise(in_order))


def test_the_usual_overhead_is_that_of_the_dollars_and_not_of_the_machines() -> None:
    assert true_cost.ratio([(D(3), D(1)), (D(11), D(10)), (D(5), D(0))]) == D(14) / D(11) - 1
    assert true_cost.ratio([(D(5), D(0))]) is None


@pytest.mark.parametrize(
    ("spent", "usual", "share"),
    [("0.5", "0.6", "0.006"), ("0.5", None, "0.49"), ("0.012", "0.6", "0.002"), ("0.005", "0.6", "0")],
)
def test_a_first_video_is_not_asked_for_the_whole_boot(spent: str, usual: str | None, share: str) -> None:
    found = true_cost.provisional_share(D("0.01"), spent=D(spent), directs=D("0.01"), usual=D(usual) if usual else None)
    assert found == D(share)


def test_machines_that_are_over_are_found_by_their_end_or_by_name(db: None) -> None:
    now = timezone.now()
    old = machine_rows.instance(S.DESTROYED, ended_at=now - timedelta(days=9), spent_usd=D("0.4"), bill_settled=True)
    new = machine_rows.instance(S.LOST, ended_at=now - timedelta(hours=1), spent_usd=D("0.2"))
    running = machine_rows.instance(S.READY)
    since = now - timedelta(days=1)
    assert [one.machine_id for one in machines_over(since)] == [new.pk]
    found = machines_over(since, [old.pk, running.pk, uuid4()])
    assert [(one.machine_id, one.spent_usd, one.billed) for one in found] == [
        (old.pk, D("0.4"), True),
        (new.pk, D("0.2"), False),
    ]


def test_a_machine_says_what_it_takes_and_whether_that_can_change(db: None) -> None:
    row = machine_rows.instance(S.READY, spent_usd=D("0.3"))
    cost = machine_cost(row.pk)
    assert cost is not None
    assert (cost.over, cost.billed, cost.direct_usd(3600)) == (False, False, D("0.41"))
    assert machine_cost(uuid4()) is None
    assert set(machine_costs([row.pk, uuid4()])) == {row.pk}
