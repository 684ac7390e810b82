"""Who gets in, by which door, and what happens after too many wrong passwords."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, hotp_value, yield_hotp_counters_from_time
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client, RequestFactory
from pytest_django import Settings

from tests import factories

LOGIN = "/account/login/"
PASSWORD = "correct horse"


def sign_in(client: Client, login: str, password: str = PASSWORD) -> Any:
    return client.post(LOGIN, {"login": login, "password": password})


def link_in_the_mail() -> str:
    [path, *_] = re.findall(r"https?://[^/]+(/\S+)", str(mail.outbox[-1].body))
    return str(path)


@pytest.mark.parametrize("login", ["ada", "ada@example.com"])
def test_a_person_signs_in_with_name_or_address(client: Client, person: User, login: str) -> None:
    assert sign_in(client, login).headers["Location"] == "/"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/", "/library", "/settings", "/staff/gpu", "/admin/"])
def test_without_an_account_every_page_leads_to_the_sign_in(client: Client, db: None, path: str) -> None:
    assert LOGIN in client.get(path, follow=True).redirect_chain[-1][0]


def test_the_admin_has_no_sign_in_of_its_own(client: Client, staff: User, person: User) -> None:
    client.force_login(person)
    answer = client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert answer.status_code == 403
    assert client.get("/admin/", follow=True).status_code == 403


def test_staff_come_to_the_admin_page_they_asked_for(client: Client, staff: User) -> None:
    asked = client.get("/admin/generation/videojob/", follow=True)
    sign_in_at = asked.redirect_chain[-1][0]
    assert (
        client.post(sign_in_at, {"login": "root", "password": PASSWORD, "next": "/admin/generation/videojob/"}).headers[
            "Location"
        ]
        == "/admin/generation/videojob/"
    )


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_the_admin_door_leads_to_no_other_site(client: Client, staff: User, target: str) -> None:
    client.force_login(staff)
    assert client.get("/admin/login/", {"next": target}).headers["Location"] == "/admin/"


def test_ten_wrong_passwords_lock_the_name_with_a_page_that_says_so(client: Client, person: User) -> None:
    answers = [sign_in(client, "ada", "wrong") for _ in range(10)]
    assert [answer.status_code for answer in answers[:9]] == [200] * 9
    assert answers[9].status_code == 429
    assert "Wait 15 minutes" in answers[9].content.decode()
    assert sign_in(client, "ada").status_code == 429


def test_a_locked_name_locks_nobody_else(client: Client, person: User, stranger: User) -> None:
    for _ in range(10):
        sign_in(client, "ada", "wrong")
    assert sign_in(client, "ada").status_code == 429
    assert sign_in(client, "eve").status_code == 302


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "6.6.6.6", "127.0.0.1"),
        (1, "6.6.6.6, 9.9.9.9", "9.9.9.9"),
        (2, "6.6.6.6, 9.9.9.9, 10.0.0.1", "9.9.9.9"),
        (1, "", "127.0.0.1"),
    ],
)
def test_a_caller_cannot_choose_the_address_that_is_counted(
    rf: RequestFactory, settings: Settings, proxies: int, forwarded: str, expected: str
) -> None:
    from i2v_site.access import client_ip

    settings.NUM_PROXIES = proxies
    assert client_ip(rf.get("/", HTTP_X_FORWARDED_FOR=forwarded)) == expected


def test_sign_up_is_closed_unless_the_setting_opens_it(client: Client, db: None, settings: Settings) -> None:
    form = {"username": "new", "email": "new@example.com", "password1": "long enough 1", "password2": "long enough 1"}
    assert "Sign-up is closed" in client.post("/account/signup/", form).content.decode()
    settings.SIGNUP_OPEN = True
    client.post("/account/signup/", form)
    assert list(User.objects.values_list("username", flat=True)) == ["new"]


def test_a_forgotten_password_is_set_again_through_the_mail(client: Client, person: User) -> None:
    client.post("/account/password/reset/", {"email": person.email})
    form_at = client.get(link_in_the_mail(), follow=True).redirect_chain[-1][0]
    client.post(form_at, {"password1": "another horse 7", "password2": "another horse 7"})
    assert sign_in(client, "ada", "another horse 7").status_code == 302


def test_a_new_mail_address_counts_after_its_link_was_opened(client: Client, person: User) -> None:
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    sign_in(client, "ada")
    client.post("/account/email/", {"email": "lovelace@example.com", "action_add": ""})
    person.refresh_from_db()
    assert person.email == "ada@example.com"
    client.post(link_in_the_mail())
    person.refresh_from_db()
    assert person.email == "lovelace@example.com"


class TestStaffWithoutASecondFactor:
    @pytest.fixture(autouse=True)
    def as_in_production(self, settings: Settings, client: Client, staff: User) -> None:
        settings.STAFF_SECOND_FACTOR = True
        client.force_login(staff)

    @pytest.mark.parametrize("path", ["/", "/admin/", "/staff/gpu", "/settings"])
    def test_are_sent_to_set_one_up(self, client: Client, path: str) -> None:
        assert client.get(path).headers["Location"] == "/account/2fa/"

    def test_get_an_error_in_the_usual_shape_from_the_api(self, client: Client) -> None:
        answer = client.get("/api/jobs")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "second_factor_required")

    def test_can_set_it_up_and_sign_out(self, client: Client) -> None:
        assert client.get("/account/2fa/").status_code == 200
        assert client.get("/account/2fa/totp/activate/").headers["Location"].startswith("/account/reauthenticate/")
        assert client.post("/account/logout/").status_code == 302

    def test_go_everywhere_once_they_have_one(self, client: Client, staff: User) -> None:
        TOTP.activate(staff, generate_totp_secret())
        assert client.get("/admin/").status_code == 200


def test_a_password_alone_does_not_sign_in_who_has_a_second_factor(client: Client, staff: User) -> None:
    secret = generate_totp_secret()
    TOTP.activate(staff, secret)
    assert sign_in(client, "root").headers["Location"] == "/account/2fa/authenticate/"
    assert client.get("/admin/").status_code == 302
    code = f"{hotp_value(secret, next(iter(yield_hotp_counters_from_time()))):06d}"
    client.post("/account/2fa/authenticate/", {"code": code})
    assert client.get("/admin/").status_code == 200


def test_no_page_of_the_accounts_needs_inline_script_or_style(client: Client, person: User) -> None:
    sign_in(client, "ada")
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    for path in ("2fa/totp/activate/", "2fa/webauthn/add/", "2fa/", "password/change/", "logout/"):
        check_for_inline_code(client.get(f"/account/{path}").content.decode())
    client.post("/account/email/", {"email": "lovelace@example.com", "action_add": ""})
    check_for_inline_code(client.get("/account/email/").content.decode())


def check_for_inline_code(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", page)
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in attributes or "application/json" in attributes for attributes in scripts)


def test_somebody_new_has_an_empty_library(client: Client, db: None) -> None:
    client.force_login(factories.person("newcomer"))
    assert "No videos yet" in client.get("/library").content.decode()
