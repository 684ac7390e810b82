"""The outbox: written with the change, once, for those who want it."""

from datetime import date
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries

from generation.models import Delivery, Notice, Preferences, Status, VideoJob, WebhookEndpoint
from generation.services import notify
from generation.services.secret_box import seal
from tests import factories


def ended(owner: User, status: Status = Status.SUCCEEDED) -> VideoJob:
    values = {"finished_at": timezone.now(), "video_key": "out/a.mp4", "cost_usd": Decimal("0.123456")}
    if status == Status.FAILED:
        values |= {"error_code": "boom", "error_message": "It broke."}
    return factories.job(owner, status=status, **values)


def endpoint(owner: User, **values: object) -> WebhookEndpoint:
    defaults = {"url": "https://example.com/hook", "secret": seal("whsec_" + "QUJD" * 8), "secret_end": "QUJD"}
    return WebhookEndpoint.objects.create(owner=owner, **defaults | values)


def told(owner: User) -> set[tuple[str, str]]:
    return set(Delivery.objects.filter(notice__owner=owner).values_list("notice__kind", "channel"))


def test_an_ended_job_is_told_by_mail_and_to_every_webhook(person: User) -> None:
    endpoint(person)
    endpoint(person)
    notify.job_ended(ended(person))

    channels = sorted(Delivery.objects.values_list("channel", flat=True))
    assert channels == ["mail", "webhook", "webhook"]
    assert OrmQ.objects.count() == 2


def test_telling_twice_writes_one_notice(person: User) -> None:
    endpoint(person)
    job = ended(person)
    notify.job_ended(job)
    notify.job_ended(job)

    assert (Notice.objects.count(), Delivery.objects.count(), OrmQ.objects.count()) == (1, 2, 1)


def test_what_is_rolled_back_is_not_told(person: User) -> None:
    endpoint(person)
    job = ended(person)
    with transaction.atomic():
        notify.job_ended(job)
        transaction.set_rollback(True)

    assert (Notice.objects.count(), Delivery.objects.count(), OrmQ.objects.count()) == (0, 0, 0)


def test_the_row_is_told_as_it_is_now_and_not_as_the_caller_remembers_it(person: User) -> None:
    job = factories.job(person)
    VideoJob.objects.filter(pk=job.pk).update(status=Status.FAILED, error_code="boom", error_message="It broke.")
    notify.job_ended(job)

    notice = Notice.objects.get()
    assert (notice.kind, notice.data["error"]) == ("job.failed", {"code": "boom", "message": "It broke."})


def test_a_job_that_has_not_ended_cannot_be_told(person: User) -> None:
    with pytest.raises(ValueError, match="queued"):
        notify.job_ended(factories.job(person))


def test_a_notice_holds_what_a_program_needs_and_no_link_to_a_file(person: User) -> None:
    job = ended(person)
    notify.job_ended(job)

    data = Notice.objects.get().data
    assert (data["job_id"], data["status"], data["cost_usd"]) == (str(job.pk), "succeeded", 0.1235)
    assert data["url"] == f"http://127.0.0.1:8000/api/jobs/{job.pk}"
    assert job.video_key not in str(data)


def test_a_webhook_gets_only_the_kinds_it_asked_for_and_nothing_while_it_is_off(person: User) -> None:
    endpoint(person, kinds=["job.failed"])
    endpoint(person, enabled=False)
    notify.job_ended(ended(person))
    assert told(person) == {("job.succeeded", "mail")}

    notify.job_ended(ended(person, Status.FAILED))
    assert ("job.failed", "webhook") in told(person)


def test_what_a_person_cancelled_is_no_news_to_them_but_to_their_programs(person: User) -> None:
    endpoint(person)
    notify.job_ended(ended(person, Status.CANCELLED))

    assert told(person) == {("job.cancelled", "webhook")}
    assert Notice.objects.get().seen_at is not None


def test_who_switched_mail_off_or_has_no_address_gets_none(person: User, stranger: User) -> None:
    Preferences.objects.create(person=person, mail="off")
    User.objects.filter(pk=stranger.pk).update(email="")
    notify.job_ended(ended(person))
    notify.job_ended(ended(stranger))

    assert not Delivery.objects.exists()
    assert Notice.objects.filter(seen_at=None).count() == 2


def test_an_address_that_nobody_confirmed_gets_no_mail(person: User) -> None:
    person.emailaddress_set.create(email=person.email.upper(), verified=False)  # type: ignore[attr-defined]
    notify.job_ended(ended(person))
    assert not Delivery.objects.exists()

    person.emailaddress_set.update(verified=True)  # type: ignore[attr-defined]
    notify.job_ended(ended(person))
    assert told(person) == {("job.succeeded", "mail")}


def test_nobody_is_told_of_a_strangers_video(person: User, stranger: User) -> None:
    endpoint(stranger)
    notify.job_ended(ended(person))

    assert told(stranger) == set()


def test_a_budget_is_warned_of_once_a_period(person: User) -> None:
    def warn(starts: date) -> None:
        notify.budget_warning(
            person.pk, scope="person", period="day", starts=starts, used_usd=Decimal("4.2"), cap_usd=Decimal(5)
        )

    warn(date(2026, 11, 23))
    warn(date(2026, 11, 23))
    assert Notice.objects.count() == 1
    warn(date(2026, 11, 24))
    assert Notice.objects.count() == 2
    assert Notice.objects.first().data["cap_usd"] == 5.0  # type: ignore[union-attr]


def test_telling_asks_no_more_queries_with_ten_webhooks(
    person: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    job = ended(person)
    for _ in range(10):
        endpoint(person)
    # The ten rings are rows of the queue; everything else does not grow.
    with django_assert_max_num_queries(10 + 10):
        notify.job_ended(job)
