"""What the fleet is told of the videos, and what people are told of the fleet."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from generation import queries
from generation.models import Attempt, Status, VideoJob
from generation.services import fleet_bell, jobs
from generation.services.estimate import reference_seconds
from generation.services.jobs import JobRequest
from gpu.models import FleetStatus, InstanceState
from gpu.services import policy
from tests import factories
from tests.gpu import machine_rows

S = InstanceState


def wan_job(person: User, **values: object) -> VideoJob:
    return factories.job(person, model=factories.wan_model(), **values)


@pytest.fixture
def renting(settings: Settings, db: None) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})


def test_only_videos_that_could_start_on_a_gpu_are_demand(person: User) -> None:
    wan_job(person, created_at=timezone.now() - timedelta(seconds=90))
    wan_job(person, status=Status.RENDERING)
    wan_job(person, image=None, image_url="https://example.com/a.png")
    factories.job(person)

    demand = queries.fleet_demand()

    assert (demand.waiting, demand.running) == (1, 1)
    assert demand.oldest_wait_s == pytest.approx(90, abs=5)


def test_a_machine_is_needed_until_its_results_are_fetched(person: User) -> None:
    rendering, storing = wan_job(person, status=Status.RENDERING), wan_job(person, status=Status.STORING)
    done = wan_job(person)
    for job in (rendering, storing):
        factories.attempt(job, endpoint="http://machine")
    factories.attempt(done, endpoint="http://machine", ended_at=timezone.now(), outcome=Attempt.Outcome.STORED)

    assert queries.fleet_demand().jobs_at == {"http://machine": 2}


def test_a_video_is_accepted_when_a_machine_may_be_rented_and_says_so(person: User, renting: None) -> None:
    request = JobRequest(prompt="x", model="wan-2-2", image=factories.source_image(person))

    job = jobs.submit_job(owner=person, request=request)

    state = queries.states_of([queries.jobs_of(person).get(pk=job.pk)])[job.pk]
    assert state.message == "Waiting for a GPU to be rented"
    assert (state.eta_s or 0) > 300  # the boot is in it


def test_a_video_that_waits_for_a_boot_says_so(person: User, renting: None) -> None:
    machine_rows.instance(S.BOOTING)
    job = queries.jobs_of(person).get(pk=wan_job(person).pk)

    assert "booting" in queries.states_of([job])[job.pk].message


def test_the_fleet_is_rung_for_when_a_video_has_nowhere_to_go(person: User, renting: None) -> None:
    fleet_bell.ring_if_needed()
    assert not OrmQ.objects.exists()

    wan_job(person)
    fleet_bell.ring_if_needed()

    assert [row.func() for row in OrmQ.objects.all()] == ["gpu.tasks.reconcile"]


def test_the_fleet_is_rung_for_when_its_machines_were_not_looked_at_for_a_period(db: None, settings: Settings) -> None:
    machine_rows.instance(S.READY)
    FleetStatus.objects.update_or_create(pk=1, defaults={"listed_at": timezone.now()})
    fleet_bell.ring_if_needed()
    assert not OrmQ.objects.exists()

    before = timezone.now() - timedelta(seconds=settings.RECONCILE_SECONDS + 1)
    FleetStatus.objects.update(listed_at=before)
    fleet_bell.ring_if_needed()

    assert OrmQ.objects.count() == 1


def test_times_are_compared_by_the_reference_video(person: User) -> None:
    half = wan_job(person, width=832, height=480, frames=41, steps=4)

    assert reference_seconds(half, 41) == pytest.approx(81)
