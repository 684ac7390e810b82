"""fal as a whole: which call goes where, who may make it, and which fault strikes."""

import asyncio
import json
import logging
from collections.abc import Callable

from tests.simulators.fal import platform, queue, storage
from tests.simulators.fal.control import Controller
from tests.simulators.fal.errors import LOCKED, NO_KEY, RefusedError, platform_error, refused
from tests.simulators.fal.script import OWN_FAULTS
from tests.simulators.fal.world import World
from tests.simulators.swarmui.messages import (
    DropConnection,
    JsonObject,
    Request,
    Response,
    json_response,
    text_response,
)
from tests.simulators.swarmui.websocket import WebSocket

HOSTS = ("queue", "rest", "media", "api")
PAGE = "<html><head><title>Error</title></head><body><h1>{}</h1></body></html>"
INGRESS = "<html><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>"
Work = Callable[[World, Request, str], Response]

logger = logging.getLogger(__name__)


def _plain(work: Callable[[World, Request], Response]) -> Work:
    return lambda world, request, _fault: work(world, request)


# (host, method, path) to the call's name for faults, and what it does
FIXED: dict[tuple[str, str, str], tuple[str, Work]] = {
    ("rest", "GET", "/.well-known/jwks.json"): ("jwks", _plain(storage.jwks)),
    ("rest", "POST", "/storage/auth/token"): ("upload", _plain(storage.token)),
    ("rest", "POST", "/storage/upload/initiate"): ("upload", _plain(storage.initiate)),
    ("media", "POST", "/files/upload"): ("upload", _plain(storage.upload)),
    ("media", "POST", "/files/upload/multipart"): ("upload", _plain(storage.multipart)),
    ("api", "GET", "/v1/models/requests/by-endpoint"): ("platform", _plain(platform.requests_by_endpoint)),
    ("api", "GET", "/v1/models/billing-events"): ("platform", _plain(platform.billing_events)),
    ("api", "GET", "/v1/models/usage"): ("platform", _plain(platform.usage)),
    ("api", "GET", "/v1/models/pricing"): ("platform", _plain(platform.pricing)),
    ("api", "GET", "/v1/account/billing"): ("platform", _plain(platform.billing)),
}
OPEN = ("jwks", "media")  # need no key


def find(host: str, request: Request) -> tuple[str, Work] | None:
    """The call's name and its work."""
    fixed = FIXED.get((host, request.method, request.path))
    if host == "api" and request.method == "DELETE" and platform.PAYLOADS.fullmatch(request.path):
        return "platform", _plain(platform.delete_payloads)
    if fixed is not None or host in ("rest", "api"):
        return fixed
    if host == "media":
        media = {"GET": storage.get, "PUT": storage.put, "POST": storage.complete}.get(request.method)
        name = "media" if request.method == "GET" else "upload"
        return (name, _plain(media)) if media else None
    return _find_in_queue(request)


def _find_in_queue(request: Request) -> tuple[str, Work] | None:
    if "/requests/" not in request.path:
        return ("submit", queue.submit) if request.method == "POST" else None
    if request.path.endswith("/cancel"):
        return ("cancel", queue.cancel) if request.method == "PUT" else None
    if request.method != "GET":
        return None
    return ("status", queue.status) if request.path.endswith("/status") else ("result", queue.result)


class FalApp:
    """What the transport of one host calls; see the SwarmUI simulator's `server.App`."""

    def __init__(self, world: World, controller: Controller, host: str) -> None:
        self._world, self._controller, self._host = world, controller, host

    def refuse(self, request: Request) -> Response | None:
        return None

    async def websocket(self, socket: WebSocket) -> None:
        """Realtime models are not simulated."""

    async def http(self, request: Request) -> Response:
        if request.path.startswith("/sim/"):
            return await self._controller.answer(request)
        await self._world.clock.settle()
        return await self._dispatch(request)

    async def _dispatch(self, request: Request) -> Response:
        found = find(self._host, request)
        if found is None:
            return json_response(404, {"detail": "Not Found"})
        name, work = found
        self._world.calls[name] += 1
        fault = self._world.script.take_fault(name, _prompt(request) if name == "submit" else "")
        entry = self._world.note(at=self._world.now, name=name, path=request.path, status=0, fault=fault)
        answer = await self._guarded(name, work, request, entry)
        entry["status"] = answer.status
        return answer

    async def _guarded(self, name: str, work: Work, request: Request, entry: JsonObject) -> Response:
        fault = entry["fault"]
        try:
            if name not in OPEN and not (self._host == "media" and name == "upload"):
                self._check_key(request)
            before = await self._strike(fault)
            if before is not None:
                return before
            answer = self._do(work, request, fault if fault in OWN_FAULTS.get(name, ()) else "")
        except RefusedError as exc:
            return exc.response()
        if name == "submit":
            entry["request_id"] = answer.headers.get("x-fal-request-id", "")
        await self._world.clock.settle()
        return await self._strike_after(fault) or answer

    def _do(self, work: Work, request: Request, own_fault: str) -> Response:
        if own_fault == "404":
            raise refused(404, "Not Found")
        if own_fault == "no_rows":
            return json_response(200, {"items": [], "billing_events": [], "next_cursor": None, "has_more": False})
        try:
            return work(self._world, request, own_fault)
        except (KeyError, ValueError, TypeError, AttributeError):
            logger.exception("%s failed", request.path)
            raise refused(400, "Bad Request") from None

    def _check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme == "Key" and key == self._world.api_key:
            return
        if self._host == "api":
            raise platform_error(401, "authentication_error", "Authentication is required.")
        raise refused(401, NO_KEY if not key else "Invalid API key")

    async def _strike(self, fault: str) -> Response | None:
        """A fault instead of the work, or before it."""
        if fault == "slow":
            await asyncio.sleep(self._world.script.slow_real_seconds)
        if fault in ("lost", "hang"):
            await self._cut(fault)
        if fault == "429":
            raise queue.too_many(self._world)
        if fault == "401":
            raise refused(401, "Invalid API key")
        if fault == "403_balance":
            raise refused(403, LOCKED)
        if fault == "403_admin":
            raise platform_error(403, "authorization_error", "This endpoint requires an Admin API key.")
        return _bad_answer(fault)

    async def _strike_after(self, fault: str) -> Response | None:
        """The work is done, and nobody hears of it."""
        if not fault.endswith("_after"):
            return None
        name = fault.removesuffix("_after")
        if name in ("lost", "hang"):
            await self._cut(name)
        if name == "slow":
            await asyncio.sleep(self._world.script.slow_real_seconds)
        return _bad_answer(name)

    async def _cut(self, how: str) -> None:
        if how == "hang":
            await asyncio.sleep(self._world.script.hang_real_seconds)
        raise DropConnection


def _prompt(request: Request) -> str:
    try:
        given = json.loads(request.body or b"{}")
    except ValueError:
        return ""
    return str(given.get("prompt") or "") if isinstance(given, dict) else ""


def _bad_answer(fault: str) -> Response | None:
    if fault in ("500", "502", "503", "504"):
        words = {"504": "Gateway Timeout", "503": "Service Unavailable"}.get(fault, "Internal Server Error")
        return json_response(int(fault), {"detail": words})
    if fault == "ingress":
        return text_response(502, INGRESS, "text/html")
    if fault == "garbage":
        return text_response(200, PAGE.format("Error"), "text/html")
    return text_response(200, "", "application/json") if fault == "empty" else None
