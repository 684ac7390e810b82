"""The simulated fal's webhooks: signed as documented, sent again until they are taken, and wrong on demand."""

import base64
import hashlib
import json
import time

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import Caller, Ear, Heard, listening


@pytest.fixture
def ear():
    with listening() as receiver:
        yield receiver


def signed(fal: FalSimulator, call: Heard) -> bool:
    """Whether one of the published keys made the signature."""
    head = [call.headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    message = "\n".join([*head, hashlib.sha256(call.body).hexdigest()]).encode()
    signature = bytes.fromhex(call.headers["x-fal-webhook-signature"])
    keys = httpx.get(fal.jwks_url, trust_env=False).json()["keys"]
    assert {(key["kty"], key["crv"]) for key in keys} == {("OKP", "Ed25519")}
    return any(_fits(key["x"], signature, message) for key in keys)


def _fits(text: str, signature: bytes, message: bytes) -> bool:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def told(fal: FalSimulator, caller: Caller, ear: Ear, *, count: int = 1, **knobs) -> list[Heard]:
    """What the ear hears of one request."""
    fal.script(**knobs)
    caller.begin(webhook=ear.url)
    fal.advance(60)
    fal.wait_for(lambda state: state["webhooks"] >= count)
    return ear.heard


def heard(fal: FalSimulator, count: int) -> None:
    """Wait until so many were sent."""
    fal.wait_for(lambda state: state["webhooks"] >= count)


def test_a_result_is_told_with_a_signature_that_fits(fal: FalSimulator, caller: Caller, ear: Ear):
    call = told(fal, caller, ear)[0]
    body = json.loads(call.body)
    row = fal.requests()[0]

    assert call.path == "/hook/nonce-1"
    assert signed(fal, call)
    assert call.headers["x-fal-webhook-request-id"] == row["request_id"] == body["request_id"]
    assert body["gateway_request_id"] == row["request_id"]
    assert (body["status"], body["payload"]) == ("OK", row["output"])
    assert abs(int(call.headers["x-fal-webhook-timestamp"]) - time.time()) < 60


def test_a_failure_is_told_with_its_detail(fal: FalSimulator, caller: Caller, ear: Ear):
    body = json.loads(told(fal, caller, ear, fate_next=["fail_policy"])[0].body)

    assert (body["status"], body["error"]) == ("ERROR", "Invalid status code: 422")
    assert body["payload"]["detail"][0]["type"] == "content_policy_violation"


def test_a_changed_body_does_not_fit_its_signature(fal: FalSimulator, caller: Caller, ear: Ear):
    call = told(fal, caller, ear)[0]
    call.body += b" "

    assert not signed(fal, call)


def test_a_webhook_is_sent_again_until_it_is_taken(fal: FalSimulator, caller: Caller, ear: Ear):
    ear.answers = [500, 404, 301]
    fal.script(webhook_retry_seconds=10)
    caller.begin(webhook=ear.url)
    for attempt in range(1, 5):
        fal.advance(200)
        heard(fal, attempt)
    fal.advance(100000)
    fal.wait_for(lambda state: state["webhooks_under_way"] == 0)

    assert [row["status"] for row in fal.requests()[0]["webhooks"]] == [500, 404, 301, 200]


def test_ten_attempts_are_made_and_no_more(fal: FalSimulator, caller: Caller, ear: Ear):
    ear.answers = [500] * 20
    caller.begin(webhook=ear.url)
    for attempt in range(1, 11):
        fal.advance(2000)
        heard(fal, attempt)
    fal.advance(100000)
    fal.wait_for(lambda state: state["webhooks_under_way"] == 0)

    assert len(ear.heard) == 10


@pytest.mark.parametrize(
    ("fate", "fits"), [("webhook_forged", False), ("webhook_stale", True), ("webhook_foreign", True), ("ok", True)]
)
def test_messages_are_forged_old_or_about_something_else(
    fal: FalSimulator, caller: Caller, ear: Ear, fate: str, fits: bool
):
    call = told(fal, caller, ear, fate_next=[fate])[0]
    age = time.time() - int(call.headers["x-fal-webhook-timestamp"])
    same = call.headers["x-fal-webhook-request-id"] == json.loads(call.body)["request_id"]

    assert signed(fal, call) is fits
    assert (age > 300) is (fate == "webhook_stale")
    assert same is (fate != "webhook_foreign")


def test_a_message_can_lack_its_signature(fal: FalSimulator, caller: Caller, ear: Ear):
    call = told(fal, caller, ear, fate_next=["webhook_unsigned"])[0]

    assert not any(name.startswith("x-fal-webhook") for name in call.headers)


def test_a_message_is_lost(fal: FalSimulator, caller: Caller, ear: Ear):
    assert told(fal, caller, ear, fate_next=["webhook_lost"]) == []
    assert len(fal.paid_requests()) == 1


def test_a_message_comes_twice(fal: FalSimulator, caller: Caller, ear: Ear):
    assert len(told(fal, caller, ear, count=2, fate_next=["webhook_double"])) == 2


def test_a_message_comes_late(fal: FalSimulator, caller: Caller, ear: Ear):
    fal.script(fate_next=["webhook_late"], webhook_late_seconds=500)
    caller.begin(webhook=ear.url)
    early = fal.advance(400)["webhooks"]
    fal.advance(400)
    fal.wait_for(lambda state: state["webhooks"] == 1)

    assert early == 0


def test_a_message_can_be_sent_once_more_on_demand(fal: FalSimulator, caller: Caller, ear: Ear):
    told(fal, caller, ear)
    fal.send_webhook(fal.requests()[0]["request_id"])
    fal.advance(1)
    fal.wait_for(lambda state: state["webhooks"] == 2)

    assert ear.heard[0].body == ear.heard[1].body


def test_a_retried_request_has_another_gateway_id(fal: FalSimulator, caller: Caller, ear: Ear):
    body = json.loads(told(fal, caller, ear, fate_next=["retried"])[0].body)

    assert body["gateway_request_id"] != body["request_id"]


def test_a_payload_can_be_missing(fal: FalSimulator, caller: Caller, ear: Ear):
    body = json.loads(told(fal, caller, ear, fate_next=["webhook_no_payload"])[0].body)

    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"]


def test_keys_are_rotated(fal: FalSimulator, caller: Caller, ear: Ear):
    before = httpx.get(fal.jwks_url, trust_env=False).json()["keys"]
    fal.rotate_keys()
    after = httpx.get(fal.jwks_url, trust_env=False).json()["keys"]
    call = told(fal, caller, ear)[0]

    assert after[0]["x"] == before[1]["x"]
    assert after[1]["x"] not in {key["x"] for key in before}
    assert signed(fal, call)


def test_nothing_is_sent_to_another_computer(fal: FalSimulator, caller: Caller):
    caller.begin(webhook="https://hooks.example.com/n")
    fal.advance(60)
    fal.wait_for(lambda state: state["webhooks"] >= 1)

    assert fal.requests()[0]["webhooks"][0]["status"] == 0
