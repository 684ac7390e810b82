"""One machine: its record in all its shapes, what its states mean, and what can be done to it."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from gpu.clients.vastai import Destroy, Start
from gpu.clients.vastai_errors import (
    NotFound,
    PermissionMissing,
    TwoFactorKey,
    VastError,
    VastProtocolError,
    VastRejected,
    VastUnauthorized,
    VastUnavailable,
)
from gpu.clients.vastai_messages import Status, parse_machine
from tests.gpu.vastai import MACHINE, hangs_up, says, vast, writes
from tests.simulators.wire import Handler

BOOTING = MACHINE | {"actual_status": "loading", "ports": None, "public_ipaddr": None}
PATH = "/api/v0/instances/4242/"


# --- the record -----------------------------------------------------------------------------------------------------


def test_a_record_becomes_a_value_of_ours() -> None:
    machine = parse_machine(MACHINE)
    assert (machine.id, machine.label, machine.status, machine.gpu_name) == (
        4242,
        "i2v/test/1",
        Status.RUNNING,
        "RTX 4090",
    )
    assert (machine.usd_per_hour, machine.storage_usd_per_hour) == (Decimal("0.4125"), Decimal("0.0125"))
    assert machine.created_at == datetime.datetime(2026, 10, 31, 12, 33, 20, 500000, datetime.UTC)
    assert machine.disk_used_gb is None


def test_a_record_of_nulls_is_a_machine_that_nobody_knows_much_about() -> None:
    machine = parse_machine(dict.fromkeys(MACHINE) | {"id": 1})
    assert (machine.status, machine.label, machine.usd_per_hour, machine.ports) == (Status.NONE, "", None, {})
    assert not machine.has_failed
    assert not machine.is_up


@pytest.mark.parametrize(
    "record", [None, 5, "x", [], {}, {"id": None}, {"id": 0}, {"id": -1}, {"id": 1.5}, {"id": True}]
)
def test_a_record_without_an_id_is_no_machine(record: object) -> None:
    with pytest.raises(VastProtocolError):
        parse_machine(record)


def test_secrets_of_a_machine_are_in_no_snapshot_and_no_text() -> None:
    machine = parse_machine(MACHINE)
    assert machine.jupyter_token == "hush"
    assert "hush" not in repr(machine) + str(machine.raw)


def test_a_word_that_we_do_not_know_is_kept_and_is_no_failure() -> None:
    machine = parse_machine(MACHINE | {"actual_status": "defrosting"})
    assert (machine.status, machine.status_text) == (Status.UNRECOGNISED, "defrosting")
    assert not machine.has_failed
    assert not machine.is_up


def test_a_strange_label_never_becomes_one_of_ours() -> None:
    assert not parse_machine(MACHINE | {"label": "\0i2v/test/1"}).label.startswith("i2v/")
    assert not parse_machine(MACHINE | {"label": " i2v/test/1"}).label.startswith("i2v/")


def test_a_port_is_found_at_the_shared_address_without_its_line_break() -> None:
    machine = parse_machine(MACHINE)
    assert str(machine.address_of("7865/tcp")) == "203.0.113.42:40123"
    assert machine.address_of("1111/tcp") is None


def test_an_ipv6_address_is_written_with_brackets() -> None:
    assert (
        str(parse_machine(MACHINE | {"public_ipaddr": "2001:db8::1"}).address_of("7865/tcp")) == "[2001:db8::1]:40123"
    )


@pytest.mark.parametrize(
    "ports",
    [
        *(None, [], {}, {"7865/tcp": None}, {"7865/tcp": []}, {"7865/tcp": [40123]}, {"7865/tcp": "40123"}),
        *(
            {"7865/tcp": [{"HostPort": value}]}
            for value in ("0", "65536", "-1", "4e3", "x", "", None, "\uff11\uff12", "80@evil")
        ),
    ],
)
def test_a_port_that_is_none_is_not_found(ports: object) -> None:
    assert parse_machine(MACHINE | {"ports": ports}).address_of("7865/tcp") is None


@pytest.mark.parametrize("ip", [None, "", "evil.example", "1.2.3", "1.2.3.4@x", 5])
def test_an_address_that_is_none_is_not_found(ip: object) -> None:
    assert parse_machine(MACHINE | {"public_ipaddr": ip}).address_of("7865/tcp") is None


# --- what states mean -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [None, "created", "loading", "running", "rebooting", "restarting", "recycling"])
def test_a_machine_on_its_way_has_not_failed(word: str | None) -> None:
    assert parse_machine(MACHINE | {"actual_status": word}).failure() is None


@pytest.mark.parametrize(
    ("word", "look_again"),
    [("exited", False), ("stopped", False), ("frozen", False), ("unknown", True), ("offline", True)],
)
def test_a_machine_that_stopped_by_itself_has_failed(word: str, look_again: bool) -> None:
    failure = parse_machine(MACHINE | {"actual_status": word}).failure()
    assert failure is not None
    assert (failure.code, failure.look_again) == ("status", look_again)
    assert word in failure.text


STATES = ("intended_status", "cur_state", "next_state")


def test_three_times_stopped_means_that_the_host_gave_up() -> None:
    machine = parse_machine(MACHINE | {"actual_status": "created"} | dict.fromkeys(STATES, "stopped"))
    failure = machine.failure()
    assert failure is not None
    assert failure.code == "gave_up"


@pytest.mark.parametrize("running", STATES)
def test_twice_stopped_is_a_fresh_rental(running: str) -> None:
    states = dict.fromkeys(STATES, "stopped") | {running: "running"}
    assert not parse_machine(BOOTING | states).has_failed


@pytest.mark.parametrize(
    "message",
    [
        "Error response from daemon: failed to create task",
        "OCI runtime create failed: unresolvable CDI devices",
        "Failed to pull image vastai/x",
        "manifest unknown",
        "pull access denied for x",
        "repository does not exist",
        "unauthorized: authentication required",
        "write /x: no space left on device",
        "unexpected EOF",
        "toomanyrequests: You have reached your pull rate limit",
    ],
)
def test_a_fatal_word_of_the_daemon_is_a_failure_until_it_runs(message: str) -> None:
    failure = parse_machine(BOOTING | {"status_msg": f"1/2 {message} 3"}).failure()
    assert failure is not None
    assert (failure.code, message in failure.text) == ("daemon", True)
    assert parse_machine(MACHINE | {"status_msg": message}).is_up


def test_progress_of_a_pull_is_no_failure() -> None:
    assert not parse_machine(BOOTING | {"status_msg": "a1b2c3: Pulling fs layer"}).has_failed


# --- reading it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [MACHINE, [MACHINE]])
def test_a_machine_comes_as_an_object_or_as_a_list_of_one(record: Any) -> None:
    with vast(says({"instances": record})) as server:
        machine = server.client.show(4242)
    assert machine == parse_machine(MACHINE)
    assert [(asked.method, asked.path, asked.query) for asked in server.asked] == [("GET", PATH, {"owner": "me"})]


@pytest.mark.parametrize(
    "answer",
    [
        says({"instances": None}),
        says({"instances": []}),
        says({"success": False, "error": "no_such_instance", "msg": "?"}, status=404),
        says({"success": False, "error": "not_found", "msg": "?"}, status=404),
        says({"success": False, "error": "no_such_instance", "msg": "?"}),
        writes("", status=404),
    ],
)
def test_a_machine_that_is_gone_is_none(answer: Handler) -> None:
    with vast(answer) as server:
        assert server.client.show(4242) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says({}), VastProtocolError),
        (says({"instances": {}}), VastProtocolError),
        (says({"instances": 5}), VastProtocolError),
        (says({"instances": MACHINE | {"id": 4243}}), VastProtocolError),
        (writes("<html>", status=404), VastProtocolError),
        (says({"error": "auth_error", "msg": "Invalid user key"}, status=404), VastUnauthorized),
        (says({"msg": "2FA session expired"}, status=404), TwoFactorKey),
        (writes("", status=504), VastUnavailable),
    ],
)
def test_a_bad_answer_never_looks_like_a_machine_that_is_gone(answer: Handler, kind: type[VastError]) -> None:
    with vast(answer) as server, pytest.raises(VastError) as caught:
        server.client.show(4242)
    assert type(caught.value) is kind


def test_ports_that_a_read_by_id_lacks_come_from_the_list() -> None:
    by_id = says({"instances": MACHINE | {"ports": None}})
    with vast(by_id, says({"instances": [MACHINE | {"id": 1}, MACHINE], "total_instances": 2})) as server:
        machine = server.client.show(4242)
    assert machine is not None
    assert machine.id == 4242
    assert machine.address_of("7865/tcp")
    assert server.asked[1].query["select_filters"] == '{"id": {"eq": 4242}}'


@pytest.mark.parametrize("second", [writes("", status=400), hangs_up, says({"instances": []}), says({})])
def test_a_machine_is_shown_without_ports_when_the_list_does_not_help(second: Handler) -> None:
    with vast(says({"instances": MACHINE | {"ports": {}}}), second) as server:
        machine = server.client.show(4242)
    assert machine is not None
    assert machine.is_up
    assert machine.address_of("7865/tcp") is None


def test_the_list_is_not_asked_for_a_machine_that_does_not_run_yet() -> None:
    with vast(says({"instances": BOOTING})) as server:
        server.client.show(4242)
    assert len(server.asked) == 1


# --- changing it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "arguments", "body"),
    [
        ("label", ("i2v/test/2",), {"label": "i2v/test/2"}),
        ("stop", (), {"state": "stopped"}),
        ("start", (), {"state": "running"}),
    ],
)
def test_label_stop_and_start_change_the_record(action: str, arguments: tuple[str, ...], body: dict[str, str]) -> None:
    with vast(says({"success": True})) as server:
        getattr(server.client, action)(4242, *arguments)
    assert [(asked.method, asked.path, asked.body) for asked in server.asked] == [("PUT", PATH, body)]


@pytest.mark.parametrize("action", ["stop", "start", "reboot", "recycle", "destroy"])
def test_a_lost_answer_is_an_error_when_it_stays_lost(action: str) -> None:
    with vast(hangs_up) as server, pytest.raises(VastUnavailable):
        getattr(server.client, action)(4242)


@pytest.mark.parametrize("action", ["stop", "start", "reboot", "recycle", "logs"])
def test_a_change_to_a_machine_that_is_gone_says_so(action: str) -> None:
    gone = says({"success": False, "error": "no_such_instance", "msg": "?"}, status=404)
    with vast(gone) as server, pytest.raises(NotFound):
        getattr(server.client, action)(4242)


QUEUED = {"success": False, "msg": "Required resources unavailable, state change queued."}


@pytest.mark.parametrize("answer", [says(QUEUED), says(QUEUED, status=400), says(QUEUED, status=409)])
def test_a_start_without_a_free_gpu_is_queued(answer: Handler) -> None:
    with vast(answer) as server:
        assert server.client.start(4242) is Start.QUEUED


def test_a_start_that_works_is_started() -> None:
    with vast(says({"success": True})) as server:
        assert server.client.start(4242) is Start.STARTED


@pytest.mark.parametrize("action", ["start", "stop", "destroy", "reboot"])
def test_a_refusal_with_status_200_is_a_refusal(action: str) -> None:
    with vast(says({"success": False, "error": "odd", "msg": "?"})) as server, pytest.raises(VastRejected) as caught:
        getattr(server.client, action)(4242)
    assert caught.value.code == "odd"


def test_a_destroy_is_a_delete_and_its_success_a_promise() -> None:
    with vast(says({"success": True})) as server:
        assert server.client.destroy(4242) is Destroy.ACCEPTED
    assert [(asked.method, asked.path) for asked in server.asked] == [("DELETE", PATH)]


@pytest.mark.parametrize(
    "answer",
    [
        says({"success": False, "error": "no_such_instance", "msg": "?"}, status=404),
        says({"success": False, "error": "not_found"}, status=404),
        says({"success": False, "error": "no_such_instance"}, status=400),
        says({"success": False, "error": "no_such_instance"}),
        says({"error": "no_such_instance"}),
        says({"detail": "gone"}, status=404),
        writes("", status=404),
    ],
)
def test_a_second_destroy_finds_nothing(answer: Handler) -> None:
    with vast(answer) as server:
        assert server.client.destroy(4242) is Destroy.GONE


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says({"error": "auth_error", "msg": "Invalid user key"}, status=404), VastUnauthorized),
        (says({"msg": "2FA session expired"}, status=404), TwoFactorKey),
        (says({"error": "x", "msg": "instance_write"}, status=403), PermissionMissing),
        (writes("<html>not here</html>", status=404), VastProtocolError),
        (writes("<html>ok</html>"), VastProtocolError),
        (writes("", status=503), VastUnavailable),
    ],
)
def test_a_destroy_that_did_not_happen_never_looks_done(answer: Handler, kind: type[VastError]) -> None:
    with vast(answer) as server, pytest.raises(VastError) as caught:
        server.client.destroy(4242)
    assert type(caught.value) is kind


def test_a_destroy_whose_answer_was_lost_is_sent_again_and_finds_nothing() -> None:
    gone = says({"success": False, "error": "no_such_instance"}, status=404)
    with vast(hangs_up, gone) as server:
        assert server.client.destroy(4242) is Destroy.GONE
    assert len(server.asked) == 2
