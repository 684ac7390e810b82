"""E-mail: one to a person and period, at least once, never a flood, and off with one click."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, Settings

from generation import tasks
from generation.models import Delivery, DeliveryTry, Notice, Preferences, Status
from generation.services import mails, notify
from generation.services.preferences import mail_off_token
from tests import factories
from tests.generation.mail_server import MailServer, taking_mail
from tests.generation.test_notify import ended
from tests.generation.test_webhooks import database_url, in_thread, on_real_transactions
from tests.running import ROOT

State = Delivery.State


@pytest.fixture
def post(settings: Settings) -> Iterator[MailServer]:
    with taking_mail() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def tell(person: User, *statuses: Status) -> None:
    for status in statuses:
        notify.job_ended(ended(person, status))


def after(**wait: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**wait))


def states() -> set[str]:
    return set(Delivery.objects.values_list("state", flat=True))


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_what_ended_together_comes_in_one_mail(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED)
    tasks.send_mail(str(person.pk))
    assert post.mails == []
    with after(seconds=31):
        tasks.send_mail(str(person.pk))
        tasks.send_mail(str(person.pk))

    (mail,) = post.mails
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", "Your videos: 2 done, 1 failed")
    assert text_of(mail).count("Your video is done: slow zoom in") == 2
    assert "It broke." in text_of(mail)
    assert states() == {State.DELIVERED}


def test_a_mail_leads_to_the_video_and_its_picture(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED)
    with after(seconds=31):
        tasks.send_mail(str(person.pk))

    (mail,) = post.mails
    job = Notice.objects.get().job_id
    page = f"http://127.0.0.1:8000/jobs/{job}"
    assert f"  {page}\n  Picture: {page}/poster\n" in text_of(mail)
    assert f'href="{page}"' in text_of(mail, "html")
    assert f'href="{page}/poster"' in text_of(mail, "html")
    assert mail["Subject"] == "Your video is done: slow zoom in"


def test_a_prompt_cannot_write_html_or_headers(person: User, post: MailServer) -> None:
    job = ended(person)
    type(job).objects.filter(pk=job.pk).update(prompt="<b>x</b>\nBcc: eve@example.com & more")
    notify.job_ended(job)
    with after(seconds=31):
        tasks.send_mail(str(person.pk))

    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert "<b>x" not in text_of(mail, "html")
    assert "&lt;b&gt;x" in text_of(mail, "html")
    assert "<b>x</b> Bcc: eve@example.com & more" in text_of(mail)


@pytest.mark.parametrize(("choice", "hours"), [("hourly", 1), ("daily", 24)])
def test_a_digest_comes_once_a_period(person: User, post: MailServer, choice: str, hours: int) -> None:
    Preferences.objects.create(person=person, mail=choice)
    tell(person, Status.SUCCEEDED)
    with after(minutes=1):
        tasks.send_mail(str(person.pk))
        tell(person, Status.SUCCEEDED, Status.FAILED)
        with after(minutes=hours * 60 - 2):
            tasks.tell_people()
            tasks.send_mail(str(person.pk))
            assert (len(post.mails), OrmQ.objects.count()) == (1, 0)
        with after(minutes=hours * 60 + 1):
            tasks.tell_people()
            assert OrmQ.objects.count() == 1
            tasks.send_mail(str(person.pk))

    assert [mail["Subject"] for mail in post.mails][1:] == ["Your videos: 1 done, 1 failed"]


def test_who_wants_each_is_written_to_at_once_again(person: User, post: MailServer) -> None:
    Preferences.objects.create(person=person, mail="each")
    for minute in (1, 3):
        tell(person, Status.SUCCEEDED)
        with after(minutes=minute):
            tasks.send_mail(str(person.pk))

    assert len(post.mails) == 2


def test_mail_switched_off_meanwhile_is_not_sent_and_not_kept(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED)
    Preferences.objects.update_or_create(person=person, defaults={"mail": "off"})
    with after(minutes=1):
        tasks.tell_people()
        assert OrmQ.objects.count() == 1
        tasks.send_mail(str(person.pk))

    assert (post.mails, states()) == ([], {State.GIVEN_UP})


def test_an_address_taken_away_meanwhile_ends_it(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED)
    User.objects.filter(pk=person.pk).update(email="")
    with after(minutes=1):
        tasks.send_mail(str(person.pk))

    assert (post.mails, states()) == ([], {State.GIVEN_UP})


def test_a_server_that_fails_is_asked_again_later(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED, Status.FAILED)
    post.refuses = True
    with after(minutes=1):
        tasks.send_mail(str(person.pk))
        tasks.send_mail(str(person.pk))
    assert DeliveryTry.objects.filter(error__contains="SMTPDataError").count() == 2
    assert states() == {State.DUE}

    post.refuses = False
    with after(minutes=2):
        tasks.send_mail(str(person.pk))
    assert (len(post.mails), states()) == (1, {State.DELIVERED})


def test_a_server_that_fails_for_days_is_given_up(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED)
    post.refuses = True
    for day in range(1, 20):
        with after(days=day * 2):
            tasks.send_mail(str(person.pk))

    assert states() == {State.GIVEN_UP}
    assert DeliveryTry.objects.count() == 10


@on_real_transactions
def test_two_workers_at_once_send_one_mail(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED, Status.FAILED)
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        tasks.send_mail(str(person.pk))

    Delivery.objects.update(next_try_at=timezone.now())
    for thread in [in_thread(work) for _ in range(4)]:
        thread.join(30)

    assert (len(post.mails), states()) == (1, {State.DELIVERED})


@on_real_transactions
def test_killed_between_the_mail_and_its_mark_it_is_sent_again_with_the_same_id(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED, Status.FAILED)
    Delivery.objects.update(next_try_at=timezone.now())
    environment = os.environ | {
        "I2V_CRASH_AT": "mail.sent",
        "DJANGO_SETTINGS_MODULE": "i2v_site.settings",
        "DATABASE_URL": database_url(),
        "EMAIL_URL": post.url,
    }
    code = f"from generation import tasks; tasks.send_mail('{person.pk}')"
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    died = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (died.returncode, len(post.mails), states()) == (-9, 1, {State.DUE}), died.stderr

    tasks.send_mail(str(person.pk))
    assert len(post.mails) == 1
    with after(seconds=mails.HELD.total_seconds() + 1):
        tasks.send_mail(str(person.pk))
        tasks.send_mail(str(person.pk))
    first, second = post.mails
    assert (first["Message-ID"], states()) == (second["Message-ID"], {State.DELIVERED})


def test_the_clock_rings_once_for_each_person_at_the_same_number_of_queries(
    person: User, stranger: User, post: MailServer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Preferences.objects.create(person=stranger, mail="daily", mailed_at=timezone.now())
    tell(person, *[Status.SUCCEEDED] * 5)
    tell(stranger, *[Status.SUCCEEDED] * 5)
    # The people, a savepoint and its end, and one ring.
    with after(minutes=1), django_assert_num_queries(4):
        assert mails.ring_due() == 1
    assert OrmQ.objects.get().task["args"] == (str(person.pk),)


def test_a_hundred_videos_are_one_mail_that_lists_fifty(person: User, post: MailServer) -> None:
    image = factories.source_image(person)
    for _ in range(60):
        notify.job_ended(factories.job(person, image=image, status="succeeded", video_key="out/a.mp4"))
    with after(minutes=1):
        tasks.send_mail(str(person.pk))

    (mail,) = post.mails
    assert text_of(mail).count("Your video is done") == 50
    assert "and 10 more: http://127.0.0.1:8000/library" in text_of(mail)


# --- no more mail -----------------------------------------------------------------------------------------------------


def test_a_mail_program_ends_it_with_one_post_and_without_signing_in(person: User, post: MailServer) -> None:
    tell(person, Status.SUCCEEDED)
    with after(minutes=1):
        tasks.send_mail(str(person.pk))
    (mail,) = post.mails
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<http://127\.0\.0\.1:8000(/mail/off/.+)>", mail["List-Unsubscribe"].strip())
    assert found is not None

    answer = Client(enforce_csrf_checks=True).post(found[1], {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert Preferences.objects.get(person=person).mail == "off"


def test_opening_the_link_only_asks(person: User, client: Client) -> None:
    page = client.get(f"/mail/off/{mail_off_token(person.pk)}")

    assert "Send no more mail" in page.content.decode()
    assert not Preferences.objects.filter(mail="off").exists()


@pytest.mark.parametrize("token", ["x", "eyJ:1", "MQ:1tIr:abc"])
def test_a_made_up_link_is_nothing(person: User, client: Client, token: str) -> None:
    assert client.get(f"/mail/off/{token}").status_code == 404
    assert client.post(f"/mail/off/{token}").status_code == 404
    assert not Preferences.objects.exists()
