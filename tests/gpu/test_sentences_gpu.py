"""What rows of the fleet say in English is known as a whole, so that pages can say it in another language.

The translation here is shouting: what the source marks is put into capitals, and what keeps its small letters was made
without a sentence.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone, translation
from pytest_django import Settings

import gpu
from gpu.models import Book, DayTotal, FleetStatus, Instance, InstanceEvent, LedgerEntry, Purse
from gpu.models import InstanceState as S
from gpu.services import (
    alarms,
    audit,
    caps,
    cloud_credit,
    config,
    fleet,
    fleet_machines,
    fleet_situation,
    machines,
    sightings,
    watch,
)
from gpu.services.booking import Kind
from gpu.services.fleet_values import (
    Decision,
    Demand,
    Destroy,
    Drain,
    HostMemory,
    Machine,
    MachineState,
    Rent,
    Schedule,
    Wait,
)
from gpu.services.offers import score
from i2v_site import sentences
from i2v_site.sentences import Sentence, translated
from tests.gpu import machine_rows, renting
from tests.gpu.fleet_factories import MARKET, NOW, POLICY, SPEND, decide, machine, minutes, offer
from tests.simulators.vastai import VastSimulator

MARKS = ("gettext", "gettext_lazy", "gettext_noop", "_")
A_VALUE = re.compile(r"(%\(\w+\)s)")
# A number that took words with it, or a full stop.
NO_AMOUNT = re.compile(
    r"\[(?:USD|MINUTES|SPENT|CAP|LEFT|LEAST|MOST|COUNT|WAITING|LESS|BOOT|TIMES) (?!\$?-?[\d.,]*\d\]|THIS SITE)[^\[\]]*"
)
NIGHT = Schedule(on_from=time(22), off_at=time(6))
KNOWN = {one.machine_id: HostMemory(machine_id=one.machine_id, boots=3, boot_seconds=400) for one in MARKET}
AVOIDED = {one.machine_id: HostMemory(machine_id=one.machine_id, avoid_until=NOW + minutes(5)) for one in MARKET}
IDLE = machine(idle_since=NOW - minutes(40))


def _marked() -> set[str]:
    """Every text of this app that translators are given."""
    trees = [ast.parse(file.read_text()) for file in Path(gpu.__path__[0]).rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    given = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in MARKS]
    return {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}


MARKED = _marked()


def shout(text: str) -> str:
    if text not in MARKED:
        return text
    parts = A_VALUE.split(text)
    return "".join(f"[{part[2:-2].upper()} {part}]" if part[:2] == "%(" else part.upper() for part in parts)


def unknown(text: str) -> set[str]:
    """The words of a text that no translator has seen; numbers and names are not counted."""
    with patch.object(sentences, "gettext", shout), translation.override("de"):
        said = translated(text)
    return set(re.findall(r"\b[a-z_]{2,}\b", said)) | set(NO_AMOUNT.findall(said))


# --- decisions --------------------------------------------------------------------------------------------------------

CASES: list[tuple[list[Machine], dict[str, Any]]] = [
    ([], {"waiting": 1}),
    ([], {"waiting": 60}),
    ([], {"waiting": 60, "hosts": KNOWN}),
    ([], {"policy": replace(POLICY, min_machines=2)}),
    ([machine(state=MachineState.BOOTING, created_at=NOW)], {"waiting": 6}),
    ([], {"waiting": 1, "policy": replace(POLICY, patience_minutes=10)}),
    ([], {"waiting": 1, "offers": []}),
    ([], {"waiting": 1, "hosts": AVOIDED}),
    ([machine(state="lost")], {"waiting": 5, "policy": replace(POLICY, max_machines=1)}),
    ([], {"waiting": 1, "policy": replace(POLICY, renting=False)}),
    ([], {"waiting": 1, "policy": replace(POLICY, schedule=NIGHT)}),
    ([], {"waiting": 1, "policy": replace(POLICY, daily_cap_usd=0.25)}),
    ([], {"waiting": 1, "policy": replace(POLICY, machine_cap_usd=0.25)}),
    ([], {"waiting": 1, "policy": replace(POLICY, monthly_cap_usd=9.6), "spend": replace(SPEND, month_usd=9.6)}),
    ([], {"waiting": 1, "spend": replace(SPEND, today_usd=10.0)}),
    ([], {"waiting": 1, "spend": replace(SPEND, credit_usd=5.0)}),
    ([], {"waiting": 1, "spend": replace(SPEND, credit_usd=None)}),
    ([], {"waiting": 1, "spend": replace(SPEND, credit_usd=float("nan"))}),
    ([], {"demand": Demand(waiting=5, running=-1)}),
    ([IDLE], {}),
    ([machine(idle_since=NOW - minutes(40), traffic_usd=1.0)], {}),
    ([machine(idle_since=NOW - minutes(9), traffic_usd=0.0)], {}),
    ([IDLE], {"waiting": 1}),
    ([machine(idle_since=NOW - minutes(5))], {"demand": Demand(next_job_s=7200)}),
    ([machine(jobs_on_it=1)], {"policy": replace(POLICY, schedule=NIGHT)}),
    ([machine(jobs_on_it=1, max_until=NOW + minutes(4))], {}),
    ([machine(max_until=NOW)], {}),
    ([machine(state=MachineState.BOOTING)], {}),
    ([machine(1), machine(2)], {"policy": replace(POLICY, max_machines=1)}),
    ([machine(state=MachineState.DRAINING)], {}),
    ([machine(state=MachineState.DRAINING, jobs_on_it=1, lease_until=NOW)], {}),
    ([machine()], {"spend": replace(SPEND, credit_usd=0.05)}),
    ([machine()], {"spend": replace(SPEND, today_usd=10.0)}),
    ([machine()], {"spend": replace(SPEND, today_usd=15.0), "policy": replace(POLICY, hard_cap_factor=1.5)}),
    ([machine()], {"spend": replace(SPEND, month_usd=9.0), "policy": replace(POLICY, monthly_cap_usd=9.0)}),
    ([machine(spent_usd=1.7)], {"policy": replace(POLICY, machine_cap_usd=2.0)}),
    (
        [machine()],
        {
            "spend": replace(SPEND, month_usd=15.0),
            "policy": replace(POLICY, daily_cap_usd=99, monthly_cap_usd=10.0, hard_cap_factor=1.5),
        },
    ),
    ([machine(spent_usd=2.0)], {"policy": replace(POLICY, machine_cap_usd=2.0)}),
]


def reasons(decisions: list[Decision]) -> list[str]:
    """What goes into rows: nobody reads why a machine is kept."""
    return [one.reason for one in decisions if isinstance(one, Rent | Wait | Drain | Destroy)]


@pytest.mark.parametrize(("rented", "changed"), CASES)
def test_every_reason_of_a_decision_is_known(rented: list[Machine], changed: dict[str, Any]) -> None:
    decisions = decide(rented, **changed)
    found = reasons(decisions)
    given_back = [one.reason for one in decisions if isinstance(one, Drain | Destroy)]
    assert found
    rows = [*found, *(f"{text}." for text in given_back), *(f"Being given back: {text}." for text in given_back)]
    assert {text: unknown(text) for text in rows} == {text: set() for text in rows}


def test_these_decisions_give_every_reason_that_there_is() -> None:
    said = " ".join(text for rented, changed in CASES for text in reasons(decide(rented, **changed)))
    modules = (fleet, fleet_machines, fleet_situation)
    there = {one.english for module in modules for one in vars(module).values() if isinstance(one, Sentence)}
    parts = {text: [part for part in A_VALUE.split(text)[::2] if part] for text in there}
    assert [text for text in sorted(there) if not all(part in said for part in parts[text])] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"rentable": None, "num_gpus": 2, "verification": None, "dph_base": 1.2, "geolocation": "Oslo, NO"},
        {"gpu_name": "RTX 3060", "geolocation": None, "gpu_ram": 16376.0, "reliability": None, "cuda_max_good": 12.2},
        {"gpu_ram": None, "reliability": 0.6, "inet_down": 120.0, "disk_space": 30.0},
        {"cuda_max_good": None, "disk_space": None, "duration": 3600.0, "direct_port_count": 0},
        {"duration": None, "direct_port_count": None},
    ],
)
def test_everything_against_an_offer_is_known(changed: dict[str, Any]) -> None:
    policy = replace(POLICY, gpu_names=frozenset({"RTX 4090"}), regions=frozenset({"US"}))
    found = score(offer(**changed), policy, AVOIDED[24001], fleet.DEFAULTS, NOW).excluded
    assert len(found) > 1
    rows = [*found, *(fleet.NONE_FITS_BECAUSE(count=8, reason=text) for text in found)]
    assert {text: unknown(text) for text in rows} == {text: set() for text in rows}


@pytest.mark.parametrize("changed", [{"dph_base": None}, {"dph_base": 0.0}, {"storage_cost": 1e9}])
def test_what_makes_an_offer_unusable_is_known(changed: dict[str, Any]) -> None:
    [why] = score(offer(**changed), POLICY, None, fleet.DEFAULTS, NOW).excluded
    assert unknown(why) <= {"dph_base"}  # vast.ai's own name


def test_the_refusal_of_a_cap_is_known_when_a_row_holds_it() -> None:
    amounts = {"cap_usd": Decimal(5), "spent_usd": Decimal(4), "promised_usd": Decimal(1)}
    room = caps.Room(scope=caps.SITE, period=caps.DAY, soft_percent=80, **amounts)
    english = caps.refusal_text(room, Decimal(2))
    assert unknown(english) == set()
    with translation.override("de"):
        assert caps.refusal_text(room, Decimal(2)) == translated(english) != english


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never") as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting()
            yield simulator


def test_a_machines_story_is_known_from_its_wish_to_its_end(vast: VastSimulator) -> None:
    renting.want(waiting=3)
    renting.period(vast)
    renting.want()
    row = Instance.objects.get()
    renting.until(vast, row, S.DESTROYED)

    texts = [row.reason, row.end_reason, *row.events.exclude(kind="status").values_list("message", flat=True)]
    assert len(texts) > 8
    assert {text: unknown(text) for text in texts} == {text: set() for text in texts}
    statuses = row.events.filter(kind="status").values_list("message", flat=True)
    assert all("vast" not in unknown(text) for text in statuses)  # what follows it are vast.ai's words


@pytest.mark.parametrize(
    "state_and_age", [(S.BOOTING, {"sent_at": 60}), (S.PROVISIONING, {"running_at": 90}), (S.READY, {"max_until": 1})]
)
def test_why_the_clock_takes_a_machine_back_is_known(db: None, state_and_age: tuple[str, dict[str, int]]) -> None:
    state, ages = state_and_age
    now = timezone.now()
    row = machine_rows.instance(state, seen_at=now, trouble="SwarmUI has no address yet.")
    for name, age in ages.items():
        setattr(row, name, now - timedelta(minutes=age))
    sightings.walls(row, now)
    assert row.state == S.DESTROYING
    assert unknown(row.end_reason) == set()
    assert unknown(InstanceEvent.objects.get().message) == set()


def test_why_nothing_was_rented_is_known(vast: VastSimulator) -> None:
    row = machines.request_machine(reason="Somebody else took the offer first.")
    renting.allow_renting(min_credit_usd=Decimal(100_000))
    renting.period(vast)
    row.refresh_from_db()
    texts = [row.end_reason, *row.events.values_list("message", flat=True)]
    assert row.end_reason.startswith("The credit at vast.ai is $")
    assert {text: unknown(text) for text in texts} == {text: set() for text in texts}


def test_every_alarm_is_known(db: None) -> None:
    now, long_ago = timezone.now(), timezone.now() - timedelta(hours=2)
    policy = config.load()
    policy.machine_cap_usd = Decimal(1)
    policy.save()
    stranger = {"id": 1, "gpu_name": "RTX 4090", "usd_per_hour": "0.4", "label": ""}
    strangers = [stranger, stranger | {"id": 2, "label": "LAB"}, {"id": 3, "gpu_name": "RTX 4090"}]
    FleetStatus.objects.create(pk=1, credit_usd=Decimal(1), listed_at=now, strangers=strangers)
    cloud_credit.told_empty("CLOSED.")
    machine_rows.spent(machine_rows.instance(S.READY, seen_at=long_ago, spent_usd=Decimal("0.9")), "90")
    machine_rows.instance(S.REQUESTED, label="A")
    machine_rows.instance(S.BOOTING)
    machine_rows.instance(S.PROVISIONING, trouble="SwarmUI has no address yet.")
    machine_rows.instance(S.DESTROYING)

    found = [alarm.message for alarm in alarms.check(now)]
    assert len(found) == 13
    assert {text: unknown(text) for text in found} == {text: set() for text in found}


def test_everything_that_does_not_add_up_is_known(db: None) -> None:
    over = machine_rows.instance(S.DESTROYED, spent_usd=Decimal(3))
    other = machine_rows.instance(S.READY, reserved_usd=0)
    booked = [(Kind.RESERVE, 1), (Kind.RESERVE, 1), (Kind.SPEND, 3), (Kind.SPEND, 3), (Kind.CORRECT, -9)]
    booked_later = [(Kind.RESERVE, 1), (Kind.SPEND, 2), (Kind.RELEASE, 5)]
    for row, entries in ((over, booked), (other, booked_later)):
        for number, (kind, usd) in enumerate(entries):
            key = f"{row.pk}:{number}"
            LedgerEntry.objects.create(book=Book.PERSON, kind=kind, subject=row.pk, usd=usd, key=key)
    Purse.objects.create(account="cloud", reserved_usd=4)
    DayTotal.objects.create(account="cloud", day=NOW.date(), spent_usd=4)

    found = {problem.message for problem in audit.check_ledger()}
    assert len({re.sub(r"[\d.-]+", "", text) for text in found}) == 11
    assert set().union(*map(unknown, found)) == {"reserve"}  # the name of a kind, as it stands in the row


def test_the_alarm_of_the_ledger_is_known(db: None) -> None:
    Purse.objects.create(account="cloud", reserved_usd=4)
    watch.add_up(timezone.now())
    assert unknown(FleetStatus.objects.get().ledger_trouble) == {"cloud"}  # the account
