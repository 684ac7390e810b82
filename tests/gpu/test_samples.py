"""The points of the fleet's plot, and what is done every minute."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from gpu import queries, tasks
from gpu.models import Alarm, FleetSample, FleetStatus, InstanceState
from gpu.services import samples
from tests.gpu import machine_rows

pytestmark = pytest.mark.django_db
S = InstanceState


def test_a_sample_counts_machines_and_all_money_ever() -> None:
    machine_rows.instance(S.READY, spent_usd=Decimal("0.5"))
    machine_rows.instance(S.BOOTING)
    machine_rows.instance(S.DESTROYED, spent_usd=Decimal("1.25"))
    samples.record(timezone.now(), waiting=7)
    sample = FleetSample.objects.get()
    assert (sample.machines, sample.ready, sample.waiting, sample.spend_usd) == (2, 1, 7, Decimal("1.75"))


def test_one_minute_has_one_sample() -> None:
    now = timezone.now().replace(second=5)
    samples.record(now, waiting=1)
    samples.record(now + timedelta(seconds=40), waiting=2)
    assert FleetSample.objects.get().waiting == 2


def test_old_samples_are_forgotten() -> None:
    now = timezone.now()
    for days in (1, 36):
        samples.record(now - timedelta(days=days), waiting=0)
    assert (samples.forget_old(now), FleetSample.objects.count()) == (1, 1)


def test_a_long_time_is_thinned_and_keeps_its_peaks() -> None:
    now = timezone.now()
    machine_rows.samples(now)
    points = queries.plot_series(hours=24, now=now)
    assert len(points) <= queries.PLOT_POINTS
    assert max(point.waiting for point in points) == max(FleetSample.objects.values_list("waiting", flat=True))
    assert points[-1].spent_usd == pytest.approx(13.6, abs=0.5)


def test_the_task_of_every_minute_alarms_and_draws(settings: Settings) -> None:
    settings.FLEET_DEMAND, settings.VASTAI_API_KEY = "", "key"
    FleetStatus.objects.create(pk=1, credit_usd=Decimal("0.5"))
    for _ in range(2):
        tasks.watch()
    assert (Alarm.objects.count(), FleetSample.objects.count() in (1, 2)) == (1, True)


def test_without_a_key_and_without_a_machine_nothing_is_drawn(settings: Settings) -> None:
    settings.FLEET_DEMAND, settings.VASTAI_API_KEY = "", ""
    tasks.watch()
    assert not FleetSample.objects.exists()
