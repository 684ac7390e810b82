"""The fleet against the simulated vast.ai: one clock for both, and a policy that rents."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from pytest_django import Settings

from gpu.clients import vastai_limits
from gpu.models import FleetStatus, GpuConfig, GpuProvider, Instance
from gpu.services import config, machines, reconcile
from gpu.services.fleet_values import Demand
from tests.simulators.vastai import DeadManSwitch, VastSimulator

Switch = DeadManSwitch  # what runs on every machine beside SwarmUI
_wanted = Demand()


def demand() -> Demand:
    """What settings.FLEET_DEMAND names in these tests."""
    return _wanted


def want(**values: Any) -> None:
    global _wanted  # noqa: PLW0603 (the dotted path of a setting has to lead to it)
    _wanted = Demand(**values)


def no_waiting(url: str, key: str) -> None:
    """Our own rate limits, without the time they take: the simulator's clock stands still meanwhile."""
    ticks = iter(range(0, 10**9, 100))
    limiter = vastai_limits.RateLimiter(clock=lambda: float(next(ticks)), sleep=lambda _seconds: None)
    vastai_limits._shared[(url, hashlib.sha256(key.encode()).hexdigest())] = limiter


@contextmanager
def one_clock(vast: VastSimulator) -> Iterator[None]:
    """Our now is the simulator's."""
    with mock.patch.object(timezone, "now", side_effect=lambda: datetime.fromtimestamp(vast.now, UTC)):
        yield


def values(vast: VastSimulator) -> dict[str, Any]:
    """The settings that point the platform at the simulator."""
    no_waiting(vast.url, vast.api_key)
    want()
    return {
        "VASTAI_URL": vast.url,
        "VASTAI_API_KEY": vast.api_key,
        "DEPLOYMENT": "tests",
        "FLEET_DEMAND": "tests.gpu.renting.demand",
    }


def use(settings: Settings, vast: VastSimulator) -> None:
    """Point the platform at the simulator."""
    for name, value in values(vast).items():
        setattr(settings, name, value)


def allow_renting(**changes: Any) -> GpuConfig:
    cache.clear()
    row = config.load()
    wanted: dict[str, Any] = {
        "renting": True,
        "gpu_provider": GpuProvider.VASTAI,
        "min_cuda": 12,
        "max_price_usd_per_hour": 3,
        "image": "example/swarmui:1",
    }
    for name, value in (wanted | changes).items():
        setattr(row, name, value)
    row.save()
    return row


def period(vast: VastSimulator, seconds: float = 60) -> reconcile.Report:
    """So much time passes, then a round."""
    vast.advance(seconds)
    return reconcile.reconcile()


def rent(vast: VastSimulator) -> Instance:
    """A machine that vast.ai has rented out to us."""
    row = machines.request_machine(reason="a test wants one")
    reconcile.reconcile()
    row.refresh_from_db()
    return row


def until(vast: VastSimulator, row: Instance, *states: str, periods: int = 40) -> Instance:
    """Rounds until the row is in one of the states."""
    for _ in range(periods):
        row.refresh_from_db()
        if row.state in states:
            return row
        period(vast)
    status = FleetStatus.objects.filter(pk=1).first()
    story = "\n".join(f"{one.at:%H:%M:%S} {one.kind}: {one.message}" for one in row.events.all())
    raise AssertionError(f"{row.state}, not {states} ({row.trouble}; {status}):\n{story}")


def ours(vast: VastSimulator) -> list[dict[str, Any]]:
    """What is alive at vast.ai under this deployment's label."""
    return [one for one in vast.instances(alive=True) if (one["label"] or "").startswith(f"i2v/{settings.DEPLOYMENT}/")]
