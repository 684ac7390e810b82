"""One's own queue: taking back a cancel, the order, the pause."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from generation import queries
from generation.errors import AlreadyOver, NotWaiting
from generation.models import Preferences, Status, VideoJob
from generation.services import claims, estimate, queueing, sweeping
from generation.services.claims import Room
from tests import factories

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def taken(preview: int = 10) -> list[VideoJob]:
    room = Room(total=100, preview=preview, endpoints=[])
    return [claim.job for claim in claims.claim_jobs(owner="me", room=room)]


def order_of(owner: User) -> list[VideoJob]:
    waiting = VideoJob.objects.filter(owner=owner, status=Status.QUEUED)
    return list(waiting.order_by("rank", "created_at", "pk"))


def message(job: VideoJob) -> str:
    row = queries.jobs_of(job.owner).get(pk=job.pk)
    return queries.states_of([row])[job.pk].message


# --- cancel, and undo ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERING, Status.STORING])
def test_a_cancel_takes_effect_when_nobody_took_it_back_in_time(person: User, status: Status) -> None:
    job = factories.job(person, status=status)
    with time_machine.travel(NOON, tick=False) as clock:
        queueing.ask_to_cancel(job=job)
        assert queueing.cancel_due() == 0
        clock.shift(queueing.UNDO_SECONDS)
        assert queueing.cancel_due() == 1
        assert queueing.cancel_due() == 0

    job.refresh_from_db()
    assert (job.status, job.finished_at) == (Status.CANCELLED, NOON + timedelta(seconds=queueing.UNDO_SECONDS))


def test_a_cancel_that_was_taken_back_leaves_the_video_as_it_was(person: User) -> None:
    job = factories.job(person)
    with time_machine.travel(NOON, tick=False) as clock:
        queueing.ask_to_cancel(job=job)
        assert (message(job), taken()) == ("Being cancelled", [])
        queueing.take_back_cancel(job=job)
        clock.shift(60)
        assert queueing.cancel_due() == 0

    assert taken() == [job]


def test_the_sweep_carries_out_what_no_dispatcher_did(person: User) -> None:
    job = factories.job(person)
    with time_machine.travel(NOON, tick=False) as clock:
        queueing.ask_to_cancel(job=job)
        clock.shift(queueing.UNDO_SECONDS)
        sweeping.sweep()

    job.refresh_from_db()
    assert job.status == Status.CANCELLED


def test_asking_again_never_makes_it_later(person: User) -> None:
    job = factories.job(person)
    with time_machine.travel(NOON, tick=False) as clock:
        first = queueing.ask_to_cancel(job=job).cancel_at
        clock.shift(3)
        assert queueing.ask_to_cancel(job=job, grace_s=60).cancel_at == first


def test_no_grace_is_at_once_and_a_long_one_is_a_minute(person: User) -> None:
    now, later = factories.job(person), factories.job(person)
    with time_machine.travel(NOON, tick=False):
        assert queueing.ask_to_cancel(job=now, grace_s=0).status == Status.CANCELLED
        assert queueing.ask_to_cancel(job=later, grace_s=1e9).cancel_at == NOON + timedelta(seconds=60)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED, Status.SUCCEEDED])
def test_what_is_over_stays_as_it_is(person: User, status: Status) -> None:
    job = factories.job(person, status=status, error_code="x", video_key="x", finished_at=timezone.now())

    for act in (queueing.ask_to_cancel, queueing.take_back_cancel):
        with pytest.raises(AlreadyOver):
            act(job=job)
    job.refresh_from_db()
    assert (job.status, job.cancel_at) == (status, None)


def test_a_video_that_ends_in_time_is_kept(person: User) -> None:
    job = factories.job(person, status=Status.RENDERING)
    with time_machine.travel(NOON, tick=False) as clock:
        queueing.ask_to_cancel(job=job)
        VideoJob.objects.filter(pk=job.pk).update(status=Status.SUCCEEDED, video_key="out/x.mp4")
        clock.shift(60)
        assert queueing.cancel_due() == 0


def test_a_claim_read_before_the_cancel_was_asked_for_gets_nothing(person: User) -> None:
    stale = factories.job(person)
    queueing.ask_to_cancel(job=VideoJob.objects.get(pk=stale.pk))

    assert stale.claim(owner="me", lease=timedelta(seconds=5)) is None


# --- the order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "order"), [("up", "acbd"), ("down", "abdc"), ("first", "cabd"), ("last", "abdc")])
def test_a_video_moves_in_its_persons_own_queue(person: User, to: queueing.Place, order: str) -> None:
    rows = {name: factories.job(person, prompt=name) for name in "abcd"}

    queueing.move(job=rows["c"], to=to)

    assert "".join(row.prompt for row in order_of(person)) == order
    assert [row.prompt for row in taken(preview=4)] == list(order)


def test_the_ends_of_the_queue_are_the_ends(person: User) -> None:
    first, last = factories.job(person), factories.job(person)

    queueing.move(job=first, to="up")
    queueing.move(job=last, to="down")

    assert order_of(person) == [first, last]


def test_videos_of_one_moment_can_be_moved_too(person: User) -> None:
    rows = [factories.job(person, rank=5) for _ in range(3)]

    queueing.move(job=rows[2], to="first")

    assert order_of(person) == [rows[2], rows[0], rows[1]]


def test_only_what_waits_can_be_moved(person: User) -> None:
    with pytest.raises(NotWaiting):
        queueing.move(job=factories.job(person, status=Status.RENDERING), to="up")


def test_a_reorder_never_changes_the_turns_of_others(person: User, stranger: User) -> None:
    mine = [factories.job(person), factories.job(person)]
    hers = [factories.job(stranger), factories.job(stranger)]
    third = factories.job(person)
    before = [job.owner for job in VideoJob.objects.all().order_by("created_at")]
    assert before == [person, person, stranger, stranger, person]

    queueing.move(job=third, to="first")

    assert taken(preview=5) == [third, hers[0], mine[0], hers[1], mine[1]]


def test_the_place_in_line_follows_the_order(person: User) -> None:
    first, second = factories.job(person), factories.job(person)

    queueing.move(job=second, to="up")

    states = queries.states_of(queries.jobs_of(person))
    assert [states[job.pk].queue_position for job in (first, second)] == [2, 1]


class TestMoves(TestCase):
    @given(
        st.lists(st.integers(0, 3), min_size=1, max_size=6),
        st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["up", "down", "first", "last"])), max_size=8),
    )
    def test_any_moves_leave_a_permutation(self, ranks: list[int], moves: list[tuple[int, queueing.Place]]) -> None:
        owner = factories.person("ada")
        image = factories.source_image(owner)
        rows = [factories.job(owner, image=image, rank=rank) for rank in ranks]
        expected = order_of(owner)
        for number, to in moves:
            job = rows[number % len(rows)]
            queueing.move(job=job, to=to)
            here = expected.index(job)
            places = {"up": here - 1, "down": here + 1, "first": 0, "last": len(rows)}
            expected.insert(max(0, places[to]), expected.pop(here))
            assert order_of(owner) == expected


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_moves_at_the_same_moment_lose_no_video_and_give_no_place_twice(person: User) -> None:
    rows = [factories.job(person) for _ in range(6)]
    start = Barrier(4)

    def shuffle(job: VideoJob, to: queueing.Place) -> None:
        start.wait()
        for _ in range(5):
            queueing.move(job=job, to=to)
        connection.close()

    places: tuple[queueing.Place, ...] = ("up", "down", "first", "last")
    threads = [Thread(target=shuffle, args=(rows[number], to)) for number, to in enumerate(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ranks = list(VideoJob.objects.values_list("rank", flat=True))
    assert len(set(ranks)) == 6
    assert set(order_of(person)) == set(rows)


# --- the pause ----------------------------------------------------------------------------------------------------


def test_a_paused_queue_starts_nothing_until_it_is_resumed(person: User, stranger: User) -> None:
    mine, hers = factories.job(person), factories.job(stranger)

    queueing.pause(owner=person)
    assert queueing.is_paused(owner=person)
    assert taken() == [hers]
    assert message(mine) == "Your queue is paused"

    queueing.resume(owner=person)
    assert taken() == [mine]


def test_a_paused_video_has_no_place_and_takes_none_from_others(person: User, stranger: User) -> None:
    mine, hers = factories.job(person), factories.job(stranger)
    queueing.pause(owner=person)

    states = queries.states_of(VideoJob.objects.select_related("model", "image"))

    assert (states[mine.pk].queue_position, states[mine.pk].eta_s) == (None, None)
    assert states[hers.pk].queue_position == 1


def test_what_renders_goes_on_in_a_paused_queue(person: User) -> None:
    job = factories.job(person)
    taken()
    queueing.pause(owner=person)
    VideoJob.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert taken() == [job]


def test_nobody_waits_behind_a_paused_queue_or_a_video_that_is_being_cancelled(person: User, stranger: User) -> None:
    queueing.pause(owner=stranger)
    factories.job(stranger)
    factories.job(person, cancel_at=timezone.now())
    assert estimate.unfinished() == {}

    factories.job(person)
    factories.job(stranger, status=Status.RENDERING)
    assert estimate.unfinished() == {"preview": 2}


def test_nobody_rents_a_machine_for_a_paused_queue_or_a_video_that_is_being_cancelled(
    person: User, stranger: User
) -> None:
    factories.job(person, model=factories.wan_model())
    queueing.pause(owner=person)
    queueing.ask_to_cancel(job=factories.job(stranger, model=factories.wan_model()))

    demand = queries.fleet_demand()

    assert (demand.waiting, demand.oldest_wait_s) == (0, 0.0)
    queueing.resume(owner=person)
    assert queries.fleet_demand().waiting == 1


def test_a_pause_that_lasted_too_long_says_so(person: User, stranger: User) -> None:
    old = timezone.now() - timedelta(days=30)
    mine, hers = factories.job(person, created_at=old), factories.job(stranger, created_at=old)
    queueing.pause(owner=person)

    sweeping.sweep()

    messages = dict(VideoJob.objects.values_list("pk", "error_message"))
    assert messages == {mine.pk: sweeping.WAITED_IN_PAUSE, hers.pk: sweeping.WAITED_TOO_LONG}


def test_a_pause_keeps_the_other_preferences(person: User) -> None:
    Preferences.objects.create(person=person, rule=Preferences.Rule.CHEAPEST)

    queueing.pause(owner=person)

    assert Preferences.objects.get(person=person).rule == Preferences.Rule.CHEAPEST
