"""Preferences: on the page and in the API, a person's own."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from generation.models import Preferences


def test_who_has_settled_nothing_has_the_defaults(api: APIClient) -> None:
    usual = {"rule": "ask", "mail": "hourly", "visible_label": False, "mail_to": "ada@example.com"}
    assert api.get("/api/preferences").json() == usual
    assert not Preferences.objects.exists()


def test_a_change_keeps_what_it_does_not_name(api: APIClient, person: User, stranger: User) -> None:
    assert api.patch("/api/preferences", {"mail": "off"}, format="json").json()["rule"] == "ask"
    changed = api.patch("/api/preferences", {"rule": "cheapest"}, format="json").json()

    assert (changed["rule"], changed["mail"]) == ("cheapest", "off")
    assert not Preferences.objects.filter(person=stranger).exists()


@pytest.mark.parametrize("body", [{"rule": "always"}, {"mail": None}, {"mail_to": "eve@example.com"}, {"rule": 1}])
def test_nonsense_is_refused_by_its_field(api: APIClient, body: dict[str, object]) -> None:
    answer = api.patch("/api/preferences", body, format="json")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, next(iter(body)))


def test_an_unconfirmed_address_is_not_named(api: APIClient, person: User) -> None:
    person.emailaddress_set.create(email=person.email, verified=False)  # type: ignore[attr-defined]
    assert api.get("/api/preferences").json()["mail_to"] is None


def test_the_page_saves_both_choices(client: Client, person: User) -> None:
    client.force_login(person)
    answer = client.post("/settings/preferences", {"rule": "never_cloud", "mail": "daily"}, follow=True)

    row = Preferences.objects.get(person=person)
    assert (row.rule, row.mail) == ("never_cloud", "daily")
    page = answer.content.decode()
    assert 'value="never_cloud" checked' in page
    assert 'value="daily" checked' in page


def test_the_page_refuses_nonsense_and_changes_nothing(client: Client, person: User) -> None:
    client.force_login(person)
    assert client.post("/settings/preferences", {"rule": "x", "mail": "daily"}).status_code == 422
    assert not Preferences.objects.exists()


def test_strangers_are_asked_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/settings/preferences").status_code == 302
    assert APIClient().get("/api/preferences").status_code == 401
