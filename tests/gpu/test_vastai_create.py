"""Renting: what is sent, that it is sent once, and what each answer means."""

from typing import Any

import pytest

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import (
    Created,
    CreateOutcome,
    CreateSpec,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    Refused,
    RefusedButExists,
    SpendLimit,
)
from gpu.clients.vastai_errors import (
    NotSent,
    PermissionMissing,
    TwoFactorKey,
    VastError,
    VastRateLimited,
    VastUnauthorized,
)
from gpu.clients.vastai_limits import Endpoint
from tests.gpu.vastai import KEY, FakeClock, hangs_up, says, vast, writes
from tests.simulators.wire import Handler, reply

SPEC = CreateSpec(label="i2v/test/1", disk_gb=60, image="vastai/swarmui:1", ports=(7865,))
WHOLE: dict[str, Any] = {"label": "i2v/test/1", "disk_gb": 60, "image": "a:1"}
NO_ASK = "error 404/3603: no_such_ask Instance type by id 9 is not available."


def outcome_of(answer: Handler) -> CreateOutcome:
    with vast(answer) as server:
        outcome = server.client.create(9, SPEC)
    assert len(server.asked) == 1
    return outcome


def test_a_rent_is_on_demand_and_leaves_nothing_behind_when_the_offer_is_gone() -> None:
    spec = CreateSpec(
        label="i2v/test/1",
        disk_gb=60,
        template_hash="abc",
        env={"WEB_PASSWORD": "hush"},
        ports=(1111, 7865),
        onstart="entrypoint.sh",
        runtype="ssh_direct",
    )
    with vast(says({"success": True, "new_contract": 12, "instance_api_key": "ik"})) as server:
        server.client.create(9, spec)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PUT", "/api/v0/asks/9/")
    assert asked.body == {
        "client_id": "me",
        "template_hash_id": "abc",
        "disk": 60,
        "label": "i2v/test/1",
        "env": {"WEB_PASSWORD": "hush", "-p 1111:1111": "1", "-p 7865:7865": "1"},
        "onstart": "entrypoint.sh",
        "runtype": "ssh_direct",
        "target_state": "running",
        "cancel_unavail": True,
    }


def test_a_rented_machine_has_an_id_and_a_key_of_its_own() -> None:
    outcome = outcome_of(says({"success": True, "new_contract": 12345678, "instance_api_key": "ik-1"}))
    assert outcome == Created(12345678, "ik-1")
    assert "ik-1" not in repr(outcome)


@pytest.mark.parametrize("answer", [{"new_contract": 12}, {"success": True, "new_contract": "12"}])
def test_a_success_may_be_worded_differently(answer: dict[str, Any]) -> None:
    assert outcome_of(says(answer)) == Created(12, "")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says({"success": False, "error": "invalid_args", "msg": NO_ASK}, status=404), OfferGone),
        (says({"success": False, "error": "no_such_ask", "msg": "?"}, status=410), OfferGone),
        (writes("gone", status=410), OfferGone),
        (says({"error": "no_such_ask"}, status=400), OfferGone),
        (writes("no_such_ask", status=400), OfferGone),
        (says({"msg": "The offer is no longer available"}, status=409), OfferGone),
        (says({"success": False, "error": "no_such_ask"}), OfferGone),
        (says({"success": False, "error": "insufficient_credit", "msg": "?"}, status=400), NoCredit),
        (says({"success": False, "error": "insufficient_credit"}), NoCredit),
        (says({"success": False, "msg": "Insufficient credit."}, status=400), NoCredit),
        (says({"msg": "pay"}, status=402), NoCredit),
        (says({"success": False, "error": "spend_rate_limit"}, status=400), SpendLimit),
        (says({"success": False, "error": "invalid_args", "msg": "image is not available"}, status=400), Refused),
        (says({"success": False, "msg": "odd account state"}), Refused),
        (says({"success": False, "new_contract": 12, "msg": "bid too low"}), RefusedButExists),
        (says({"success": False, "new_contract": 12, "error": "x"}, status=400), RefusedButExists),
        (says({"success": False, "new_contract": 12}, status=500), RefusedButExists),
        (says({"success": True, "new_contract": 12}, status=504), RefusedButExists),
        (says({"success": False, "error": "server_error", "msg": "?"}, status=400), OutcomeUnknown),
        (says({"success": True}), OutcomeUnknown),
        (says({"success": True, "msg": "on its way"}), OutcomeUnknown),
        (says({"error": "odd", "msg": "?"}), OutcomeUnknown),
        (says({"success": False, "error": "internal", "msg": "?"}, status=500), OutcomeUnknown),
        (says({"success": False, "error": "no_such_ask", "msg": "?"}, status=502), OutcomeUnknown),
        (says({"success": False, "error": "time_out", "msg": "?"}, status=408), OutcomeUnknown),
        (says({"success": True, "new_contract": None}), OutcomeUnknown),
        (says({}), OutcomeUnknown),
        (says({}, status=400), OutcomeUnknown),
        (writes("<html>hm</html>"), OutcomeUnknown),
        (writes(""), OutcomeUnknown),
        (writes("<html>hm</html>", status=404), OutcomeUnknown),
        (writes("slow", status=408), OutcomeUnknown),
        (writes("", status=500), OutcomeUnknown),
        (writes("", status=502), OutcomeUnknown),
        (writes("", status=503), OutcomeUnknown),
        (writes("", status=504), OutcomeUnknown),
        (reply(b"", status="307 Moved", Location="/"), OutcomeUnknown),
        (reply(b"x" * 17 * 1024 * 1024), OutcomeUnknown),
        (reply(b"xx", Content_Encoding="gzip"), OutcomeUnknown),
        (hangs_up, OutcomeUnknown),
        (
            lambda connection, _: connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"succ'),
            OutcomeUnknown,
        ),
    ],
)
def test_each_answer_to_a_rent_means_one_thing(answer: Handler, kind: type[CreateOutcome]) -> None:
    assert type(outcome_of(answer)) is kind


def test_a_refused_rent_that_exists_all_the_same_keeps_its_id() -> None:
    outcome = outcome_of(says({"success": False, "new_contract": 12, "msg": "bid too low"}))
    assert isinstance(outcome, RefusedButExists)
    assert outcome.instance_id == 12


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says({"error": "auth_error", "msg": "Invalid user key"}, status=401), VastUnauthorized),
        (says({"error": "auth_error", "msg": "Invalid user key"}, status=404), VastUnauthorized),
        (says({"msg": "Two Factor Authentication"}, status=401), TwoFactorKey),
        (says({"error": "forbidden", "msg": "instance_write"}, status=403), PermissionMissing),
        (writes("slow", status=429), VastRateLimited),
    ],
)
def test_a_rent_that_was_turned_away_at_the_door_is_an_error(answer: Handler, kind: type[VastError]) -> None:
    with vast(answer) as server, pytest.raises(VastError) as caught:
        server.client.create(9, SPEC)
    assert type(caught.value) is kind
    assert len(server.asked) == 1


def test_after_a_429_no_rent_is_sent_for_the_length_of_the_penalty() -> None:
    with vast(writes("slow", status=429), says({"success": True, "new_contract": 12})) as server:
        with pytest.raises(VastRateLimited):
            server.client.create(9, SPEC)
        server.client.create(9, SPEC)
    assert 12 <= server.asked[1].at - server.asked[0].at < 14


def test_a_rent_that_finds_nobody_is_known_not_to_have_been_sent() -> None:
    client = VastClient("http://127.0.0.1:9", KEY, limiter=FakeClock().limiter())
    with pytest.raises(NotSent):
        client.create(9, SPEC)


def test_a_rent_that_must_wait_too_long_for_its_turn_is_not_sent() -> None:
    with vast(says({})) as server:
        server.client._transport.limiter.hold(Endpoint.CREATE, 60)
        with pytest.raises(VastRateLimited):
            server.client.create(9, SPEC)
    assert server.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"label": ""},
        {"label": "x" * 257},
        {"disk_gb": 7.9},
        {"disk_gb": float("nan")},
        {"image": ""},
        {"onstart": "x" * 4097},
        {"env": {"x" * 257: "1"}},
        {"env": {"x": "y" * 32768}},
        {"ports": tuple(range(1, 66))},
    ],
)
def test_what_vast_would_refuse_is_not_even_built(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        CreateSpec(**(WHOLE | change))


def test_secrets_of_a_machine_are_not_shown() -> None:
    spec = CreateSpec(label="l", disk_gb=8, image="a:1", env={"A": "hush"}, onstart="hush", image_login="hush")
    assert "hush" not in repr(spec)
