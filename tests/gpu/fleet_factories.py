"""A market, machines and a state of things to change one piece of."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gpu.services import fleet
from gpu.services.fleet_values import (
    Decision,
    Demand,
    Destroy,
    Drain,
    Extend,
    HostMemory,
    Machine,
    MachineState,
    MarketOffer,
    Offer,
    Policy,
    Rent,
    Spend,
    Wait,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
POLICY = Policy(renting=True, max_machines=3)
SPEND = Spend(credit_usd=50.0)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def offer(number: int = 1, **changed: Any) -> MarketOffer:
    """The example of the contract: a verified RTX 4090 in Texas at $0.40 an hour."""
    fields: dict[str, Any] = {
        "id": 31415000 + number, "machine_id": 24000 + number, "gpu_name": "RTX 4090", "gpu_ram": 24564.0,
        "cuda_max_good": 12.8, "disk_space": 812.4, "inet_down": 2000.0, "inet_down_cost": 0.0025,
        "inet_up_cost": 0.005, "storage_cost": 0.15, "dph_base": 0.40, "reliability": 0.9962,
        "verification": "verified", "rentable": True, "geolocation": "Texas, US", "duration": 7776000.0,
        "direct_port_count": 249,
    }  # fmt: skip
    return MarketOffer(**(fields | changed))


MARKET = [offer(number, dph_base=0.40 + number / 100) for number in range(1, 9)]


def machine(number: int = 1, state: str = MachineState.READY, **changed: Any) -> Machine:
    """Rented an hour ago; idle for none of it unless said otherwise."""
    fields: dict[str, Any] = {
        "id": f"m{number}", "state": state, "created_at": NOW - minutes(60), "ready_at": NOW - minutes(50),
        "idle_since": NOW, "lease_until": NOW + minutes(10), "max_until": NOW + minutes(420),
        "machine_id": 24000 + number, "usd_per_hour": 0.40, "storage_usd_per_hour": 0.0125, "traffic_usd": 0.103,
        "seconds_per_video": 95.0, "boot_estimate_s": 460.0,
    }  # fmt: skip
    return Machine(**(fields | changed))


def decide(
    machines: Iterable[Machine] = (),
    *,
    waiting: int = 0,
    policy: Policy = POLICY,
    demand: Demand | None = None,
    offers: Iterable[Offer] = tuple(MARKET),
    hosts: Mapping[int, HostMemory] | None = None,
    spend: Spend = SPEND,
    now: datetime = NOW,
) -> list[Decision]:
    wanted = demand or Demand(waiting=waiting)
    return fleet.decide(policy, list(machines), wanted, offers, hosts or {}, spend, now)


def rents(decisions: Iterable[Decision]) -> list[Rent]:
    return [one for one in decisions if isinstance(one, Rent)]


def only(decisions: list[Decision]) -> Decision:
    assert len(decisions) == 1, decisions
    return decisions[0]


def carried_out(machines: Iterable[Machine], decisions: Iterable[Decision], now: datetime = NOW) -> list[Machine]:
    """The machines right after `decisions` were carried out."""
    rows = {one.id: one for one in machines}
    for number, one in enumerate(decisions):
        if isinstance(one, Rent):
            rows[f"new{number}"] = _rented(f"new{number}", one, now)
        elif isinstance(one, Extend):
            rows[one.machine.id] = replace(one.machine, lease_until=one.until)
        elif isinstance(one, Drain):
            rows[one.machine.id] = replace(one.machine, state=MachineState.DRAINING, lease_until=one.until)
        elif isinstance(one, Destroy):
            rows[one.machine.id] = replace(one.machine, state=MachineState.DESTROYING)
    return list(rows.values())


def reserved(spend: Spend, decisions: Iterable[Decision]) -> Spend:
    return replace(spend, reserved_usd=spend.reserved_usd + sum(one.reserve_usd for one in rents(decisions)))


def _rented(name: str, rent: Rent, now: datetime) -> Machine:
    return Machine(
        id=name,
        state=MachineState.REQUESTED,
        created_at=now,
        lease_until=now + minutes(10),
        max_until=now + rent.lifetime,
        machine_id=rent.offer.machine_id,
        usd_per_hour=rent.usd_per_hour,
        storage_usd_per_hour=rent.storage_usd_per_hour,
        traffic_usd=rent.traffic_usd,
        seconds_per_video=rent.seconds_per_video,
        boot_estimate_s=rent.boot_estimate_s,
    )


def reason_of(decisions: list[Decision]) -> str:
    """The words of the only Wait among the decisions."""
    return only([one for one in decisions if isinstance(one, Wait)]).reason
