"""One call of a receiver: which addresses may be called, what is sent, and what is made of the answer."""

import json
import socket
import time
from dataclasses import dataclass
from datetime import datetime

import httpx
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from generation.errors import WebhookAddressRefused
from generation.models import Notice, WebhookEndpoint
from generation.services.secret_box import Unreadable, unseal
from generation.services.webhook_signing import signed_headers
from gpu.clients.guarded import AddressRefused, GuardError, Policy, check_syntax, guarded_client, port_of
from i2v_site.sentences import Sentence

TIMEOUT_S = 15.0
# Of an answer only the head is read.
ANSWER_BYTES = 64 * 1024
GONE = 410

ANSWERED = Sentence(gettext_noop("The receiver answered %(status)s."))
REDIRECTED = Sentence(
    gettext_noop("The receiver answered %(status)s: redirects are not followed. Give the final address.")
)
TOO_SLOW = Sentence(gettext_noop("No answer within %(seconds)s seconds."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one call went; `error` is a sentence, empty when it arrived."""

    status_code: int | None = None
    took_ms: int = 0
    error: str = ""
    retry_after: str = ""

    @property
    def arrived(self) -> bool:
        return not self.error

    @property
    def is_gone(self) -> bool:
        return self.status_code == GONE


def check_address(url: str) -> None:
    """Whether `url` may be called: its text, its port, and every address it resolves to now. Blocks.

    Raises WebhookAddressRefused. It is checked again at every call, so a name that moves later gains nothing.
    """
    policy = _policy()
    if "#" in url:
        raise WebhookAddressRefused(gettext_noop("Leave out what follows the #: it is never sent."), field="url")
    try:
        parsed = check_syntax(url, policy, allow_query=True)
        policy.addresses(parsed.raw_host.decode("ascii"), port_of(parsed))
    except AddressRefused as exc:
        raise WebhookAddressRefused(exc.message, field="url") from exc
    except socket.gaierror as exc:
        raise WebhookAddressRefused(
            gettext_noop("This host name cannot be found now. Try again later."), field="url"
        ) from exc


def body_of(notice: Notice) -> bytes:
    """The same bytes at every repetition."""
    told = {"type": notice.kind, "timestamp": _moment(notice.created_at), "data": notice.data}
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()


def call(endpoint: WebhookEndpoint, notice: Notice) -> Outcome:
    """Send a notice once; an answer of 2xx counts as arrived. Redirects are not followed, bodies are not read."""
    try:
        secrets = current_secrets(endpoint)
    except Unreadable:
        return Outcome(error=gettext_noop("The secret can no longer be read: make a new one (rotate)."))
    body = body_of(notice)
    headers = {"Content-Type": "application/json", "User-Agent": "image-to-video"} | signed_headers(
        message_id=str(notice.pk), sent_at=int(time.time()), body=body, secrets_=secrets
    )
    started = time.monotonic()
    try:
        # No base address: httpx would normalise what the person typed.
        check_syntax(endpoint.url, _policy(), allow_query=True)
        with (
            guarded_client(_policy(), total_timeout_s=TIMEOUT_S, max_bytes=ANSWER_BYTES) as client,
            client.stream("POST", endpoint.url, content=body, headers=headers) as answer,
        ):
            return _judged(answer, _since(started))
    except (GuardError, httpx.HTTPError) as exc:
        return Outcome(took_ms=_since(started), error=_sentence(exc))


def current_secrets(endpoint: WebhookEndpoint) -> list[str]:
    """The newest first; the one before goes on signing for a while after a rotation. Raises Unreadable."""
    until = endpoint.old_secret_until
    old_signs = endpoint.old_secret and until is not None and until > timezone.now()
    return [unseal(endpoint.secret), *([unseal(endpoint.old_secret)] if old_signs else [])]


def _judged(answer: httpx.Response, took_ms: int) -> Outcome:
    status = answer.status_code
    if answer.is_success:
        return Outcome(status_code=status, took_ms=took_ms)
    error = (REDIRECTED if answer.is_redirect else ANSWERED)(status=status)
    if status == GONE:
        error = gettext_noop("The receiver answered 410: it wants no more calls.")
    retry_after = answer.headers.get("retry-after", "").strip()
    return Outcome(status_code=status, took_ms=took_ms, error=error, retry_after=retry_after)


def _sentence(exc: Exception) -> str:
    if isinstance(exc, GuardError):
        return exc.message
    if isinstance(exc, httpx.ConnectTimeout | httpx.ConnectError):
        return gettext_noop("No connection could be made.")
    if isinstance(exc, httpx.TimeoutException):
        return TOO_SLOW(seconds=f"{TIMEOUT_S:.0f}")
    return gettext_noop("The connection broke before an answer came.")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _policy() -> Policy:
    return Policy(private_hosts=frozenset(settings.WEBHOOK_PRIVATE_HOSTS))


def _moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
