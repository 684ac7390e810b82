"""Signatures of the Standard Webhooks specification 1.0.0: HMAC-SHA256 over id, time and body.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable

PREFIX = "whsec_"
# The specification allows 24 to 64.
SECRET_BYTES = 32


def new_secret() -> str:
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def signed_headers(*, message_id: str, sent_at: int, body: bytes, secrets_: Iterable[str]) -> dict[str, str]:
    """The headers of one call: `sent_at` in Unix seconds, one signature for each secret. `message_id` has no dot."""
    signatures = [sign(secret, message_id=message_id, sent_at=sent_at, body=body) for secret in secrets_]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": " ".join(signatures),
    }


def sign(secret: str, *, message_id: str, sent_at: int, body: bytes) -> str:
    key = b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + b64encode(digest).decode("ascii")
