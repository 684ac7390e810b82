"""Webhooks as a program manages them, and as a person does on the pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from generation.models import Delivery, DeliveryTry, Notice, WebhookEndpoint
from generation.services import webhooks
from tests.generation.test_webhooks import try_now
from tests.generation.webhook_receiver import Receiver, receiving

KEYS = {
    *("id", "url", "description", "kinds", "enabled", "secret_ends_with", "old_secret_until", "failing_since"),
    *("trouble", "created_at"),
}


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with receiving() as running:
        settings.WEBHOOK_PRIVATE_HOSTS = [running.host]
        yield running


@pytest.fixture
def theirs(stranger: User, receiver: Receiver) -> WebhookEndpoint:
    row, _ = webhooks.create_endpoint(owner=stranger, url=receiver.url)
    return row


def make(api: APIClient, receiver: Receiver, **values: Any) -> dict[str, Any]:
    answer = api.post("/api/webhooks", {"url": receiver.url} | values, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_secret_is_shown_once(api: APIClient, receiver: Receiver) -> None:
    answer = api.post("/api/webhooks", {"url": receiver.url, "kinds": ["job.failed"]}, format="json")
    made = answer.json()
    found = api.get(answer["Location"]).json()

    assert (set(made), set(found)) == (KEYS | {"secret"}, KEYS)
    assert made["secret"].startswith("whsec_")
    assert found["secret_ends_with"] == made["secret"][-4:]
    assert answer["Cache-Control"] == "no-store"
    assert made["secret"] not in api.get("/api/webhooks").content.decode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "https://example.com/", "kinds": ["job.exploded"]}, "kinds"),
        ({"url": "https://example.com/", "kinds": ["webhook.test"]}, "kinds"),
        ({"url": "https://example.com/", "secret": "mine"}, "secret"),
        ({"url": "https://example.com/", "enabled": "yes"}, "enabled"),
    ],
)
def test_a_wrong_body_is_refused_by_its_field(api: APIClient, body: dict[str, Any], field: str) -> None:
    answer = api.post("/api/webhooks", body, format="json")

    assert (answer.status_code, answer.json()["error"].get("field", "").split(".")[0]) == (400, field)
    assert not WebhookEndpoint.objects.exists()


def test_a_change_keeps_what_it_does_not_name_and_checks_the_address(api: APIClient, receiver: Receiver) -> None:
    made = make(api, receiver, description="mine")
    path = f"/api/webhooks/{made['id']}"

    changed = api.patch(path, {"enabled": False, "kinds": ["job.failed"]}, format="json").json()
    assert (changed["enabled"], changed["description"], changed["kinds"]) == (False, "mine", ["job.failed"])
    refused = api.patch(path, {"url": "https://10.0.0.1/"}, format="json")
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "url")
    assert api.get(path).json()["url"] == receiver.url


def test_a_rotation_answers_with_the_new_secret(api: APIClient, receiver: Receiver) -> None:
    made = make(api, receiver)
    answer = api.post(f"/api/webhooks/{made['id']}/rotate")

    assert answer.json()["secret"] != made["secret"]
    assert answer.json()["old_secret_until"] is not None
    assert answer["Cache-Control"] == "no-store"


def test_a_test_and_its_replay_stand_in_the_log(api: APIClient, receiver: Receiver) -> None:
    path = f"/api/webhooks/{make(api, receiver)['id']}"
    sent = api.post(f"{path}/test")
    assert (sent.status_code, sent.json()["type"], sent.json()["outcome"]) == (202, "webhook.test", "due")
    try_now(Delivery.objects.get())

    (shown,) = api.get(f"{path}/deliveries").json()["results"]
    assert (shown["outcome"], shown["tries"], shown["log"][0]["status_code"]) == ("delivered", 1, 204)
    replayed = api.post(f"{path}/deliveries/{shown['id']}/replay")
    assert (replayed.status_code, replayed.json()["outcome"]) == (202, "due")
    try_now(Delivery.objects.get())
    assert receiver.calls[0].message_id == receiver.calls[1].message_id == shown["message_id"]


def test_what_is_off_cannot_be_tested(api: APIClient, receiver: Receiver) -> None:
    made = make(api, receiver, enabled=False)
    answer = api.post(f"/api/webhooks/{made['id']}/test")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "webhook_is_off")


def test_an_eleventh_is_refused(api: APIClient, receiver: Receiver, settings: Settings) -> None:
    for _ in range(10):
        make(api, receiver)
    answer = api.post("/api/webhooks", {"url": receiver.url}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_webhooks")


def test_deleting_takes_the_log_along(api: APIClient, receiver: Receiver) -> None:
    path = f"/api/webhooks/{make(api, receiver)['id']}"
    api.post(f"{path}/test")

    assert api.delete(path).status_code == 204
    assert not Delivery.objects.exists()
    assert api.get(path).status_code == 404


def test_somebody_elses_are_not_there(api: APIClient, theirs: WebhookEndpoint) -> None:
    delivery = webhooks.send_test(endpoint=theirs)
    path = f"/api/webhooks/{theirs.pk}"
    answers = [
        api.get(path),
        api.patch(path, {"enabled": False}, format="json"),
        api.delete(path),
        api.post(f"{path}/rotate"),
        api.post(f"{path}/test"),
        api.get(f"{path}/deliveries"),
        api.post(f"{path}/deliveries/{delivery.pk}/replay"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert api.get("/api/webhooks").json() == {"results": []}
    theirs.refresh_from_db()
    assert theirs.enabled


def test_anothers_delivery_cannot_be_replayed_through_ones_own(
    api: APIClient, receiver: Receiver, theirs: WebhookEndpoint
) -> None:
    made, delivery = make(api, receiver), webhooks.send_test(endpoint=theirs)

    assert api.post(f"/api/webhooks/{made['id']}/deliveries/{delivery.pk}/replay").status_code == 404


def test_the_log_asks_the_same_number_of_queries_for_any_length(
    api: APIClient, person: User, receiver: Receiver, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = make(api, receiver)
    for _ in range(12):
        webhooks.send_test(endpoint=WebhookEndpoint.objects.get())
    for row in Delivery.objects.all():
        DeliveryTry.objects.create(delivery=row, status_code=500, error="no")
    with django_assert_num_queries(3):
        assert len(api.get(f"/api/webhooks/{made['id']}/deliveries").json()["results"]) == 12


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def test_the_page_makes_one_and_shows_its_secret_once(page: Client, receiver: Receiver) -> None:
    shown = page.post("/settings/webhooks", {"url": receiver.url, "description": "mine"})
    row = WebhookEndpoint.objects.get()

    assert "whsec_" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    again = page.get(f"/settings/webhooks/{row.pk}").content.decode()
    assert "whsec_" not in again
    assert row.secret_end in again


def test_the_page_puts_a_refusal_beside_its_field(page: Client, db: None) -> None:
    shown = page.post("/settings/webhooks", {"url": "https://127.0.0.1/", "kinds": ["job.failed"]})

    assert shown.status_code == 422
    assert "not on the public internet" in shown.content.decode()
    assert 'value="job.failed" checked' in shown.content.decode()


def test_the_page_edits_pauses_tests_replays_rotates_and_deletes(page: Client, receiver: Receiver) -> None:
    page.post("/settings/webhooks", {"url": receiver.url})
    path = f"/settings/webhooks/{WebhookEndpoint.objects.get().pk}"

    page.post(path, {"url": receiver.url, "description": "renamed", "kinds": ["job.succeeded"]})
    page.post(f"{path}/test")
    try_now(Delivery.objects.get())
    page.post(f"{path}/deliveries/{Delivery.objects.get().pk}/replay")
    assert Delivery.objects.get().state == "due"
    assert "Send again" in page.get(path).content.decode()
    assert "Make a new secret?" in page.post(f"{path}/rotate").content.decode()
    assert "whsec_" in page.post(f"{path}/rotate", {"confirmed": "1"}).content.decode()
    page.post(f"{path}/switch", {"enabled": "0"})
    row = WebhookEndpoint.objects.get()
    assert (row.description, row.kinds, row.enabled, bool(row.old_secret)) == (
        "renamed",
        ["job.succeeded"],
        False,
        True,
    )
    page.post(f"{path}/delete", {"confirmed": "1"})
    assert not WebhookEndpoint.objects.exists()


def test_on_the_pages_somebody_elses_are_not_there(page: Client, theirs: WebhookEndpoint) -> None:
    path = f"/settings/webhooks/{theirs.pk}"
    sent = webhooks.send_test(endpoint=theirs)
    answers = [page.get(path), page.post(path, {"url": "https://example.com/"})]
    answers += [page.post(f"{path}/{act}", {"confirmed": "1"}) for act in ("switch", "rotate", "test", "delete")]
    answers += [page.post(f"{path}/deliveries/{sent.pk}/replay")]

    assert {answer.status_code for answer in answers} == {404}


def test_the_page_of_one_asks_the_same_number_of_queries_for_any_log(
    page: Client, receiver: Receiver, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    page.post("/settings/webhooks", {"url": receiver.url})
    row = WebhookEndpoint.objects.get()
    for _ in range(20):
        sent = webhooks.send_test(endpoint=row)
        DeliveryTry.objects.create(delivery=sent, error="no", at=timezone.now())
    # Session, person, webhook, count, deliveries, log.
    with django_assert_max_num_queries(6):
        page.get(f"/settings/webhooks/{row.pk}")
    assert Notice.objects.count() == 20
