"""The first administrator."""

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from rest_framework.test import APIClient

from generation.services.bootstrap import create_first_administrator, replace_token


def status_with(token: str) -> int:
    return int(APIClient().get("/api/jobs", headers={"Authorization": f"Token {token}"}).status_code)


def test_the_first_administrator_can_sign_in_with_what_was_shown(db: None) -> None:
    made = create_first_administrator()

    assert made is not None
    user = User.objects.get()
    assert user.is_superuser
    assert user.check_password(made.password)
    assert status_with(made.token) == 200


def test_there_is_only_one_first_administrator(db: None) -> None:
    create_first_administrator()

    assert create_first_administrator() is None
    assert User.objects.count() == 1


def test_the_environment_decides_what_it_is_called_and_which_token_it_has(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"USERNAME": "ada", "EMAIL": "ada@example.org", "PASSWORD": "battery staple", "TOKEN": "i2v_" + "ab" * 20}
    for name, value in given.items():
        monkeypatch.setenv(f"ADMIN_{name}", value)

    made = create_first_administrator()

    assert made is not None
    assert (made.username, made.password, made.token) == ("ada", "battery staple", given["TOKEN"])
    assert User.objects.get().email == "ada@example.org"
    assert status_with(given["TOKEN"]) == 200


@pytest.mark.parametrize(
    ("name", "value"), [("ADMIN_TOKEN", "short"), ("ADMIN_EMAIL", "no address"), ("ADMIN_USERNAME", "a b")]
)
def test_an_unusable_value_creates_nobody(db: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured, match=name):
        create_first_administrator()

    assert not User.objects.exists()


def test_a_replaced_token_stops_working(person: User) -> None:
    first = replace_token(user=person, name="command line")
    second = replace_token(user=person, name="command line")

    assert (status_with(first), status_with(second)) == (401, 200)
