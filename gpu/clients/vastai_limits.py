"""vast.ai's rate limits, kept on our side: so many seconds between two calls per endpoint and key."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gpu.clients.vastai_errors import VastRateLimited

# Two calls sent a second apart may arrive a little closer together than that.
MARGIN_S = 0.1
# A worker that waits longer does nothing else; its caller comes back instead.
MAX_WAIT_S = 30.0


class Endpoint(StrEnum):
    SEARCH = "search"
    CREATE = "create"
    LIST = "list"
    SHOW = "show"
    UPDATE = "update"  # label, start, stop
    REBOOT = "reboot"
    RECYCLE = "recycle"
    DESTROY = "destroy"
    LOGS = "logs"
    USER = "user"
    CHARGES = "charges"


@dataclass(frozen=True, slots=True)
class Rule:
    """The least distance of two calls; after a 429 without a hint nothing for `penalty_s`."""

    interval_s: float
    penalty_s: float = 2.0


# Published thresholds (x-rate-limit in vast.ai's OpenAPI files, August 2026). Logs and user have none there. Searches
# may be made ten times a minute; whether all at once is not said.
RULES = {
    Endpoint.SEARCH: Rule(6, penalty_s=6),
    Endpoint.CREATE: Rule(4.5, penalty_s=12),
    Endpoint.LIST: Rule(1),
    Endpoint.SHOW: Rule(2),
    Endpoint.UPDATE: Rule(1),
    Endpoint.REBOOT: Rule(1),
    Endpoint.RECYCLE: Rule(1),
    Endpoint.DESTROY: Rule(3, penalty_s=5),
    Endpoint.LOGS: Rule(1.5),
    Endpoint.USER: Rule(1),
    Endpoint.CHARGES: Rule(1),
}


@dataclass
class _Lane:
    began: float = float("-inf")
    held_until: float = float("-inf")


class RateLimiter:
    """Makes callers wait for their turn. Usable from any thread. `clock` and `sleep` are for tests."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._lanes = {endpoint: _Lane() for endpoint in RULES}

    def wait(self, endpoint: Endpoint) -> None:
        """Return when a call may be sent, and count it. Raises VastRateLimited when that is too far away."""
        give_up_at = self.clock() + MAX_WAIT_S
        # Others may have been faster when we wake up, or a 429 may have come in: then it is not our turn yet.
        while wait_s := self._take_turn(endpoint):
            if self.clock() + wait_s > give_up_at:
                raise VastRateLimited(f"{endpoint}: not sent, our own limit", wait_s)
            self.sleep(wait_s)

    def hold(self, endpoint: Endpoint, seconds: float) -> None:
        """Nobody calls the endpoint for so long: vast.ai has answered 429."""
        with self._lock:
            lane = self._lanes[endpoint]
            lane.held_until = max(lane.held_until, self.clock() + seconds)

    def _take_turn(self, endpoint: Endpoint) -> float:
        """0 and the call is counted, or the seconds to wait."""
        rule, lane = RULES[endpoint], self._lanes[endpoint]
        with self._lock:
            now = self.clock()
            free_at = max(lane.held_until, lane.began + rule.interval_s + MARGIN_S)
            if free_at > now:
                return max(free_at - now, 0.001)
            lane.began = now
            return 0.0


_shared: dict[tuple[str, str], RateLimiter] = {}
_shared_lock = threading.Lock()


def shared_limiter(base_url: str, key: str) -> RateLimiter:
    """The one limiter of this process for an account: vast.ai counts per key, not per client of ours."""
    identity = (base_url, hashlib.sha256(key.encode()).hexdigest())
    with _shared_lock:
        return _shared.setdefault(identity, RateLimiter())
