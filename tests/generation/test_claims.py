"""Who is next, and that nobody is taken twice."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, Settings

from generation.models import Attempt, Status, VideoJob
from generation.services import claims
from generation.services.claims import Mode, Room
from tests import factories

SERVER = "http://127.0.0.1:7801"


def take(preview: int = 10, endpoints: list[str] | None = None, total: int = 100) -> list[claims.Claim]:
    return claims.claim_jobs(owner="me", room=Room(total=total, preview=preview, endpoints=endpoints or []))


def lapse(job: VideoJob) -> None:
    VideoJob.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_claimed_job_is_held_and_has_an_attempt(person: User) -> None:
    job = factories.job(person)

    (claim,) = take()

    job.refresh_from_db()
    assert (job.status, job.lease_token, job.attempts_made) == (Status.RENDERING, claim.token, 1)
    assert (claim.mode, claim.attempt.job) == (Mode.RENDER, job)
    assert take() == []


def test_a_claim_read_before_somebody_else_took_the_job_gets_nothing(person: User) -> None:
    job = factories.job(person)
    stale = VideoJob.objects.get(pk=job.pk)
    assert job.claim(owner="first", lease=timedelta(seconds=5))

    assert stale.claim(owner="second", lease=timedelta(seconds=5)) is None


def test_the_next_job_is_the_oldest_of_the_person_with_the_fewest_running(person: User, stranger: User) -> None:
    busy = [factories.job(person) for _ in range(3)]
    late = factories.job(stranger)

    order = [claim.job.pk for claim in take(preview=2)] + [claim.job.pk for claim in take(preview=2)]

    assert order == [busy[0].pk, late.pk, busy[1].pk, busy[2].pk]


def test_no_more_than_there_is_room_for_is_taken(person: User) -> None:
    for _ in range(3):
        factories.job(person)

    assert len(take(preview=2)) == 2
    assert take(preview=5, total=0) == []


def test_a_server_gets_as_many_jobs_as_it_has_seats(person: User, settings: Settings) -> None:
    settings.SWARMUI_SEATS = 2
    for _ in range(5):
        factories.job(person, model=factories.wan_model())

    taken = take(endpoints=[SERVER])

    assert [claim.attempt.endpoint for claim in taken] == [SERVER, SERVER]
    assert take(endpoints=[SERVER]) == []


def test_a_job_on_its_way_to_storage_has_left_its_seat(person: User, settings: Settings) -> None:
    settings.SWARMUI_SEATS = 1
    storing = factories.job(person, model=factories.wan_model(), status=Status.STORING)
    factories.attempt(storing, endpoint=SERVER)
    factories.job(person, model=factories.wan_model())

    assert len(take(endpoints=[SERVER])) == 1


def test_a_cancelled_job_keeps_its_seat_until_the_engine_has_been_told(person: User, settings: Settings) -> None:
    settings.SWARMUI_SEATS = 1
    cancelled = factories.job(person, model=factories.wan_model(), status=Status.CANCELLED, lease_token="t")
    factories.attempt(cancelled, endpoint=SERVER, sent_at=timezone.now())
    factories.job(person, model=factories.wan_model())

    assert take(endpoints=[SERVER]) == []


@pytest.mark.parametrize(("sent", "mode"), [(True, Mode.RECOVER), (False, Mode.RENDER)])
def test_a_lapsed_job_is_looked_for_only_when_it_may_have_been_sent(person: User, sent: bool, mode: Mode) -> None:
    job = factories.job(person)
    (first,) = take()
    if sent:
        Attempt.objects.update(sent_at=timezone.now())
    lapse(job)

    (second,) = take()

    assert (second.mode, second.attempt) == (mode, first.attempt)
    assert second.token != first.token


def test_a_lapsed_cancelled_job_is_cleaned_up(person: User) -> None:
    job = factories.job(person)
    take()
    VideoJob.objects.update(status=Status.CANCELLED)
    lapse(job)

    assert [claim.mode for claim in take()] == [Mode.CLEAN_UP]


def test_a_lapsed_job_whose_attempt_is_gone_waits_again(person: User) -> None:
    job = factories.job(person)
    take()
    Attempt.objects.all().delete()
    lapse(job)

    assert take(preview=0) == []
    job.refresh_from_db()
    assert (job.status, job.lease_token) == (Status.QUEUED, "")


def test_a_job_that_pauses_is_not_taken(person: User) -> None:
    factories.job(person, next_attempt_at=timezone.now() + timedelta(minutes=1))

    assert take() == []


def test_a_job_by_address_gets_its_size_when_the_picture_is_here(person: User) -> None:
    picture = factories.source_image(person, width=300, height=520)
    factories.job(person, image=picture, width=None, height=None)

    (claim,) = take()

    assert (claim.job.width, claim.job.height) == (480, 832)


def test_the_bell_for_a_picture_rings_once_a_minute(person: User) -> None:
    factories.job(person, image_url="https://example.com/a.jpg")

    claims.ring_for_pictures()
    claims.ring_for_pictures()

    assert OrmQ.objects.count() == 1


def test_looking_for_work_when_there_is_none_takes_no_lock(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        take()
