"""Minimum intervals between two calls, the daily search quota, and every kind of 429 that has been seen."""

import time

from tests.simulators.clock import DAY
from tests.simulators.swarmui.messages import Response, json_response, text_response
from tests.simulators.vastai.calls import Route
from tests.simulators.vastai.script import Script
from tests.simulators.vastai.world import World

CREATE_PENALTY_S = 12.0


def too_many(style: str, script: Script) -> Response:
    """A 429 as text, JSON with `detail`, JSON with `retry_after`, or with a Retry-After header."""
    if style == "429_detail":
        return json_response(429, {"detail": "API requests too frequent endpoint threshold=1.0"})
    if style == "429_retry_after":
        body = {
            "success": False,
            "error": "rate_limited",
            "msg": "Too many requests",
            "retry_after": script.retry_after,
        }
        return json_response(429, body)
    answer = text_response(429, "API requests too frequent: endpoint threshold=1.0")
    if style == "429_header":
        seconds = script.retry_after
        text = str(int(seconds)) if seconds == int(seconds) else str(seconds)
        return Response(429, answer.body, answer.headers | {"retry-after": text})
    return answer


def quota_exceeded(now: float) -> Response:
    reset = int((now // DAY + 1) * DAY)
    body = {"success": False, "error": "search_quota_exceeded", "msg": "Daily search quota exceeded."}
    answer = json_response(429, body)
    return Response(429, answer.body, answer.headers | {"x-ratelimit-reset": str(reset)})


class Limits:
    """Keeps when each identity called each endpoint last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._free_at: dict[tuple[str, str], float] = {}
        self._searches: tuple[int, int] = (0, 0)  # day, count

    def refuse(self, route: Route, identity: str) -> Response | None:
        return self._too_soon(route, identity) or self._over_quota(route)

    def _too_soon(self, route: Route, identity: str) -> Response | None:
        script = self._world.script
        interval = route.interval_s * script.rate_scale
        if not interval:
            return None
        now = self._world.now if script.rate_clock == "simulated" else time.monotonic()
        key = (route.name, identity)
        if now < self._free_at.get(key, float("-inf")):
            penalty = CREATE_PENALTY_S * script.rate_scale if route.name == "create" else interval
            self._free_at[key] = now + penalty
            self._world.violations.append(route.name)
            return too_many(script.rate_style, script)
        self._free_at[key] = now + interval
        return None

    def _over_quota(self, route: Route) -> Response | None:
        quota = self._world.script.search_quota
        if route.name != "search" or not quota:
            return None
        today = int(self._world.now // DAY)
        day, count = self._searches
        count = count + 1 if day == today else 1
        self._searches = (today, count)
        return quota_exceeded(self._world.now) if count > quota else None
