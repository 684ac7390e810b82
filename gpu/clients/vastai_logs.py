"""The log of a machine: asked for at vast.ai, fetched from where it says. The text holds secrets of the machine."""

import httpx

from gpu.clients.guarded import AddressRefused, AnswerRefused, GuardError, Policy, check_syntax, guarded_client
from gpu.clients.vastai_errors import VastProtocolError, VastUnavailable
from gpu.clients.vastai_limits import RateLimiter
from gpu.clients.vastai_transport import host_and_port, is_local

MAX_LOG_BYTES = 4 * 1024 * 1024
POLLS = 30
POLL_INTERVAL_S = 0.3
POLL_SECONDS = 30.0
FETCH_TIMEOUT_S = 10.0


def fetch_log(url: str, *, base_url: httpx.URL, limiter: RateLimiter) -> str:
    """The text behind a `result_url`, which appears some time after it was named. Sends no key.

    Raises VastProtocolError for an address that we do not call and for a log of more than 4 MiB, VastUnavailable when
    nothing appears.
    """
    policy = _policy(url, base_url)
    give_up_at = limiter.clock() + POLL_SECONDS
    with guarded_client(policy, total_timeout_s=FETCH_TIMEOUT_S, max_bytes=MAX_LOG_BYTES) as http:
        for poll in range(POLLS):
            if poll:
                limiter.sleep(POLL_INTERVAL_S)
            content = _look(http, url)
            if content is not None:
                return content.decode("utf-8", "replace").replace("\0", "")
            if limiter.clock() > give_up_at:
                break
    raise VastUnavailable("logs: the log did not appear")


def _look(http: httpx.Client, url: str) -> bytes | None:
    """None while it is not there: storage answers 404 or 403 until then."""
    try:
        response = http.get(url)
    except AddressRefused as exc:
        raise _refused_address(exc) from None
    except AnswerRefused as exc:
        raise VastProtocolError(f"logs: {exc.message}") from None
    except httpx.HTTPError:
        return None
    return response.content if response.status_code == 200 else None


def _policy(url: str, base_url: httpx.URL) -> Policy:
    """https and public, except that a vast.ai on our own side (a simulator) may name a host there."""
    try:
        target = httpx.URL(url)
        own_side = is_local(base_url) and is_local(target)
        policy = Policy(private_hosts=frozenset({host_and_port(target)} if own_side else ()))
        check_syntax(url, policy, allow_query=True)
    except (httpx.InvalidURL, UnicodeError):
        raise VastProtocolError("logs: no address") from None
    except AddressRefused as exc:
        raise _refused_address(exc) from None
    return policy


def _refused_address(exc: GuardError) -> VastProtocolError:
    return VastProtocolError(f"logs: {exc.message}")
