"""The receiver of fal.ai's webhooks: only fal.ai is believed, once, and only about its own attempt."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from generation.models import Attempt, VideoModel
from generation.services import evidence
from tests import factories
from tests.generation.fal_driver import hosts_of
from tests.simulators.fal import FalSimulator

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shared() -> Iterator[FalSimulator]:
    with FalSimulator() as simulator:
        yield simulator


@pytest.fixture
def fal(shared: FalSimulator, settings: Settings) -> FalSimulator:
    settings.FAL_REST_URL = shared.rest_url
    settings.FAL_PRIVATE_HOSTS = list(hosts_of(shared).private_hosts)
    return shared


@pytest.fixture
def attempt(person: User) -> Attempt:
    model = VideoModel.objects.get(slug="fal-wan-2-2")
    job = factories.job(person, model=model, status="rendering", lease_token="t")
    return factories.attempt(job, sent_at=timezone.now(), provider_ref={"request_id": "request-1"})


def body_of(**changes: Any) -> bytes:
    said = {"request_id": "request-1", "gateway_request_id": "request-1", "status": "OK", "payload": {"video": {}}}
    return json.dumps(said | changes).encode()


def signed(
    fal: FalSimulator, body: bytes, *, request_id: str = "request-1", at: float = 0, **over: str
) -> dict[str, str]:
    """The headers that the simulator, with its own key, would send."""
    second = str(int(at or time.time()))
    text = "\n".join((request_id, "user-1", second, hashlib.sha256(body).hexdigest()))
    key = fal._simulation.world.postman._keys[-1]
    headers = {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": "user-1",
        "X-Fal-Webhook-Timestamp": second,
        "X-Fal-Webhook-Signature": key.sign(text.encode()).hex(),
    }
    return headers | over


def post(nonce: str, body: bytes, headers: dict[str, str]) -> int:
    answer = Client(enforce_csrf_checks=True).post(
        f"/hooks/fal/{nonce}", data=body, content_type="application/json", headers=headers
    )
    return answer.status_code


def test_what_fal_signs_is_written_down_with_the_attempt(fal: FalSimulator, attempt: Attempt) -> None:
    body = body_of(status="ERROR", error="Invalid status code: 422")
    assert post(attempt.nonce, body, signed(fal, body)) == 200

    attempt.refresh_from_db()
    assert attempt.evidence == {"request_id": "request-1", "status": "ERROR", "error": "Invalid status code: 422"}
    assert attempt.evidence_at is not None


def test_the_first_word_stands(fal: FalSimulator, attempt: Attempt) -> None:
    for status in ("OK", "ERROR"):
        body = body_of(status=status)
        assert post(attempt.nonce, body, signed(fal, body)) == 200

    attempt.refresh_from_db()
    assert attempt.evidence["status"] == "OK"


def test_an_attempt_whose_id_we_do_not_know_learns_it(fal: FalSimulator, attempt: Attempt) -> None:
    Attempt.objects.update(provider_ref={"nonce": attempt.nonce})
    body = body_of(request_id="request-new")
    assert post(attempt.nonce, body, signed(fal, body, request_id="request-new")) == 200

    attempt.refresh_from_db()
    assert attempt.evidence["request_id"] == "request-new"


@pytest.mark.parametrize(
    "broken",
    [
        {"X-Fal-Webhook-Signature": "00" * 64},
        {"X-Fal-Webhook-Signature": "no hex"},
        {"X-Fal-Webhook-Signature": ""},
        {"X-Fal-Webhook-Request-Id": ""},
        {"X-Fal-Webhook-User-Id": "user-2"},
        {"X-Fal-Webhook-Timestamp": "soon"},
        {"X-Fal-Webhook-Timestamp": str(int(time.time()) - 60)},
    ],
)
def test_what_fal_did_not_sign_is_not_believed(fal: FalSimulator, attempt: Attempt, broken: dict[str, str]) -> None:
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body) | broken) == 401
    attempt.refresh_from_db()
    assert (attempt.evidence, attempt.evidence_at) == ({}, None)


def test_another_body_than_was_signed_is_not_believed(fal: FalSimulator, attempt: Attempt) -> None:
    assert post(attempt.nonce, body_of(status="ERROR"), signed(fal, body_of())) == 401


@pytest.mark.parametrize("off_s", [-400, 400])
def test_an_old_call_and_one_from_the_future_are_refused(fal: FalSimulator, attempt: Attempt, off_s: int) -> None:
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body, at=time.time() + off_s)) == 401


@pytest.mark.parametrize("off_s", [-200, 200])
def test_clocks_may_differ_a_little(fal: FalSimulator, attempt: Attempt, off_s: int) -> None:
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body, at=time.time() + off_s)) == 200


def test_a_call_about_another_request_changes_nothing(fal: FalSimulator, attempt: Attempt) -> None:
    other = body_of(request_id="request-2")
    assert post(attempt.nonce, other, signed(fal, other, request_id="request-2")) == 409
    # Headers and body that name different requests.
    assert post(attempt.nonce, body_of(), signed(fal, body_of(), request_id="request-2")) == 409
    assert post(attempt.nonce, b"[]", signed(fal, b"[]")) == 409
    attempt.refresh_from_db()
    assert attempt.evidence == {}


def test_an_attempt_that_is_not_there_or_not_fals_is_not_found(fal: FalSimulator, attempt: Attempt) -> None:
    body = body_of()
    assert post("f" * 32, body, signed(fal, body)) == 404
    Attempt.objects.update(engine="swarmui")
    assert post(attempt.nonce, body, signed(fal, body)) == 404


def test_a_large_body_and_other_methods_are_refused_unread(fal: FalSimulator, attempt: Attempt) -> None:
    body = b" " * (evidence.MAX_BODY_BYTES + 1)
    assert post(attempt.nonce, body, signed(fal, body)) == 413
    assert Client().get(f"/hooks/fal/{attempt.nonce}").status_code == 405


def test_a_new_key_of_fal_is_fetched_when_a_signature_does_not_fit(fal: FalSimulator, attempt: Attempt) -> None:
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body)) == 200
    fal.rotate_keys()
    fal.rotate_keys()
    assert post(attempt.nonce, body, signed(fal, body)) == 200


def test_strangers_cannot_make_us_ask_for_keys_again_and_again(fal: FalSimulator, attempt: Attempt) -> None:
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body)) == 200
    asked = len(fal.calls("jwks"))
    forged = signed(fal, body) | {"X-Fal-Webhook-Signature": "ab" * 64}
    assert {post(attempt.nonce, body, forged) for _ in range(5)} == {401}
    assert len(fal.calls("jwks")) - asked == 1


def test_without_keys_nothing_is_believed_and_fal_comes_again(fal: FalSimulator, attempt: Attempt) -> None:
    fal.fail("jwks", "500")
    body = body_of()
    assert post(attempt.nonce, body, signed(fal, body)) == 503
    cache.clear()
    assert post(attempt.nonce, body, signed(fal, body)) == 200


def test_the_address_is_given_only_where_fal_can_reach_us(settings: Settings) -> None:
    settings.SITE_URL, settings.FAL_WEBHOOKS = "https://videos.example.com", True
    assert evidence.webhook_url("abc") == "https://videos.example.com/hooks/fal/abc"
    settings.FAL_WEBHOOKS = False
    assert evidence.webhook_url("abc") == ""
