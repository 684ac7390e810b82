"""Whether a call that says it comes from fal.ai does.

Source: https://fal.ai/docs/documentation/model-apis/inference/webhooks: four headers; the signature is ED25519 over
request id, user id, timestamp and the body's SHA-256 in hex, a line each; the keys are a JWKS document.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300
MAX_BODY_BYTES = 1024 * 1024
MAX_KEYS = 20
JWKS_PATH = "/.well-known/jwks.json"
_NAMES = ("X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp", "X-Fal-Webhook-Signature")


class NotFromFal(Exception):
    """The call is not shown to be fal's: a header is missing, too old, or the signature is of another key."""


def verify(headers: Mapping[str, str], body: bytes, keys: Iterable[bytes], *, now_s: float) -> str:
    """The request id that the call is about. Raises NotFromFal."""
    request_id, user_id, timestamp, signature = (headers.get(name, "") for name in _NAMES)
    if not all((request_id, user_id, signature)) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise NotFromFal("A header is missing.")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise NotFromFal("The call is too old, or from the future.")
    digest = hashlib.sha256(body).hexdigest()
    message = "\n".join((request_id, user_id, timestamp, digest)).encode()
    try:
        signed = binascii.unhexlify(signature)
    except (ValueError, binascii.Error) as exc:
        raise NotFromFal("The signature is none.") from exc
    if not any(_fits(key, signed, message) for key in keys):
        raise NotFromFal("The signature is of no known key.")
    return request_id


def keys_of(document: Mapping[str, Any]) -> list[bytes]:
    """The ED25519 keys of a JWKS document; others are left out."""
    listed = document.get("keys")
    found = []
    for key in listed[:MAX_KEYS] if isinstance(listed, list) else []:
        if not isinstance(key, dict) or not isinstance(key.get("x"), str) or len(key["x"]) > 60:
            continue
        try:
            raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        except (ValueError, binascii.Error):
            continue
        if len(raw) == 32:
            found.append(raw)
    return found


def _fits(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
