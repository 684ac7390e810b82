"""Webhooks over real sockets: signed, at least once, with back-off, and to nobody who may not be called."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule
from pytest_django import Settings
from standardwebhooks.webhooks import WebhookVerificationError

from generation import tasks
from generation.errors import TooManyWebhooks, WebhookAddressRefused, WebhookIsOff
from generation.models import Delivery, DeliveryTry, Notice, VideoJob, WebhookEndpoint
from generation.services import forgetting, mails, notify, retrying, secret_box, webhook_calls, webhooks
from tests.generation.test_notify import ended
from tests.generation.webhook_receiver import Receiver, receiving
from tests.running import ROOT, until

State = Delivery.State
on_real_transactions = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with receiving() as running:
        settings.WEBHOOK_PRIVATE_HOSTS = [running.host]
        yield running


@pytest.fixture
def made(person: User, receiver: Receiver) -> tuple[WebhookEndpoint, str]:
    return webhooks.create_endpoint(owner=person, url=receiver.url)


def tell(person: User) -> Delivery:
    notify.job_ended(ended(person))
    return Delivery.objects.filter(channel="webhook").latest("created_at")


def in_thread(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def try_now(delivery: Delivery) -> Delivery:
    Delivery.objects.filter(pk=delivery.pk, state=State.DUE).update(next_try_at=timezone.now())
    tasks.deliver_webhook(str(delivery.pk))
    delivery.refresh_from_db()
    return delivery


# --- what arrives -----------------------------------------------------------------------------------------------------


def test_the_specifications_own_library_verifies_a_call(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    delivery = try_now(tell(person))

    (call,) = receiver.calls
    payload = call.verified(made[1])
    assert (payload["type"], payload["data"]["status"]) == ("job.succeeded", "succeeded")
    assert (call.path, call.message_id) == ("/hook?key=1", str(delivery.notice_id))
    assert (delivery.state, delivery.tries, delivery.next_try_at) == (State.DELIVERED, 1, None)
    assert DeliveryTry.objects.get().status_code == 204


def test_another_secret_or_a_changed_body_does_not_verify(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    try_now(tell(person))
    (call,) = receiver.calls

    with pytest.raises(WebhookVerificationError):
        call.verified("whsec_" + "QUJD" * 8)
    call.body += b" "
    with pytest.raises(WebhookVerificationError):
        call.verified(made[1])


def test_after_a_rotation_both_secrets_verify_for_a_day_and_then_only_the_new_one(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    row, old = made
    new = webhooks.rotate_secret(endpoint=row)
    try_now(tell(person))
    assert len(receiver.calls[0].headers["webhook-signature"].split()) == 2
    assert receiver.calls[0].verified(old) == receiver.calls[0].verified(new)

    WebhookEndpoint.objects.update(old_secret_until=timezone.now() - timedelta(seconds=1))
    try_now(tell(person))
    receiver.calls[1].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.calls[1].verified(old)


def test_a_secret_rests_encrypted_and_opens_after_the_operator_sets_keys(
    person: User, made: tuple[WebhookEndpoint, str], settings: Settings
) -> None:
    row, secret = made
    assert secret not in row.secret
    assert row.secret_end == secret[-4:]
    settings.FIELD_KEYS = ["a new key of the operator's, long and random"]
    assert webhook_calls.current_secrets(row) == [secret]
    sealed = secret_box.seal("x")
    settings.FIELD_KEYS = []
    with pytest.raises(secret_box.Unreadable):
        secret_box.unseal(sealed)


def test_a_task_delivered_twice_calls_once(person: User, made: object, receiver: Receiver) -> None:
    delivery = tell(person)
    tasks.deliver_webhook(str(delivery.pk))
    tasks.deliver_webhook(str(delivery.pk))

    assert len(receiver.calls) == 1


@on_real_transactions
def test_two_workers_at_once_make_one_call(person: User, made: object, receiver: Receiver) -> None:
    receiver.slow_s = 0.5
    delivery = tell(person)
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        tasks.deliver_webhook(str(delivery.pk))

    for thread in [in_thread(work) for _ in range(4)]:
        thread.join(30)

    delivery.refresh_from_db()
    assert (len(receiver.calls), delivery.tries, delivery.state) == (1, 1, State.DELIVERED)


@on_real_transactions
def test_killed_between_the_call_and_its_mark_it_is_sent_again_with_the_same_id(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    delivery = tell(person)
    code = f"from generation import tasks; tasks.deliver_webhook({str(delivery.pk)!r})"
    environment = os.environ | {
        "I2V_CRASH_AT": "webhook.sent",
        "DJANGO_SETTINGS_MODULE": "i2v_site.settings",
        "DATABASE_URL": database_url(),
        "WEBHOOK_PRIVATE_HOSTS": receiver.host,
    }
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    died = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -9, died.stderr
    delivery.refresh_from_db()
    assert (delivery.state, len(receiver.calls)) == (State.DUE, 1)

    # While the dead worker's hold lasts, nobody calls; then the clock rings.
    tasks.deliver_webhook(str(delivery.pk))
    assert len(receiver.calls) == 1
    OrmQ.objects.all().delete()
    with time_machine.travel(timezone.now() + webhooks.HELD + timedelta(seconds=1)):
        tasks.tell_people()
        assert rung_for(delivery)
        tasks.deliver_webhook(str(delivery.pk))

    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.DELIVERED, 2)
    assert receiver.calls[0].message_id == receiver.calls[1].message_id
    assert receiver.calls[0].body == receiver.calls[1].body


def rung_for(delivery: Delivery) -> bool:
    """Whether a worker has been asked to make a try."""
    tasks_waiting = [row.task for row in OrmQ.objects.all()]
    return (notify.DELIVER_TASK, (str(delivery.pk),)) in [(task["func"], task["args"]) for task in tasks_waiting]


def database_url() -> str:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{found['NAME']}"
    login = f"{found['USER']}:{found['PASSWORD']}" if found["PASSWORD"] else found["USER"]
    return f"postgres://{login}@{found['HOST'] or '127.0.0.1'}:{found['PORT'] or 5432}/{found['NAME']}"


# --- what fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [(500, 500, "answered 500"), (302, 302, "redirects are not followed"), (404, 404, "404"), ("reset", None, "broke")],
)
def test_a_failed_call_is_tried_again_with_the_same_id(
    person: User, made: object, receiver: Receiver, answer: int | str, status: int | None, words: str
) -> None:
    receiver.answer, receiver.headers = answer, {"location": f"http://{receiver.host}/elsewhere"}
    delivery = try_now(tell(person))
    assert (delivery.state, delivery.tries) == (State.DUE, 1)
    assert delivery.next_try_at is not None
    assert 4 < (delivery.next_try_at - timezone.now()).total_seconds() <= 6
    line = DeliveryTry.objects.get()
    assert (line.status_code, words in line.error) == (status, True)

    receiver.answer = 200
    assert try_now(delivery).state == State.DELIVERED
    assert [call.path for call in receiver.calls] == ["/hook?key=1"] * 2
    assert len({call.message_id for call in receiver.calls}) == 1


def test_a_slow_receiver_is_left_after_its_time(
    person: User, made: object, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_calls, "TIMEOUT_S", 0.3)
    receiver.slow_s = 3
    delivery = try_now(tell(person))

    line = DeliveryTry.objects.get()
    assert (delivery.state, "No answer within" in line.error, line.took_ms < 2500) == (State.DUE, True, True)


def test_a_huge_answer_is_not_read(person: User, made: object, receiver: Receiver) -> None:
    receiver.answer = "huge"

    assert try_now(tell(person)).state == State.DELIVERED
    assert DeliveryTry.objects.get().took_ms < 5000


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_puts_the_next_try_off(person: User, made: object, receiver: Receiver, form: str) -> None:
    later = timezone.now() + timedelta(minutes=10)
    receiver.answer = 429
    receiver.headers = {"retry-after": "600" if form == "seconds" else format_datetime(later, usegmt=True)}
    delivery = try_now(tell(person))

    assert delivery.next_try_at is not None
    assert abs((delivery.next_try_at - later).total_seconds()) < 20


def test_retry_after_is_honoured_for_a_day_at_most_and_nonsense_is_ignored() -> None:
    far, soon = retrying.next_try(1, retry_after="99999999"), retrying.next_try(1, retry_after="soon, 1.5")

    assert far is not None
    assert soon is not None
    assert timedelta(hours=23) < far - timezone.now() <= timedelta(hours=24)
    assert soon - timezone.now() < timedelta(seconds=7)


def test_the_pauses_grow_differ_and_end_after_three_days() -> None:
    def pause(tries: int) -> float:
        again = retrying.next_try(tries)
        assert again is not None
        return (again - timezone.now()).total_seconds()

    pauses = [pause(tries) for tries in range(1, 10)]
    assert pauses == sorted(pauses)
    assert 3 * 86400 < sum(pauses) < 4 * 86400
    assert len({round(pause(5)) for _ in range(20)}) > 5
    assert retrying.next_try(10) is None


def test_410_switches_the_webhook_off_and_its_owner_is_told(person: User, made: object, receiver: Receiver) -> None:
    receiver.answer = 410
    delivery = try_now(tell(person))

    row = WebhookEndpoint.objects.get()
    assert (delivery.state, row.enabled, "410" in row.trouble) == (State.GIVEN_UP, False, True)
    notice = Notice.objects.get(kind="webhook.disabled")
    assert (notice.owner, notice.data["webhook_id"]) == (person, str(row.pk))


def test_after_days_of_failures_the_webhook_is_switched_off_once(
    person: User, made: object, receiver: Receiver
) -> None:
    receiver.answer = 500
    first, second = tell(person), tell(person)
    try_now(first)
    assert WebhookEndpoint.objects.get().failing_since is not None
    WebhookEndpoint.objects.update(failing_since=timezone.now() - webhooks.OFF_AFTER - timedelta(minutes=1))
    try_now(first)
    assert not WebhookEndpoint.objects.get().enabled
    calls = len(receiver.calls)

    assert try_now(second).state == State.GIVEN_UP
    assert len(receiver.calls) == calls
    assert Notice.objects.filter(kind="webhook.disabled").count() == 1


def test_a_success_forgives_the_failures_before_it(person: User, made: object, receiver: Receiver) -> None:
    receiver.answer = 500
    delivery = try_now(tell(person))
    receiver.answer = 200
    try_now(delivery)

    row = WebhookEndpoint.objects.get()
    assert (row.failing_since, row.trouble) == (None, "")


@on_real_transactions
def test_a_late_answer_of_a_lost_hold_changes_nothing(person: User, made: object, receiver: Receiver) -> None:
    receiver.slow_s = 1
    delivery = tell(person)
    worker = in_thread(lambda: tasks.deliver_webhook(str(delivery.pk)))
    until(lambda: receiver.calls, what="the call")
    # What a second worker does when the first one's hold is over.
    held = timezone.now() + timedelta(hours=1)
    Delivery.objects.filter(pk=delivery.pk).update(next_try_at=held, tries=2)
    worker.join(30)

    delivery.refresh_from_db()
    assert (delivery.next_try_at, delivery.tries, delivery.state) == (held, 2, State.DUE)
    assert DeliveryTry.objects.count() == 1


# --- where to ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://2130706433/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
        "https://user:pass@example.com/",
        "https://10.0.0.8:25/",
        "ftp://example.com/",
        "https://example.com/#part",
    ],
)
def test_an_address_that_may_not_be_called_is_not_saved(person: User, url: str) -> None:
    with pytest.raises(WebhookAddressRefused) as refused:
        webhooks.create_endpoint(owner=person, url=url)

    assert refused.value.field == "url"
    assert not WebhookEndpoint.objects.exists()


def test_an_address_that_is_private_by_now_is_not_called(
    person: User, made: object, receiver: Receiver, settings: Settings
) -> None:
    delivery = tell(person)
    settings.WEBHOOK_PRIVATE_HOSTS = []
    WebhookEndpoint.objects.update(url=f"https://127.0.0.1:{receiver.port}/hook")
    try_now(delivery)

    assert (delivery.state, receiver.calls) == (State.DUE, [])
    assert "public internet" in DeliveryTry.objects.get().error


def test_a_person_has_at_most_ten(person: User, stranger: User, receiver: Receiver) -> None:
    for _ in range(webhooks.MAX_ENDPOINTS):
        webhooks.create_endpoint(owner=person, url=receiver.url)

    with pytest.raises(TooManyWebhooks):
        webhooks.create_endpoint(owner=person, url=receiver.url)
    webhooks.create_endpoint(owner=stranger, url=receiver.url)


# --- again, tests, forgetting -----------------------------------------------------------------------------------------


def test_a_replay_sends_the_same_id_and_body(person: User, made: object, receiver: Receiver) -> None:
    delivery = try_now(tell(person))
    webhooks.replay(delivery=delivery)
    assert (delivery.state, delivery.tries) == (State.DUE, 0)
    tasks.deliver_webhook(str(delivery.pk))

    first, second = receiver.calls
    assert (first.message_id, first.body) == (second.message_id, second.body)
    assert DeliveryTry.objects.count() == 2


def test_a_test_reaches_only_the_tested_one(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    webhooks.create_endpoint(owner=person, url=receiver.url)
    delivery = webhooks.send_test(endpoint=made[0])
    try_now(delivery)

    assert Delivery.objects.count() == 1
    assert receiver.calls[0].verified(made[1])["type"] == "webhook.test"


def test_what_is_switched_off_is_neither_tested_nor_replayed(
    person: User, made: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    delivery = try_now(tell(person))
    row = webhooks.change_endpoint(endpoint=made[0], enabled=False)
    delivery = Delivery.objects.get(pk=delivery.pk)

    with pytest.raises(WebhookIsOff):
        webhooks.send_test(endpoint=row)
    with pytest.raises(WebhookIsOff):
        webhooks.replay(delivery=delivery)


def test_a_secret_that_cannot_be_read_is_a_failure_with_words(
    person: User, made: object, receiver: Receiver, settings: Settings
) -> None:
    settings.SECRET_KEY = "another one " * 5
    try_now(tell(person))

    assert receiver.calls == []
    assert "rotate" in DeliveryTry.objects.get().error


def test_old_notices_are_forgotten_unless_they_are_on_their_way(person: User, made: object, receiver: Receiver) -> None:
    done, waiting, fresh = try_now(tell(person)), tell(person), try_now(tell(person))
    Delivery.objects.filter(channel="mail").delete()
    old = timezone.now() - timedelta(days=91)
    Notice.objects.filter(pk__in=[done.notice_id, waiting.notice_id]).update(created_at=old)

    assert forgetting.forget() == 1
    assert set(Delivery.objects.values_list("pk", flat=True)) == {waiting.pk, fresh.pk}


def test_with_a_video_its_notices_are_forgotten_when_they_are_on_their_way_no_more(
    person: User, made: object, receiver: Receiver
) -> None:
    purged, deleted, kept = try_now(tell(person)), try_now(tell(person)), try_now(tell(person))
    waiting = tell(person)
    Delivery.objects.filter(channel="mail").delete()
    VideoJob.objects.filter(notices__in=[deleted.notice_id, waiting.notice_id]).update(deleted_at=timezone.now())
    VideoJob.objects.filter(notices=purged.notice_id).delete()

    assert forgetting.forget() == 2
    assert set(Delivery.objects.values_list("pk", flat=True)) == {kept.pk, waiting.pk}


def test_the_clock_knows_these_tasks(db: None) -> None:
    scheduled = set(Schedule.objects.values_list("func", flat=True))

    assert scheduled >= {"generation.tasks.tell_people", "generation.tasks.forget_notices"}
    assert callable(import_string(notify.DELIVER_TASK))
    assert callable(import_string(mails.SEND_TASK))


def test_replaced_secrets_are_forgotten_when_they_sign_no_more(made: tuple[WebhookEndpoint, str]) -> None:
    webhooks.rotate_secret(endpoint=made[0])
    tasks.forget_notices()
    assert WebhookEndpoint.objects.get().old_secret

    WebhookEndpoint.objects.update(old_secret_until=timezone.now() - timedelta(seconds=1))
    tasks.forget_notices()
    assert not WebhookEndpoint.objects.get().old_secret


def test_the_clock_rings_for_what_is_due_and_for_nothing_else(person: User, made: object, receiver: Receiver) -> None:
    due, done = tell(person), try_now(tell(person))
    later = tell(person)
    Delivery.objects.filter(pk=later.pk).update(next_try_at=timezone.now() + timedelta(minutes=5))
    OrmQ.objects.all().delete()
    assert webhooks.ring_due() == 1
    assert rung_for(due)
    assert done.state == State.DELIVERED


def test_a_message_id_has_no_dot(person: User, made: object) -> None:
    assert "." not in str(uuid.UUID(str(tell(person).notice_id)))
