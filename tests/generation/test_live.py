"""The live process over real sockets: uvicorn in a thread, a browser's view of the stream."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import gettext, override
from rest_framework.test import APIClient

from generation import feed, live, news
from generation.feed import Feed, Full
from generation.models import Status, VideoJob
from generation.services import queueing
from generation.streams import ALL_JOBS, Watch, stream_token
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

Event = tuple[str, dict[str, Any]]


@pytest.fixture
def address() -> Iterator[str]:
    """A running live process on a free port, in this process so that it sees the test's database."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(live.create_application(), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@contextmanager
def following(address: str, token: str, **more: str) -> Iterator[Iterator[Event]]:
    with (
        httpx.Client(timeout=10, trust_env=False) as client,
        client.stream("GET", f"{address}/events", params={"token": token, **more}) as answer,
    ):
        assert answer.status_code == 200
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Event]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _token(job: VideoJob) -> str:
    return stream_token(job.owner_id, str(job.pk))


def _end(job: VideoJob) -> None:
    VideoJob.objects.filter(pk=job.pk).update(status=Status.CANCELLED, finished_at=timezone.now())


def test_a_stream_tells_what_is_what_changes_and_when_it_is_over(address: str, person: User) -> None:
    job = factories.job(person)

    with following(address, _token(job)) as events:
        first = next(events)
        VideoJob.objects.filter(pk=job.pk).update(status=Status.RENDERING, progress=0.25)
        second = next(events)
        _end(job)
        rest = list(events)

    assert (first[0], first[1]["status"], first[1]["queue_position"]) == ("job", "queued", 1)
    assert (second[1]["status"], second[1]["progress"]) == ("rendering", 0.25)
    assert [(name, data.get("status")) for name, data in rest] == [("job", "cancelled"), ("done", None)]


def test_all_jobs_of_a_person_come_in_one_stream_and_nobody_elses(address: str, person: User, stranger: User) -> None:
    mine, others = factories.job(person), factories.job(stranger)

    with following(address, stream_token(person.pk, ALL_JOBS)) as events:
        assert next(events)[1]["id"] == str(mine.pk)
        later = factories.job(person)
        assert next(events)[1]["id"] == str(later.pk)
        _end(others)
        _end(mine)
        _end(later)
        rest = list(events)

    assert {data["id"] for name, data in rest if name == "job"} == {str(mine.pk), str(later.pk)}
    assert rest[-1][0] == "done"


def test_a_deleted_job_is_reported_gone(address: str, person: User) -> None:
    job = factories.job(person)

    with following(address, _token(job)) as events:
        next(events)
        VideoJob.objects.filter(pk=job.pk).update(deleted_at=timezone.now())
        assert list(events) == [("gone", {"id": str(job.pk)}), ("done", {})]


def test_a_token_for_somebody_elses_job_shows_nothing_of_it(address: str, person: User, stranger: User) -> None:
    job = factories.job(person)

    with following(address, stream_token(stranger.pk, str(job.pk))) as events:
        assert list(events) == [("gone", {"id": str(job.pk)}), ("done", {})]


@pytest.mark.parametrize("token", ["", "nonsense", "1.all:1abc:forged", "%00"])
def test_a_bad_token_is_refused_in_the_shape_of_all_errors(address: str, token: str) -> None:
    answer = httpx.get(f"{address}/events?token={token}", trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "bad_token")


def test_an_expired_token_is_refused(address: str, person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = stream_token(person.pk, ALL_JOBS)
    monkeypatch.setattr("generation.streams.TOKEN_SECONDS", -1)

    assert httpx.get(f"{address}/events?token={token}", trust_env=False).status_code == 403


def test_the_apis_redirect_leads_to_a_stream(address: str, api: APIClient, person: User, settings: Any) -> None:
    settings.LIVE_URL = address
    job = factories.job(person)
    _end(job)

    redirect = api.get(f"/api/jobs/{job.pk}/events", HTTP_ACCEPT="text/event-stream")
    stream = httpx.get(redirect["Location"], trust_env=False)

    assert redirect.status_code == 307
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert '"status": "cancelled"' in stream.text


def test_only_our_own_pages_may_read_the_stream(address: str, settings: Any) -> None:
    answer = httpx.get(f"{address}/health", headers={"Origin": "https://elsewhere.example"}, trust_env=False)

    assert answer.json()["status"] == "ok"
    assert answer.headers["access-control-allow-origin"] == settings.SITE_URL


def test_other_addresses_and_methods_are_errors_in_json(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/nothing").json()["error"]["code"] == "not_found"
        assert client.post("/events").status_code == 405


def test_a_client_that_leaves_is_forgotten(address: str, person: User) -> None:
    with following(address, _token(factories.job(person))) as events:
        next(events)
        assert httpx.get(f"{address}/health", trust_env=False).json()["watchers"] == 1

    def watchers() -> int:
        return int(httpx.get(f"{address}/health", trust_env=False).json()["watchers"])

    _until(lambda: watchers() == 0)


def test_a_failing_database_does_not_end_a_stream(address: str, person: User, caplog: pytest.LogCaptureFixture) -> None:
    job = factories.job(person)
    with following(address, _token(job)) as events:
        next(events)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE generation_videojob RENAME TO away")
            _until(lambda: "the look at the jobs failed" in caplog.text)
            cursor.execute("ALTER TABLE away RENAME TO generation_videojob")
        _end(job)
        assert next(events)[1]["status"] == "cancelled"


def test_quiet_streams_are_kept_alive_with_comments(
    address: str, person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "KEEP_ALIVE_S", 0.05)
    with httpx.stream("GET", f"{address}/events?token={_token(factories.job(person))}", trust_env=False) as answer:
        assert any(line == ": still here" for line in answer.iter_lines())


async def test_a_slow_reader_gets_the_newest_state_and_no_pile(person: User) -> None:
    watcher, job = feed.Watcher(Watch(1, None)), uuid4()
    for step in range(1000):
        told = {job: news.News(1, False, (step,), {"step": step})}
        watcher.take(news.Answer(timezone.now(), {"en": told}, {1: [job]}, {}, {}))

    events = await watcher.next_events(1)

    assert events.count(b"event:") == 1
    assert b'{"step": 999}' in events


async def test_a_person_cannot_take_all_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_WATCHERS_PER_PERSON", 2)
    crowd = Feed()
    first = crowd.add(Watch(1, None))
    crowd.add(Watch(1, None))
    with pytest.raises(Full):
        crowd.add(Watch(1, None))
    crowd.remove(first)

    assert crowd.add(Watch(1, None))


# --- who comes back, and who stays ------------------------------------------------------------------------------------


def _ago(**values: float) -> str:
    return str(news.moment(timezone.now() - timedelta(**values)))


def _all(person: User, language: str = "") -> str:
    return stream_token(person.pk, ALL_JOBS, language)


def _ended(person: User, **ago: float) -> VideoJob:
    at = timezone.now() - timedelta(**ago)
    return factories.job(person, status=Status.CANCELLED, finished_at=at)


def test_who_comes_back_hears_what_ended_and_what_was_deleted_meanwhile(
    address: str, person: User, stranger: User
) -> None:
    ended, long_ago = _ended(person, seconds=60), _ended(person, minutes=5)
    deleted = factories.job(person, status=Status.CANCELLED, deleted_at=timezone.now())
    _ended(stranger, seconds=60)

    with following(address, _all(person), since=_ago(minutes=2)) as events:
        told = {(name, data.get("id")) for name, data in events}

    assert told == {("job", str(ended.pk)), ("gone", str(deleted.pk)), ("done", None)}
    assert ("job", str(long_ago.pk)) not in told


def test_who_is_there_already_hears_nothing_again_because_another_tab_comes_back(address: str, person: User) -> None:
    ended = _ended(person, seconds=60)
    with following(address, _all(person), stay="1") as here:
        assert next(here)[0] == "queue"
        with following(address, _all(person), since=_ago(minutes=2), stay="1") as back:
            assert next(data["id"] for name, data in back if name == "job") == str(ended.pk)
            later = factories.job(person)
            assert next(data["id"] for name, data in here if name == "job") == str(later.pk)


def test_the_id_of_the_last_event_is_all_that_is_needed_to_go_on(address: str, person: User) -> None:
    job = factories.job(person)
    with httpx.stream("GET", f"{address}/events?token={_all(person)}", trust_env=False) as answer:
        last = next(line for line in answer.iter_lines() if line.startswith("id: ")).removeprefix("id: ")
    _end(job)

    headers = {"Last-Event-ID": last}
    again = httpx.get(f"{address}/events?token={_all(person)}", headers=headers, trust_env=False)

    assert f'"id": "{job.pk}", "status": "cancelled"' in again.text


@pytest.mark.parametrize("last", ["0", "1700000000000"])
def test_who_was_away_for_too_long_is_told_to_look_at_everything_again(address: str, person: User, last: str) -> None:
    with following(address, _all(person), since=last) as events:
        assert list(events) == [("reset", {}), ("done", {})]


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 30, "٣"])
def test_an_id_that_is_none_of_ours_replays_nothing(address: str, person: User, last: str) -> None:
    _ended(person, seconds=60)

    with following(address, _all(person), since=last) as events:
        assert [name for name, _ in events if name == "job"] == []


def test_a_video_that_comes_and_ends_between_two_looks_is_told_all_the_same(address: str, person: User) -> None:
    with following(address, _all(person), stay="1") as events:
        assert next(events) == ("queue", {"paused": False, "order": []})
        _end(job := factories.job(person))
        name, data = next(events)

    assert (name, data["id"], data["status"]) == ("job", str(job.pk), "cancelled")


def test_a_stream_that_stays_tells_the_order_and_the_pause_of_the_queue(address: str, person: User) -> None:
    first, second = factories.job(person), factories.job(person)
    with following(address, _all(person), stay="1") as events:
        queue = (found for name, found in events if name == "queue")
        assert next(queue) == {"paused": False, "order": [str(first.pk), str(second.pk)]}
        queueing.move(job=second, to="first")
        assert next(queue) == {"paused": False, "order": [str(second.pk), str(first.pk)]}
        queueing.pause(owner=person)
        assert next(queue)["paused"] is True


def test_each_reader_is_told_in_the_language_of_its_page(address: str, person: User) -> None:
    factories.job(person)
    with (
        following(address, _all(person, "en")) as english,
        following(address, _all(person, "de")) as german,
    ):
        told = next(english)[1]["message"], next(german)[1]["message"]

    with override("de"):
        assert told == ("Waiting for its turn", gettext("Waiting for its turn"))


def test_a_look_asks_the_same_number_of_questions_for_one_and_for_many(person: User, stranger: User) -> None:
    now = timezone.now()

    def look() -> int:
        people = {pk: now - timedelta(seconds=pk) for pk in User.objects.values_list("pk", flat=True)}
        with CaptureQueriesContext(connection) as asked:
            news.read(news.Question((), people, dict.fromkeys(people, ("en",))))
        return len(asked)

    factories.job(person)
    few = look()
    for number in range(20):
        somebody = factories.person(f"p{number}")
        factories.job(somebody)
        _ended(somebody, seconds=number)
        factories.job(somebody, deleted_at=now)
    cache.clear()

    assert look() == few
