"""What a dispatcher remembers of an attempt between two flushes."""

import pytest
from django.contrib.auth.models import User

from generation.engines.base import Phase, Progress
from generation.models import Status, VideoJob
from generation.services import claims, held
from generation.services.claims import Room
from generation.services.held import Held, LeaseLost
from tests import factories


def hold(person: User) -> Held:
    factories.job(person)
    (claim,) = claims.claim_jobs(owner="me", room=Room(total=1, preview=1))
    return Held(claim)


def test_progress_that_goes_back_at_the_engine_does_not_go_back_for_people(person: User) -> None:
    item = hold(person)

    for fraction in (0.5, 0.3, 7.0, -1.0):
        item.note(Progress(Phase.RENDERING, fraction))

    assert item.fraction == 1.0
    held.flush([item])
    assert VideoJob.objects.get().progress == held.RENDERED


def test_news_is_written_once(person: User, django_assert_num_queries) -> None:
    item = hold(person)
    item.note(Progress(Phase.LOADING))
    held.flush([item])

    with django_assert_num_queries(0):
        held.flush([item])


def test_news_of_a_job_that_is_over_or_taken_over_changes_nothing(person: User) -> None:
    item = hold(person)
    VideoJob.objects.update(lease_token="thief")
    item.note(Progress(Phase.RENDERING, 0.5))

    held.flush([item])

    assert VideoJob.objects.get().progress == 0


def test_a_lost_lease_stops_every_later_write(person: User) -> None:
    item = hold(person)
    VideoJob.objects.update(status=Status.CANCELLED)

    with pytest.raises(LeaseLost):
        held.fail(item, code="x", message="y")
    with pytest.raises(LeaseLost):
        held.give_back(item, pause_s=0, message="", counted=True, outcome="failed")
    assert VideoJob.objects.get().status == Status.CANCELLED


def test_each_phase_is_timed(person: User) -> None:
    item = hold(person)
    for phase in (Phase.SENDING, Phase.RENDERING, Phase.FINISHING):
        item.note(Progress(phase))
    item.enter(None)

    assert set(item.timings) == {"sending", "rendering", "finishing"}
