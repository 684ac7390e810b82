"""Tokens: made once, used in a header, revoked at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from generation.models import ApiToken


def client_with_token(owner: User) -> APIClient:
    """A client whose token has been used before."""
    _row, secret = ApiToken.objects.create(user=owner, name="test")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    client.get("/api/models")
    return client


def test_a_token_is_shown_once_and_works(api: APIClient) -> None:
    made = api.post("/api/tokens", {"name": "laptop"}, format="json")
    secret = made.json()["token"]

    assert made.status_code == 201
    assert APIClient(HTTP_AUTHORIZATION=f"Token {secret}").get("/api/jobs").status_code == 200
    listed = api.get("/api/tokens").json()["results"]
    assert [row["name"] for row in listed] == ["laptop"]
    assert secret not in str(listed)


def test_a_revoked_token_stops_at_once(api: APIClient, person: User) -> None:
    client = client_with_token(person)
    token = api.get("/api/tokens").json()["results"][0]

    assert api.delete(f"/api/tokens/{token['id']}").status_code == 204
    assert client.get("/api/jobs").status_code == 401


def test_somebody_elses_token_cannot_be_revoked(api: APIClient, stranger: User) -> None:
    client = client_with_token(stranger)
    digest = ApiToken.objects.get().digest

    assert api.delete(f"/api/tokens/{digest[:20]}").status_code == 404
    assert client.get("/api/jobs").status_code == 200


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token nonsense", "Token i2v_" + "0" * 64, "Token \xff", "Token %00"]
)
def test_a_wrong_token_is_refused_in_the_shape_of_all_errors(db: None, header: str) -> None:
    answer = APIClient(HTTP_AUTHORIZATION=header).get("/api/jobs")

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "authentication_failed")
    assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("change", [{"is_active": False}, {}])
def test_an_expired_token_and_one_of_a_closed_account_are_refused(person: User, change: dict[str, Any]) -> None:
    client = client_with_token(person)
    if change:
        User.objects.update(**change)
    else:
        ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

    assert client.get("/api/jobs").status_code == 401


def test_a_token_is_checked_with_one_query_and_written_rarely(
    person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        ApiToken.objects.create(user=person, name="another")
    client = client_with_token(person)
    with django_assert_num_queries(2):  # the token with its person, the list of tokens
        client.get("/api/tokens")
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=10))
    client.get("/api/tokens")

    assert ApiToken.objects.filter(last_used_at__gt=timezone.now() - timedelta(minutes=1)).count() == 1


def test_tokens_have_an_end(api: APIClient, person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generation.api.tokens.MAX_TOKENS", 1)
    api.post("/api/tokens", {"name": "one"}, format="json")
    answer = api.post("/api/tokens", {"name": "two"}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_tokens")


def test_a_session_needs_the_csrf_token_to_write(person: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(person)

    assert client.get("/api/tokens").status_code == 200
    refused = client.post("/api/tokens", {"name": "x"}, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
