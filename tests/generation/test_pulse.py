"""A hung process is told from a busy one."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ

from generation.models import Heartbeat, Status
from generation.services import pulse
from generation.services.pulse import Pulse
from tests import factories

LONG_S = 600.0


def beat(name: str, *, seconds_ago: float) -> None:
    Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": timezone.now() - timedelta(seconds=seconds_ago)})


def test_a_worker_that_answers_is_not_stuck(db: None) -> None:
    pulse.beat("worker")

    assert not Pulse("worker").worker_is_stuck(LONG_S)


def test_a_worker_that_is_silent_for_long_is_stuck(db: None) -> None:
    beat("worker", seconds_ago=120)

    assert Pulse("worker").worker_is_stuck(LONG_S)


def test_a_worker_that_has_just_started_is_given_time(db: None) -> None:
    beat("worker", seconds_ago=3600)

    assert not Pulse("worker").worker_is_stuck(5)


def test_a_worker_that_stores_a_large_video_is_busy(person: User) -> None:
    beat("worker", seconds_ago=300)
    factories.job(person, status=Status.STORING, lease_until=timezone.now() + timedelta(seconds=10))

    assert not Pulse("worker").worker_is_stuck(LONG_S)


def test_a_worker_is_rung_at_once_and_not_again_before_it_has_answered(db: None) -> None:
    watched = Pulse("worker")

    for _ in range(5):
        watched.worker_is_stuck(5)

    assert OrmQ.objects.count() == 1


def test_a_restarted_worker_is_rung_again_though_the_old_one_never_answered(db: None) -> None:
    watched = Pulse("worker", rung_at=timezone.now() - timedelta(seconds=60))

    watched.worker_is_stuck(2)

    assert OrmQ.objects.count() == 1


def test_a_silent_dispatcher_is_stuck_and_a_beating_one_is_not(db: None) -> None:
    beat("dispatcher", seconds_ago=120)
    silent = Pulse("dispatcher").dispatcher_is_stuck(LONG_S)
    pulse.beat("dispatcher")

    assert (silent, Pulse("dispatcher").dispatcher_is_stuck(LONG_S)) == (True, False)
