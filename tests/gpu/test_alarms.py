"""What people are alarmed about: once, until it is over, by a mail and a webhook that get through in the end."""

import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from gpu.errors import CapReached
from gpu.models import Alarm, AlarmNotice, FleetStatus, GpuConfig, Instance, InstanceState
from gpu.services import alarm_notices, alarms, charges, config
from tests.gpu import machine_rows
from tests.simulators.wire import Wire, reply, serve

S = InstanceState
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(settings: Settings) -> None:
    settings.ALARM_WEBHOOK_URL = settings.ALARM_WEBHOOK_SECRET = ""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def ago(**span: float) -> Any:
    return timezone.now() - timedelta(**span)


def status(**values: Any) -> FleetStatus:
    return FleetStatus.objects.update_or_create(pk=1, defaults=values)[0]


def kinds() -> list[str]:
    return sorted(Alarm.objects.filter(cleared_at=None).values_list("kind", flat=True))


class TestWhatIsWrong:
    def test_a_fleet_in_order_raises_nothing(self) -> None:
        machine_rows.instance(S.READY, seen_at=timezone.now())
        machine_rows.instance(S.PROVISIONING, state_since=ago(minutes=2), trouble="SwarmUI does not answer yet.")
        status(credit_usd=Decimal(20), listed_at=timezone.now())
        assert alarms.check() == []

    def test_a_machine_that_no_row_knows(self) -> None:
        status(strangers=[{"id": 4711, "label": "", "gpu_name": "RTX 4090", "usd_per_hour": "0.4"}])
        [alarm] = alarms.check()
        assert alarm.kind == Alarm.Kind.UNKNOWN_MACHINE
        assert "4711 (RTX 4090, $0.4 an hour)" in alarm.message

    @pytest.mark.parametrize(("minutes", "expected"), [(4, []), (6, ["slow_destroy"])])
    def test_giving_back_for_more_than_five_minutes(self, minutes: int, expected: list[str]) -> None:
        machine_rows.instance(S.DESTROYING, state_since=ago(minutes=minutes), destroy_tries=3)
        alarms.check()
        assert kinds() == expected

    @pytest.mark.parametrize(("usd", "expected"), [("7.99", []), ("8.00", ["cap"])])
    def test_four_fifths_of_the_cap_of_a_day(self, usd: str, expected: list[str]) -> None:
        config.load()
        machine_rows.spent(machine_rows.instance(S.DESTROYED), usd)
        alarms.check()
        assert kinds() == expected

    def test_the_cap_of_a_month_is_watched_too(self) -> None:
        config.load()
        GpuConfig.objects.update(daily_cap_usd=100, monthly_cap_usd=100)
        machine_rows.spent(machine_rows.instance(S.DESTROYED), "79", timezone.now().replace(day=1, hour=0, minute=0))
        machine_rows.spent(machine_rows.instance(S.DESTROYED), "2")
        [alarm] = [one for one in alarms.check() if "this month" in one.message]
        assert alarm.message == "$81.00 of at most $100.00 were spent this month."

    @pytest.mark.parametrize(("usd", "expected"), [(None, []), (Decimal("2.01"), []), (Decimal("1.99"), ["credit"])])
    def test_little_credit(self, usd: Decimal | None, expected: list[str]) -> None:
        status(credit_usd=usd)
        alarms.check()
        assert kinds() == expected

    @pytest.mark.parametrize(
        ("state", "values"),
        [
            (S.REQUESTED, {"state_since": ago(minutes=6)}),
            (S.CREATING, {"state_since": ago(minutes=1), "trouble": "vast.ai has no credit of ours."}),
            (S.BOOTING, {"state_since": ago(minutes=16)}),
            (S.PROVISIONING, {"state_since": ago(minutes=23)}),
            (S.READY, {"seen_at": ago(minutes=20)}),
        ],
    )
    def test_a_machine_that_does_not_get_on(self, state: str, values: dict[str, Any]) -> None:
        status(listed_at=timezone.now())
        row = machine_rows.instance(state, **values)
        [alarm] = alarms.check()
        assert (alarm.kind, alarm.instance) == (Alarm.Kind.STUCK, row)

    def test_a_look_that_failed_says_nothing_about_a_machine(self) -> None:
        status(listed_at=ago(minutes=20))
        machine_rows.instance(S.READY, seen_at=ago(minutes=20))
        assert alarms.check() == []


class TestOnceAndOver:
    def test_the_same_trouble_is_raised_once_and_cleared_when_it_is_over(self) -> None:
        row = machine_rows.instance(S.DESTROYING, state_since=ago(minutes=6))
        assert (len(alarms.check()), len(alarms.check())) == (1, 0)
        Instance.objects.filter(pk=row.pk).update(state=S.DESTROYED)
        alarms.check()
        assert (kinds(), Alarm.objects.get().cleared_at is not None) == ([], True)

    def test_trouble_that_comes_back_is_a_new_alarm(self) -> None:
        for credit in (1, 20, 1):
            status(credit_usd=Decimal(credit))
            alarms.check()
        assert (Alarm.objects.count(), len(kinds())) == (2, 1)

    @pytest.mark.django_db(transaction=True, serialized_rollback=True)
    def test_two_processes_at_once_raise_it_once(self, staff: User) -> None:
        status(credit_usd=Decimal(1))
        together = Barrier(2)

        def look() -> None:
            together.wait()
            alarms.check()
            connection.close()

        threads = [Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (Alarm.objects.count(), AlarmNotice.objects.count()) == (1, 1)


class TestMail:
    def test_goes_to_staff_with_an_address_and_to_nobody_else(self, staff: User, person: User) -> None:
        status(credit_usd=Decimal(1))
        alarms.check()
        send_all()
        [message] = mail.outbox
        assert message.recipients() == [staff.email]
        assert "$1.00 of credit is left" in message.body

    def test_a_notice_delivered_twice_is_sent_once(self, staff: User) -> None:
        status(credit_usd=Decimal(1))
        alarms.check()
        notice = AlarmNotice.objects.get()
        for _ in range(2):
            alarm_notices.send(notice_id=str(notice.pk))
        assert len(mail.outbox) == 1

    def test_a_mail_server_that_is_away_is_tried_again(self, staff: User, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        status(credit_usd=Decimal(1))
        alarms.check()
        send_all()
        notice = AlarmNotice.objects.get()
        assert (notice.tries, notice.sent_at, notice.error) == (1, None, "mail: ConnectionRefusedError")
        assert notice.next_try_at is not None
        assert notice.next_try_at > timezone.now()


def send_all() -> None:
    """What the queue would do with the notices that are due."""
    for notice in AlarmNotice.objects.filter(next_try_at__lte=timezone.now()):
        alarm_notices.send(notice_id=str(notice.pk))


def due_now() -> None:
    AlarmNotice.objects.exclude(next_try_at=None).update(next_try_at=timezone.now())


class Receiver:
    """A webhook that answers with one status after another, and what it was sent."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.before: Callable[[], object] = lambda: None

    def __call__(self, connection: socket.socket, head: bytes) -> None:
        start, _, body = head.partition(b"\r\n\r\n")
        length = int(start.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        self.bodies.append(body)
        self.before()
        reply(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])(connection, head)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver("200 OK")


@pytest.fixture
def hook(receiver: Receiver, settings: Settings) -> Iterator[Wire]:
    with serve(receiver) as wire:
        settings.ALARM_WEBHOOK_URL = f"http://{wire.host}/hook"
        settings.ALARM_WEBHOOK_PRIVATE_HOSTS = [wire.host]
        yield wire


class TestWebhook:
    def test_is_told_of_the_alarm_and_of_its_end(self, hook: Wire, receiver: Receiver) -> None:
        for credit in (1, 20):
            status(credit_usd=Decimal(credit))
            alarms.check()
            send_all()
        said = [json.loads(body) for body in receiver.bodies]
        assert [one["event"] for one in said] == ["raised", "cleared"]
        assert (said[0]["kind"], said[0]["cleared_at"]) == ("credit", None)
        assert said[1]["cleared_at"] is not None

    def test_is_tried_again_until_it_answers(self, hook: Wire, receiver: Receiver) -> None:
        receiver.statuses = ["500 Oops", "302 Found", "200 OK"]
        status(credit_usd=Decimal(1))
        alarms.check()
        for tries in range(1, 4):
            send_all()
            assert AlarmNotice.objects.get().tries == tries
            due_now()
        notice = AlarmNotice.objects.get()
        assert (notice.sent_at is not None, notice.next_try_at, notice.error) == (True, None, "")
        assert len({json.loads(body)["id"] for body in receiver.bodies}) == 1

    def test_a_failed_try_waits_longer_each_time(self, hook: Wire, receiver: Receiver) -> None:
        receiver.statuses = ["503 Later"]
        status(credit_usd=Decimal(1))
        alarms.check()
        pauses = []
        for _ in range(3):
            send_all()
            notice = AlarmNotice.objects.get()
            assert notice.next_try_at is not None
            pauses.append(round((notice.next_try_at - timezone.now()).total_seconds() / 30))
            due_now()
        assert pauses == [1, 2, 4]

    def test_is_given_up_in_the_end(self, hook: Wire, receiver: Receiver) -> None:
        receiver.statuses = ["410 Gone"]
        status(credit_usd=Decimal(1))
        alarms.check()
        AlarmNotice.objects.update(tries=alarm_notices.MAX_TRIES - 1)
        send_all()
        notice = AlarmNotice.objects.get()
        assert (notice.next_try_at, notice.sent_at, notice.error) == (None, None, "webhook: HTTP 410")

    def test_a_secret_signs_the_body(self, hook: Wire, receiver: Receiver, settings: Settings) -> None:
        settings.ALARM_WEBHOOK_SECRET = "shared"
        status(credit_usd=Decimal(1))
        alarms.check()
        send_all()
        signature = hmac.new(b"shared", receiver.bodies[0], hashlib.sha256).hexdigest()
        assert f"x-signature-256: sha256={signature}".encode() in hook.requests[0].lower()

    def test_an_address_inside_the_network_is_refused_unless_it_is_allowed(
        self, hook: Wire, receiver: Receiver, settings: Settings
    ) -> None:
        settings.ALARM_WEBHOOK_PRIVATE_HOSTS = []
        status(credit_usd=Decimal(1))
        alarms.check()
        send_all()
        assert (receiver.bodies, AlarmNotice.objects.get().error) == ([], "webhook: AddressRefused")

    def test_a_ring_that_was_lost_is_rung_again(self, hook: Wire) -> None:
        status(credit_usd=Decimal(1))
        alarms.check()
        assert alarm_notices.ring_due() == 1
        send_all()
        assert alarm_notices.ring_due() == 0

    @pytest.mark.django_db(transaction=True, serialized_rollback=True)
    def test_nobody_else_sends_while_a_try_is_under_way(self, hook: Wire, receiver: Receiver) -> None:
        status(credit_usd=Decimal(1))
        alarms.check()
        notice = str(AlarmNotice.objects.get().pk)

        def send_too() -> None:
            receiver.before = lambda: None
            alarm_notices.send(notice_id=notice)
            connection.close()

        receiver.before = send_too  # in the receiver's thread, before it answers
        alarm_notices.send(notice_id=notice)
        assert len(receiver.bodies) == 1


class TestMoneyOfTheCloudAndOfOneMachine:
    def test_an_empty_account_at_fal_is_told_at_once_and_refuses_cloud_videos_for_a_while(self, person: User) -> None:
        config.load()
        video = charges.JobMoney(job_id=uuid4(), person_id=person.pk, cloud=True)
        own = charges.JobMoney(job_id=uuid4(), person_id=person.pk, cloud=False)
        for _ in range(2):
            alarms.cloud_credit_low("Exhausted balance.")
        assert (kinds(), Alarm.objects.count()) == (["credit"], 1)
        assert "Exhausted balance." in Alarm.objects.get().message
        with pytest.raises(CapReached, match=r"account at fal\.ai is used up"):
            charges.reserve_job(video, Decimal("0.1"))
        charges.reserve_job(own, Decimal("0.1"))
        alarms.check()
        assert kinds() == ["credit"]
        FleetStatus.objects.update(cloud_trouble_at=ago(minutes=16))
        charges.reserve_job(video, Decimal("0.1"))

    def test_the_alarm_ends_when_fal_takes_a_call_or_has_not_complained_for_an_hour(self) -> None:
        alarms.cloud_credit_low("Exhausted balance.")
        alarms.cloud_credit_fine()
        alarms.check()
        assert kinds() == []
        alarms.cloud_credit_low("Exhausted balance.")
        FleetStatus.objects.update(cloud_trouble_at=ago(minutes=61))
        alarms.check()
        assert kinds() == []

    def test_warnings_begin_at_the_soft_limit_of_the_configuration(self) -> None:
        config.load()
        GpuConfig.objects.update(soft_cap_percent=50, machine_cap_usd=2, monthly_cap_usd=100)
        row = machine_rows.instance(S.READY, spent_usd=Decimal("0.99"))
        machine_rows.spent(row, "4.99")
        alarms.check()
        assert kinds() == []
        Instance.objects.update(spent_usd=1)
        machine_rows.spent(row, "0.01")
        alarms.check()
        assert sorted(alarm.key.partition(":")[0] for alarm in Alarm.objects.filter(cleared_at=None)) == [
            "cap",
            "machine-cap",
        ]
