"""Rows as the values that decisions are made from, and decisions as changes of rows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_noop

from gpu.clients.vastai_errors import VastError
from gpu.models import Book, FleetStatus, GpuConfig, Instance, InstanceState
from gpu.services import caps, config, fleet, machines, market, timeline
from gpu.services.fleet_values import (
    Decision,
    Demand,
    Destroy,
    Drain,
    Extend,
    Machine,
    MachineKind,
    MachineState,
    Offer,
    Policy,
    Rent,
    Spend,
    Wait,
)
from i2v_site.crashpoints import crashpoint
from i2v_site.errors import DomainError
from i2v_site.sentences import Sentence

S = InstanceState
NO_OFFERS = Sentence(gettext_noop("vast.ai shows no offers now: %(exc)s"))


def decide_and_act(demand: Demand, *, now: datetime, may_rent: bool) -> list[Decision]:
    """Decide on the state of things and commit what follows. `may_rent`: vast.ai's list was complete just now."""
    row = config.load()
    watch_idleness(demand.jobs_at, now)
    policy = policy_now(row)
    rows = {str(one.pk): one for one in Instance.objects.rented().alive().select_related("host")}
    values = [machine(one, demand.jobs_at) for one in rows.values()]
    if row.swarmui_url:
        values.append(_manual(row, demand.jobs_at, now))
    found, trouble = _offers(policy, demand) if may_rent else ([], "")
    decisions = fleet.decide(policy, values, demand, found, market.memories(), spend(), now)
    reason = ""
    for decision in decisions:
        if not isinstance(decision, Rent) or may_rent:
            reason = _carry_out(decision, rows) or reason
    if may_rent:
        FleetStatus.objects.filter(pk=1).update(wait_reason=(trouble or reason)[:300])
    return decisions


def policy_now(row: GpuConfig) -> Policy:
    """The policy, as far as it applies: work goes to a configured address, so nothing is rented beside it."""
    policy = market.policy_of(row)
    return replace(policy, renting=False, min_machines=0) if row.swarmui_url else policy


def watch_idleness(jobs_at: Mapping[str, int], now: datetime) -> None:
    """Since when each ready machine has had nothing to do."""
    busy = Q(url__in=[url for url, jobs in jobs_at.items() if jobs > 0])
    ready = Instance.objects.rented().filter(state=S.READY)
    ready.filter(busy, idle_since__isnull=False).update(idle_since=None)
    ready.exclude(busy).filter(idle_since=None).update(idle_since=now)


def machine(row: Instance, jobs_at: Mapping[str, int]) -> Machine:
    """One row as decisions know it."""
    expected: dict[str, Any] = row.offer
    return Machine(
        id=str(row.pk),
        kind=MachineKind.VASTAI,
        state=str(row.state),
        created_at=row.created_at,
        ready_at=row.ready_at,
        idle_since=row.idle_since,
        lease_until=row.lease_until,
        max_until=row.max_until,
        extended_until=row.extended_until,
        machine_id=row.host.machine_id if row.host else None,
        jobs_on_it=jobs_at.get(row.url, 0) if row.url else 0,
        usd_per_hour=float(row.usd_per_hour - row.storage_usd_per_hour),
        storage_usd_per_hour=float(row.storage_usd_per_hour),
        traffic_usd=float(expected.get("traffic_usd") or 0),
        spent_usd=float(row.spent_usd),
        seconds_per_video=expected.get("seconds_per_video"),
        boot_estimate_s=expected.get("boot_estimate_s"),
    )


def _manual(row: GpuConfig, jobs_at: Mapping[str, int], now: datetime) -> Machine:
    return Machine(
        id="manual",
        kind=MachineKind.MANUAL,
        state=MachineState.READY,
        created_at=now,
        jobs_on_it=jobs_at.get(row.swarmui_url, 0),
    )


def spend() -> Spend:
    credit = FleetStatus.objects.filter(pk=1).values_list("credit_usd", flat=True).first()
    of_machines, cloud = caps.promised_to_machines(), caps.promised_to(str(Book.CLOUD))
    today, month = caps.spent(caps.SITE_ACCOUNTS)
    return Spend(
        today_usd=float(today),
        month_usd=float(month),
        reserved_usd=float(of_machines + cloud),
        cloud_reserved_usd=float(cloud),
        credit_usd=None if credit is None else float(credit),
    )


def _offers(policy: Policy, demand: Demand) -> tuple[list[Offer], str]:
    """The market, when there is a reason to look: the day's searches are counted."""
    wanted = policy.renting and (demand.waiting > 0 or policy.min_machines > 0)
    full = Instance.objects.rented().alive().count() >= policy.max_machines
    if not wanted or full:
        return [], ""
    try:
        return market.find(policy), ""
    except VastError as exc:
        return [], NO_OFFERS(exc=exc)


def _carry_out(decision: Decision, rows: Mapping[str, Instance]) -> str:
    """Commit one decision; answers why a wish was not granted."""
    if isinstance(decision, Wait):
        return decision.reason
    if isinstance(decision, Rent):
        try:
            machines.intend(rent=decision)
        except DomainError as exc:
            return exc.message
        return ""
    row = rows.get(decision.machine.id)
    if row is None:
        return ""
    if isinstance(decision, Extend):
        later = Q(lease_until__lt=decision.until) | Q(lease_until=None)
        Instance.objects.filter(later, pk=row.pk, state__in=machines.WANTED).update(lease_until=decision.until)
    elif isinstance(decision, Drain):
        if row.move(S.READY, to=S.DRAINING, end_reason=decision.reason[:300], lease_until=decision.until):
            timeline.note(row, "draining", machines.FINISHING(reason=f"{decision.reason}."))
            crashpoint("vast.drain.committed")
    elif isinstance(decision, Destroy):
        machines.to_destroying(row, reason=f"{decision.reason}.")
    return ""
