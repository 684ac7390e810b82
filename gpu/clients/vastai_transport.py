"""How calls reach vast.ai: the key in one header, a turn before every call, few and careful retries."""

import ipaddress
import json
import random
import re
from collections.abc import Mapping
from typing import Any

import httpx

from gpu.clients.guarded import AddressRefused, AnswerRefused, Policy, guarded_client, port_of
from gpu.clients.guarded_addresses import is_public
from gpu.clients.vastai_answer import Answer, read_answer
from gpu.clients.vastai_errors import (
    NotSent,
    SearchQuota,
    VastError,
    VastProtocolError,
    VastRateLimited,
    VastUnavailable,
    refusal,
)
from gpu.clients.vastai_limits import RULES, Endpoint, RateLimiter, shared_limiter

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0  # also of the whole exchange
MAX_ANSWER_BYTES = 16 * 1024 * 1024
TRIES = 3
FIRST_BACKOFF_S = 0.5
# A machine must not go on burning because of a silly Retry-After: then we ask again sooner.
MAX_HOLD_S = 60.0
_RANDOM = random.SystemRandom()


def is_local(url: httpx.URL) -> bool:
    """Whether an address is on our own side: a loopback or private address, or a name without a dot."""
    host = url.raw_host.decode("ascii")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host
    return not is_public(host)


def host_and_port(url: httpx.URL) -> str:
    """As a guarded client's policy wants it."""
    host = url.raw_host.decode("ascii")
    return f"[{host}]:{port_of(url)}" if ":" in host else f"{host}:{port_of(url)}"


class VastTransport:
    """Calls with the key. Usable from any thread.

    Raises ValueError for a key that cannot stand in a header, and for plain http to the internet.
    """

    def __init__(self, base_url: str, key: str, *, limiter: RateLimiter | None = None) -> None:
        self.base_url = httpx.URL(base_url.rstrip("/"))
        if self.base_url.scheme != "https" and not (self.base_url.scheme == "http" and is_local(self.base_url)):
            raise ValueError("The address of vast.ai must begin with https://.")
        self._key = key.strip()
        if not re.fullmatch(r"[\x21-\x7e]+", self._key):
            raise ValueError("The vast.ai key is empty or has characters that no key has.")
        self.limiter = limiter or shared_limiter(str(self.base_url), self._key)
        self.policy = Policy(private_hosts=frozenset({host_and_port(self.base_url)}))
        self._http = guarded_client(
            self.policy,
            total_timeout_s=READ_TIMEOUT_S,
            max_bytes=MAX_ANSWER_BYTES,
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {self._key}", "Accept": "application/json"},
        )
        self._http.timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> dict[str, Any]:
        """The object that vast.ai answers to a call. Raises VastError for everything that is no success."""
        answer = self.exchange(endpoint, method, path, body=body, params=params, retry=retry)
        return require(endpoint, answer)

    def exchange(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> Answer:
        """The answer, refusals included; trouble that may pass is tried again when `retry`.

        Raises VastUnavailable when it does not pass, VastProtocolError for an answer that we do not read.
        """
        tries_left = TRIES if retry else 1
        while True:
            tries_left -= 1
            try:
                answer = self.send(endpoint, method, path, body=body, params=params)
                problem = _passing_trouble(endpoint, answer)
                if problem is None:
                    return answer
            except VastUnavailable as exc:
                problem = exc
            if not tries_left:
                raise problem
            # After a 429 the endpoint is held for us and for everybody else; the next turn waits for that.
            if not isinstance(problem, VastRateLimited):
                self.limiter.sleep(FIRST_BACKOFF_S * 2 ** (TRIES - 1 - tries_left) * _RANDOM.uniform(0.75, 1.25))

    def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One call and its answer, whatever that is. Raises NotSent, VastRateLimited (by ourselves: not sent),
        and VastUnavailable or VastProtocolError when the call may have been understood."""
        self.limiter.wait(endpoint)
        query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (params or {}).items()}
        try:
            response = self._http.request(method, path, json=body, params=query or None)
        except AddressRefused as exc:
            raise NotSent(f"{endpoint}: {exc.message}") from exc
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise NotSent(f"{endpoint}: {type(exc).__name__}") from exc
        except AnswerRefused as exc:
            raise VastProtocolError(f"{endpoint}: {exc.message}") from exc
        except httpx.HTTPError as exc:
            raise VastUnavailable(f"{endpoint}: {type(exc).__name__}") from exc
        answer = read_answer(response.status_code, response.headers, response.content, secret=self._key)
        if answer.status == 429:
            self._hold(endpoint, answer)
        return answer

    def _hold(self, endpoint: Endpoint, answer: Answer) -> None:
        if isinstance(refusal(endpoint, answer), SearchQuota):
            return
        asked_s = answer.retry_after_s
        seconds = RULES[endpoint].penalty_s if asked_s is None else asked_s
        self.limiter.hold(endpoint, min(seconds, MAX_HOLD_S) * _RANDOM.uniform(1.0, 1.1))


def require(endpoint: Endpoint, answer: Answer) -> dict[str, Any]:
    """The object of a success. Raises VastError for anything else."""
    if answer.has_good_status and answer.data is None:
        raise VastProtocolError(f"{endpoint}: HTTP {answer.status} without a JSON object")
    if not answer.succeeded or answer.data is None:
        raise refusal(endpoint, answer)
    return answer.data


def _passing_trouble(endpoint: Endpoint, answer: Answer) -> VastUnavailable | None:
    problem: VastError | None = None if answer.has_good_status else refusal(endpoint, answer)
    return problem if isinstance(problem, VastUnavailable) else None
