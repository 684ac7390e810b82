"""Calls to fal.ai: one request each, never repeated, to fal's hosts only. No httpx exception leaves this module."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from generation.engines.fal_messages import MAX_BYTES, BadAnswer, read_json
from gpu.clients.guarded import (
    AddressRefused,
    AnswerRefused,
    GuardError,
    Policy,
    async_guarded_client,
    check_syntax,
    guarded_client,
    port_of,
)

CALL_TIMEOUT_S = 30.0
UPLOAD_TIMEOUT_S = 120.0
RESULT_TIMEOUT_S = 900.0
HEADER_BYTES = 64 * 1024
# A model's id: "fal-ai/wan/v2.2-a14b/image-to-video". Only the first two parts name it once it is queued.
ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){1,7}")
_HOSTS = ("fal.ai", "fal.run", "fal.media")
# Where fal's models have put results and uploads besides its own hosts: only its own bucket there.
_BUCKETS = (("storage.googleapis.com", "/falserverless/"),)


class FalUnreachable(Exception):
    """Nothing usable came back. `sent`: fal may have understood the request all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class FalHostRefused(Exception):
    """An address in an answer is not one of fal's."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """Raises BadAnswer."""
        return read_json(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Where fal is. `private_hosts`: exact host:port of a stand-in for it (a simulator)."""

    queue_url: str = "https://queue.fal.run"
    rest_url: str = "https://rest.fal.ai"
    api_url: str = "https://api.fal.ai"
    private_hosts: frozenset[str] = frozenset()

    def check(self, url: str) -> str:
        """`url` when it is one of fal's. Raises FalHostRefused."""
        try:
            parsed = check_syntax(url, self.policy, allow_query=True)
        except GuardError as exc:
            raise FalHostRefused("The address is no address.") from exc
        host = parsed.raw_host.decode("ascii").lower()
        if self.policy.is_private_host(host, port_of(parsed)):
            return url
        ours = any(host == known or host.endswith("." + known) for known in _HOSTS)
        bucket = any(host == name and parsed.path.startswith(path) for name, path in _BUCKETS)
        if parsed.scheme != "https" or ".." in parsed.path or not (ours or bucket):
            raise FalHostRefused(f"{host[:80]} is not one of fal.ai's hosts.")
        return url

    @property
    def policy(self) -> Policy:
        return Policy(private_hosts=self.private_hosts)


class FalClient:
    """One account at fal.ai. Raises ValueError for a key that cannot stand in a header."""

    def __init__(self, key: str, *, hosts: Hosts, expire_s: int) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ValueError("The fal.ai key is empty or has characters that no key has.")
        self.hosts = hosts
        self._key = {"Authorization": f"Key {key}"}
        self._expiry = json.dumps({"expiration_duration_seconds": expire_s})
        self._http = async_guarded_client(hosts.policy, total_timeout_s=CALL_TIMEOUT_S, max_bytes=MAX_BYTES)
        self._uploads = async_guarded_client(hosts.policy, total_timeout_s=UPLOAD_TIMEOUT_S, max_bytes=MAX_BYTES)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._uploads.aclose()

    # --- the queue: https://fal.ai/docs/documentation/model-apis/inference/queue ------------------------------------

    async def submit(self, endpoint: str, body: Mapping[str, Any], *, webhook_url: str = "") -> Answer:
        """The one paid call. Raises FalUnreachable; with `sent` set the outcome is unknown."""
        # The results are wanted for as long as it takes to fetch them. The payloads stay stored: a lost answer is
        # found again by the picture's address in them.
        headers = {"X-Fal-Object-Lifecycle-Preference": self._expiry}
        params = {"fal_webhook": webhook_url} if webhook_url else None
        url = f"{self.hosts.queue_url}/{checked_endpoint(endpoint)}"
        return await self._call("POST", url, json=dict(body), params=params, headers=headers)

    async def status(self, endpoint: str, request_id: str) -> Answer:
        return await self._call("GET", f"{self._request_url(endpoint, request_id)}/status", params={"logs": "1"})

    async def result(self, endpoint: str, request_id: str) -> Answer:
        return await self._call("GET", self._request_url(endpoint, request_id))

    async def cancel(self, endpoint: str, request_id: str) -> Answer:
        return await self._call("PUT", f"{self._request_url(endpoint, request_id)}/cancel")

    def _request_url(self, endpoint: str, request_id: str) -> str:
        # Built by us, never taken from an answer: owner and model only, without the rest of the endpoint's path.
        owner, model = checked_endpoint(endpoint).split("/")[:2]
        return f"{self.hosts.queue_url}/{owner}/{model}/requests/{quote(request_id, safe='')}"

    # --- storage and the account ------------------------------------------------------------------------------------

    async def upload(self, picture: bytes, *, name: str, content_type: str = "image/png") -> str:
        """Put a picture into fal's storage; its address there. Raises FalUnreachable, BadAnswer, FalHostRefused."""
        answer = await self._call(
            "POST",
            f"{self.hosts.rest_url}/storage/upload/initiate",
            params={"storage_type": "fal-cdn-v3"},
            json={"content_type": content_type, "file_name": name},
            headers={"X-Fal-Object-Lifecycle": self._expiry, "X-Fal-Object-Lifecycle-Preference": self._expiry},
        )
        if not answer.is_good:
            raise FalRefused(answer)
        data = answer.json()
        put_url, file_url = (self.hosts.check(_text(data, key)) for key in ("upload_url", "file_url"))
        # Signed by its address: the key stays with us.
        put = await _exchange(self._uploads, "PUT", put_url, content=picture, headers={"Content-Type": content_type})
        if not put.is_good:
            raise FalRefused(put)
        return file_url

    async def requests(self, endpoint: str, *, start: str, cursor: str = "") -> Answer:
        """Our requests to an endpoint since `start` (ISO 8601), with what was sent; newest pages by cursor."""
        params = {"endpoint_id": checked_endpoint(endpoint), "start": start, "expand": "payloads", "limit": "100"}
        url = f"{self.hosts.api_url}/v1/models/requests/by-endpoint"
        return await self._call("GET", url, params=params | ({"cursor": cursor} if cursor else {}))

    async def forget(self, request_id: str) -> Answer:
        """Delete what was sent and what was made for one request; takes an admin key.

        https://fal.ai/docs/platform-apis/v1/models/requests/payloads
        """
        return await self._call(
            "DELETE", f"{self.hosts.api_url}/v1/models/requests/{quote(request_id, safe='')}/payloads"
        )

    async def prices(self, endpoint: str) -> Answer:
        url = f"{self.hosts.api_url}/v1/models/pricing"
        return await self._call("GET", url, params={"endpoint_id": checked_endpoint(endpoint)})

    async def _call(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return await _exchange(self._http, method, url, headers=self._key | dict(headers or {}), **more)

    @contextmanager
    def open_file(self, url: str, *, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """A file at fal in pieces, fetched without our key.

        Raises FalHostRefused, FalUnreachable, FalRefused, AnswerRefused.
        """
        self.hosts.check(url)
        most = max_bytes + HEADER_BYTES
        http = guarded_client(self.hosts.policy, total_timeout_s=RESULT_TIMEOUT_S, max_bytes=most)
        try:
            with http, http.stream("GET", url) as response:
                if not response.is_success:
                    raise FalRefused(Answer(response.status_code, b"", {}))
                yield _whole(response)
        except AddressRefused as exc:
            raise FalHostRefused(exc.message) from exc
        except httpx.HTTPError as exc:
            raise FalUnreachable(f"the result: {type(exc).__name__}", sent=False) from exc


class FalRefused(Exception):
    """fal answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer = answer


def checked_endpoint(endpoint: str) -> str:
    """A model's id that can stand in a path. Raises BadAnswer."""
    if len(endpoint) > 200 or ".." in endpoint or not ENDPOINT.fullmatch(endpoint):
        raise BadAnswer("This is no endpoint of fal.ai.")
    return endpoint


async def _exchange(http: httpx.AsyncClient, method: str, url: str, **more: Any) -> Answer:
    try:
        response = await http.request(method, url, **more)
    except AddressRefused as exc:
        raise FalUnreachable(exc.message, sent=False) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise FalUnreachable(type(exc).__name__, sent=False) from exc
    except (AnswerRefused, httpx.HTTPError) as exc:
        raise FalUnreachable(type(exc).__name__, sent=True) from exc
    except httpx.InvalidURL as exc:
        raise FalUnreachable("the address is no address", sent=False) from exc
    return Answer(response.status_code, response.content, response.headers)


def _whole(response: httpx.Response) -> Iterator[bytes]:
    """Raises FalUnreachable at the end when less came than was announced."""
    size = 0
    for piece in response.iter_raw():
        size += len(piece)
        yield piece
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) != size:
        raise FalUnreachable("the result was cut off", sent=False)


def _text(data: Mapping[str, Any], key: str) -> str:
    found = data.get(key)
    if not isinstance(found, str):
        raise BadAnswer(f"There is no {key} in the answer.")
    return found
