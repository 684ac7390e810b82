"""What fal.ai tells us by its webhook: checked, written down with the attempt, and nothing else."""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from generation.engines.fal_messages import BadAnswer, plain, read_json, request_id_of
from generation.engines.fal_webhook import JWKS_PATH, MAX_BODY_BYTES, NotFromFal, keys_of, verify
from generation.models import Attempt, Provider
from generation.services import settling
from gpu.clients.guarded import GuardError, Policy, guarded_client
from i2v_site.errors import DomainError

__all__ = ["MAX_BODY_BYTES", "receive", "webhook_url"]

# fal asks not to keep them longer than a day. A signature of an unknown key makes us look again, once a minute.
KEYS_SECONDS = 24 * 3600
LOOK_AGAIN_SECONDS = 60
FETCH_TIMEOUT_S = 10.0
KEYS_BYTES = 64 * 1024
_KEYS, _LOOKED = "fal-webhook-keys", "fal-webhook-looked"


class NotSigned(DomainError):
    """The call is not shown to be fal.ai's."""

    code = "not_signed"
    status = 401


class UnknownDelivery(DomainError):
    code = "not_found"
    status = 404


class OtherDelivery(DomainError):
    """It is fal.ai's, and not about this attempt."""

    code = "other_request"
    status = 409


class KeysUnknown(DomainError):
    """fal.ai's keys cannot be fetched now; nothing is believed, and fal.ai comes again."""

    code = "keys_unknown"
    status = 503


def webhook_url(nonce: str) -> str:
    """Where fal.ai says that this attempt is over; empty when it cannot reach us."""
    return f"{settings.SITE_URL.rstrip('/')}/hooks/fal/{nonce}" if settings.FAL_WEBHOOKS else ""


def receive(*, nonce: str, headers: Mapping[str, str], body: bytes) -> Attempt:
    """Write down what a call of fal.ai says about the attempt `nonce`; the first word stands.

    Safe to receive twice and late. Raises NotSigned, UnknownDelivery, OtherDelivery, KeysUnknown (fal comes again).
    """
    request_id = _verified(headers, body)
    try:
        said = read_json(body)
        told = {"request_id": request_id_of(said)}
    except BadAnswer as exc:
        raise OtherDelivery("The body is not what fal.ai sends.") from exc
    if told["request_id"] != request_id:
        raise OtherDelivery("The headers and the body name different requests.")
    attempt = Attempt.objects.filter(nonce=nonce, engine=Provider.FAL).first()
    if attempt is None or attempt.sent_at is None:
        raise UnknownDelivery("There is no such attempt.")
    known = attempt.provider_ref.get("request_id")
    if known not in (None, request_id):
        raise OtherDelivery("This attempt is another request.")
    _write_down(attempt, told | _rest_of(said))
    return attempt


def _write_down(attempt: Attempt, told: dict[str, Any]) -> None:
    fresh = Attempt.objects.filter(pk=attempt.pk, evidence_at=None)
    if fresh.update(evidence=told, evidence_at=timezone.now()):
        attempt.refresh_from_db()
    # Also for a repetition: the first one may have died between its row and its money.
    settling.evidence_arrived(attempt)


def _rest_of(said: Mapping[str, Any]) -> dict[str, Any]:
    status = said.get("status")
    error = said.get("error")
    told: dict[str, Any] = {"status": status if status in ("OK", "ERROR") else "UNKNOWN"}
    return told | ({"error": plain(error)} if isinstance(error, str) and error else {})


def _verified(headers: Mapping[str, str], body: bytes) -> str:
    keys, fresh = _keys()
    try:
        return verify(headers, body, keys, now_s=time.time())
    except NotFromFal as exc:
        # Their key may have changed since we looked; strangers must not make us ask for every call of theirs.
        if fresh or not cache.add(_LOOKED, value=True, timeout=LOOK_AGAIN_SECONDS):
            raise NotSigned(str(exc)) from exc
    try:
        return verify(headers, body, _fetched(), now_s=time.time())
    except NotFromFal as exc:
        raise NotSigned(str(exc)) from exc


def _keys() -> tuple[list[bytes], bool]:
    """The known keys, and whether they were fetched just now."""
    known: list[bytes] | None = cache.get(_KEYS)
    return (known, False) if known else (_fetched(), True)


def _fetched() -> list[bytes]:
    policy = Policy(private_hosts=frozenset(settings.FAL_PRIVATE_HOSTS))
    url = settings.FAL_REST_URL.rstrip("/") + JWKS_PATH
    try:
        with guarded_client(policy, total_timeout_s=FETCH_TIMEOUT_S, max_bytes=KEYS_BYTES) as http:
            found = keys_of(http.get(url).raise_for_status().json())
    except (httpx.HTTPError, GuardError, json.JSONDecodeError, AttributeError) as exc:
        raise KeysUnknown("fal.ai's keys cannot be fetched now.") from exc
    if not found:
        raise KeysUnknown("fal.ai shows no keys.")
    cache.set(_KEYS, found, KEYS_SECONDS)
    return found
