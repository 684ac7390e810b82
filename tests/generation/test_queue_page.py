"""The drawer, the page of the queue, and the queue of the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from generation import news
from generation.models import PreviewFrame, Status, VideoJob
from generation.queue_queries import queue_of
from generation.services import queueing
from tests import factories

JSON = {"Accept": "application/json"}


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def order(owner: User) -> list[str]:
    return [str(pk) for pk in VideoJob.objects.filter(owner=owner).order_by("rank").values_list("pk", flat=True)]


# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_queue_asks_as_many_questions_for_one_video_as_for_many(page: Client, person: User) -> None:
    def queries() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as asked:
            assert page.get("/queue/part").status_code == 200
        return len(asked)

    image = factories.source_image(person)
    factories.job(person, image=image)
    factories.job(person, image=image, status=Status.CANCELLED, finished_at=timezone.now())
    few = queries()
    for _ in range(9):
        factories.job(person, image=image)
        factories.job(person, image=image, status=Status.CANCELLED, finished_at=timezone.now())

    assert queries() == few


def test_each_row_knows_its_picture_and_where_it_can_go(person: User) -> None:
    made = factories.job(person, status=Status.RENDERING)
    PreviewFrame.objects.create(job=made, jpeg=b"x")
    waiting = [factories.job(person) for _ in range(3)]
    long_ago = timezone.now() - timedelta(days=2)
    factories.job(person, status=Status.CANCELLED, finished_at=long_ago)
    view = queue_of(person)

    assert [row.job for row in view.unfinished] == [made, *waiting]
    flags = [(row.has_frame, row.can_go_up, row.can_go_down) for row in view.unfinished]
    assert flags == [(True, False, False), (False, False, True), (False, True, True), (False, True, False)]
    assert view.ended == []


def test_the_queue_shows_what_ended_lately_and_nobody_elses(page: Client, person: User, stranger: User) -> None:
    now = timezone.now()
    ended = {"status": Status.CANCELLED}
    for number in range(12):
        at = now - timedelta(minutes=number)
        factories.job(person, prompt=f"ended {number};", finished_at=at, **ended)
    factories.job(person, prompt="days ago", finished_at=now - timedelta(days=2), **ended)
    factories.job(stranger, prompt="hers")

    shown = page.get("/queue").content.decode()

    assert ("ended 9;" in shown, "ended 10;" in shown) == (True, False)
    assert "days ago" not in shown
    assert "hers" not in shown


def test_a_look_now_and_then_tells_the_same_as_the_stream(page: Client, person: User) -> None:
    waits = factories.job(person)
    ended = factories.job(person, status=Status.CANCELLED, finished_at=timezone.now())
    deleted = factories.job(person, status=Status.CANCELLED, deleted_at=timezone.now())

    told = page.get("/queue/live", {"since": str(news.moment(timezone.now()))}).json()

    assert {job["id"]: job["status"] for job in told["jobs"]} == {str(waits.pk): "queued", str(ended.pk): "cancelled"}
    assert (told["gone"], told["reset"]) == ([str(deleted.pk)], False)
    assert told["queue"] == {"paused": False, "order": [str(waits.pk)]}
    assert page.get("/queue/live", {"since": "1"}).json()["reset"] is True


def test_without_a_session_nothing_is_told(client: Client, db: None) -> None:
    assert client.get("/queue/live").status_code == 401
    assert client.get("/queue/part").status_code == 204
    assert client.get("/queue").status_code == 302


def test_scripts_are_told_in_json_how_it_went(page: Client, person: User) -> None:
    job = factories.job(person)
    assert page.post(f"/jobs/{job.pk}/cancel", headers=JSON).json() == {"ok": True}
    queueing.ask_to_cancel(job=job, grace_s=0)

    refused = page.post(f"/jobs/{job.pk}/cancel/undo", headers=JSON)

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "already_over")


def test_the_queue_is_paused_and_goes_on_by_a_press(page: Client, person: User) -> None:
    for wanted, paused in (("1", True), ("0", False)):
        page.post("/queue/pause", {"paused": wanted})
        assert queueing.is_paused(owner=person) is paused


@pytest.mark.parametrize("act", ["cancel", "cancel/undo", "move"])
def test_somebody_elses_video_is_not_there(page: Client, api: APIClient, stranger: User, act: str) -> None:
    job = factories.job(stranger)

    assert page.post(f"/jobs/{job.pk}/{act}", {"to": "up"}).status_code == 404
    assert (
        api.post(f"/api/jobs/{job.pk}/{act}", {"to": "up"} if act == "move" else {}, format="json").status_code == 404
    )
    job.refresh_from_db()
    assert (job.status, job.cancel_at) == (Status.QUEUED, None)


@pytest.mark.parametrize(("path", "data"), [("queue/pause", {"paused": "2"}), ("queue/pause", {})])
def test_a_bad_form_changes_nothing(page: Client, person: User, path: str, data: dict[str, str]) -> None:
    assert page.post(f"/{path}", data).status_code == 400
    assert not queueing.is_paused(owner=person)


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", ""])
def test_nobody_is_led_elsewhere(page: Client, back: str) -> None:
    assert page.post("/queue/pause", {"paused": "1", "next": back}).headers["Location"] == "/queue"


# --- the API ----------------------------------------------------------------------------------------------------------


def test_a_program_cancels_at_once_or_with_a_way_back(api: APIClient, person: User) -> None:
    now, later = factories.job(person), factories.job(person)

    assert api.post(f"/api/jobs/{now.pk}/cancel").json()["status"] == "cancelled"
    asked = api.post(f"/api/jobs/{later.pk}/cancel", {"grace_s": 30}, format="json").json()
    assert (asked["status"], asked["cancel_at"] is None) == ("queued", False)
    undone = api.post(f"/api/jobs/{later.pk}/cancel/undo").json()
    assert (undone["status"], undone["cancel_at"]) == ("queued", None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("cancel", {"grace_s": 61}),
        ("cancel", {"grace_s": -1}),
        ("cancel", {"grace": 3}),
        ("move", {"to": "away"}),
        ("move", {}),
        ("move", {"to": "up", "by": 2}),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    api: APIClient, person: User, path: str, body: dict[str, Any]
) -> None:
    job = factories.job(person)

    assert api.post(f"/api/jobs/{job.pk}/{path}", body, format="json").status_code == 400
    job.refresh_from_db()
    assert (job.status, job.cancel_at) == (Status.QUEUED, None)


def test_a_program_reorders_and_pauses_its_queue(api: APIClient, person: User) -> None:
    first, second = factories.job(person), factories.job(person)

    moved = api.post(f"/api/jobs/{second.pk}/move", {"to": "first"}, format="json")
    assert moved.json() == {"paused": False, "order": [str(second.pk), str(first.pk)]}
    assert order(person) == [str(second.pk), str(first.pk)]

    assert api.patch("/api/queue", {"paused": True}, format="json").json()["paused"] is True
    assert api.get("/api/queue").json()["paused"] is True
    assert api.patch("/api/queue", {"paused": "maybe"}, format="json").status_code == 400
    assert api.patch("/api/queue", {}, format="json").status_code == 400


def test_what_does_not_wait_cannot_be_moved(api: APIClient, person: User) -> None:
    job = factories.job(person, status=Status.RENDERING)

    answer = api.post(f"/api/jobs/{job.pk}/move", {"to": "up"}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_waiting")


def test_the_id_of_the_last_event_survives_the_redirect(api: APIClient) -> None:
    asked = api.get("/api/events?stay=true", HTTP_LAST_EVENT_ID="123", HTTP_ACCEPT="text/event-stream")

    assert asked.status_code == 307
    assert "&stay=1&since=123" in asked["Location"]
    assert api.get("/api/events?stya=1").status_code == 400
