"""The dead-man switch on a rented machine (gpu/machine/switch.py), as its owner talks to it."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from gpu.clients.guarded import GuardError, Policy, guarded_client

TIMEOUT_S = 10.0
MAX_BYTES = 16 * 1024


class SwitchError(Exception):
    """No renewal took place, or we cannot know of one."""


class SwitchUnavailable(SwitchError):
    """Nothing answered as a switch does; the same call may work later."""


class SwitchRejected(SwitchError):
    """The machine does not take our signature: it is another one, or its key is another one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the machine says to a renewal. `progress` is the last line of its start script, unchecked."""

    remaining_s: float
    age_s: float
    progress: dict[str, Any] | None


def signed(label: str, key: str, *, issued_ms: int, milliseconds: int) -> str:
    """A renewal for `milliseconds`. `issued_ms` must rise from one to the next. `key` is hexadecimal."""
    text = f"{label}:{issued_ms}:{milliseconds}"
    return f"{text}:{hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()}"


class SwitchClient:
    """`address` is host:port; the guard is told to let it pass, so the caller must have judged it."""

    def __init__(self, address: str, *, label: str, key: str) -> None:
        self._label, self._key, self._url = label, key, f"http://{address}/lease"
        self._policy = Policy(private_hosts=frozenset({address}))

    def renew(self, seconds: float) -> Answer:
        """Keep the machine for `seconds` from now, at most as long as its switch allows at once.

        Raises SwitchUnavailable, SwitchRejected.
        """
        issued = round(time.time() * 1000)
        status, body = self._post(issued, seconds)
        last = body.get("last")
        if status == 409 and isinstance(last, int) and last >= 0:
            # Our clock went back, or another process of ours was faster: one number above the last is new again.
            status, body = self._post(last + 1, seconds)
        if status == 403:
            raise SwitchRejected("the machine refuses the signature")
        return _answer(status, body)

    def _post(self, issued_ms: int, seconds: float) -> tuple[int, dict[str, Any]]:
        message = signed(self._label, self._key, issued_ms=issued_ms, milliseconds=round(seconds * 1000))
        try:
            with guarded_client(self._policy, total_timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES) as http:
                response = http.post(self._url, content=message)
            body = json.loads(response.content)
        except (httpx.HTTPError, httpx.InvalidURL, GuardError) as exc:
            raise SwitchUnavailable(type(exc).__name__) from exc
        except (ValueError, RecursionError) as exc:
            raise SwitchUnavailable("the answer is no JSON") from exc
        return response.status_code, body if isinstance(body, dict) else {}


def _answer(status: int, body: dict[str, Any]) -> Answer:
    remaining, age, progress = body.get("remaining_s"), body.get("age_s"), body.get("progress")
    if status != 200 or not isinstance(remaining, int | float) or not isinstance(age, int | float):
        raise SwitchUnavailable(f"HTTP {status}")
    return Answer(float(remaining), float(age), progress if isinstance(progress, dict) else None)
