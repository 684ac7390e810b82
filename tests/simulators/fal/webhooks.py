"""Signed messages to the caller's webhook: ED25519 over request, user, second and hash of the body.

Ten attempts until a 2xx; only addresses on this computer are called.
"""

import asyncio
import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.simulators.fal.jobs import Job
from tests.simulators.swarmui.messages import JsonObject

if TYPE_CHECKING:
    from tests.simulators.fal.world import World

ATTEMPTS = 10
STALE_S = 3600


class Postman:
    """Delivers, and holds the keys that /.well-known/jwks.json shows."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._keys = [Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()]
        self._stranger = Ed25519PrivateKey.generate()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """Messages that are just being delivered."""
        return len(self._tasks)

    def jwks(self) -> JsonObject:
        """An old key first: a receiver has to try them all."""
        return {"keys": [_public(key, number) for number, key in enumerate(self._keys)]}

    def rotate(self) -> None:
        """A new signing key; the oldest one goes."""
        self._keys = [*self._keys[1:], Ed25519PrivateKey.generate()]

    def announce(self, job: Job) -> None:
        """Post it when it is due: once, twice, late or never, as fate wants it."""
        if job.has("webhook_lost"):
            job.posts.append({"at": self._world.now, "status": 0, "fault": "lost"})
            return
        script = self._world.script
        delay = script.webhook_seconds + (script.webhook_late_seconds if job.has("webhook_late") else 0)
        for _ in range(2 if job.has("webhook_double") else 1):
            self._world.clock.after(delay, lambda: self._send(job, 1))

    def _send(self, job: Job, attempt: int) -> None:
        task = asyncio.create_task(self._deliver(job, attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, job: Job, attempt: int) -> None:
        entry: JsonObject = {"at": self._world.now, "attempt": attempt, "status": await self._post(job)}
        job.posts.append(entry)
        if not 200 <= entry["status"] < 300 and attempt < ATTEMPTS:
            pause = self._world.script.webhook_retry_seconds * 2 ** (attempt - 1)
            self._world.clock.after(pause, lambda: self._send(job, attempt + 1))

    async def _post(self, job: Job) -> int:
        """The receiver's status; 0 when there was none."""
        body = json.dumps(message(job)).encode()
        timeout = self._world.script.webhook_timeout_real_seconds
        if urlsplit(job.webhook).hostname not in ("127.0.0.1", "localhost"):
            return 0
        try:
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=timeout) as client:
                answer = await client.post(job.webhook, content=body, headers=self.headers(job, body))
        except (httpx.HTTPError, httpx.InvalidURL):
            return 0
        return answer.status_code

    def headers(self, job: Job, body: bytes) -> dict[str, str]:
        """What a message is sent with; its second is that of the real clock, as its receiver compares it with his."""
        request_id = self._world.random.randbytes(8).hex() if job.has("webhook_foreign") else job.id
        second = str(int(time.time()) - (STALE_S if job.has("webhook_stale") else 0))
        headers = {"content-type": "application/json", "user-agent": "fal-webhooks"}
        if job.has("webhook_unsigned"):
            return headers
        user = self._world.script.user_id
        text = "\n".join((request_id, user, second, hashlib.sha256(body).hexdigest()))
        key = self._stranger if job.has("webhook_forged") else self._keys[-1]
        return headers | {
            "x-fal-webhook-request-id": request_id,
            "x-fal-webhook-user-id": user,
            "x-fal-webhook-timestamp": second,
            "x-fal-webhook-signature": key.sign(text.encode()).hex(),
        }

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def message(job: Job) -> JsonObject:
    """The body of a webhook."""
    body: JsonObject = {"request_id": job.id, "gateway_request_id": job.gateway_id}
    if job.code == 200 and job.has("webhook_no_payload"):
        words = "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue."
        return body | {"status": "OK", "payload": None, "payload_error": words}
    if job.code == 200:
        return body | {"status": "OK", "payload": job.output}
    return body | {"status": "ERROR", "error": job.error, "payload": job.output}


def _public(key: Ed25519PrivateKey, number: int) -> JsonObject:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": text, "kid": f"key-{number}", "use": "sig", "alg": "EdDSA"}
