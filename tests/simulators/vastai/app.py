"""The API as a whole: which call goes where, who may make it, and which fault strikes."""

import asyncio
import inspect
import logging

from tests.simulators.swarmui.messages import (
    DropConnection,
    JsonObject,
    Request,
    Response,
    json_response,
    text_response,
)
from tests.simulators.swarmui.websocket import WebSocket
from tests.simulators.vastai import account, contracts, market
from tests.simulators.vastai.calls import Call, RefusedError, Route, routes
from tests.simulators.vastai.control import Controller
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.limits import Limits, quota_exceeded, too_many
from tests.simulators.vastai.script import OWN_FAULTS
from tests.simulators.vastai.world import World

MODULES = (account, contracts, market)  # importing them fills `routes`
READS_BEHIND_2FA = ("user", "list", "list_v0", "show", "filters", "charges", "invoices")
TWO_FACTOR = "Two Factor Authentication is required: log in with a second factor first."
JOURNAL_LENGTH = 20000

logger = logging.getLogger(__name__)


class VastApp:
    """What the transport calls; see the SwarmUI simulator's `server.App`."""

    def __init__(self, world: World, controller: Controller) -> None:
        self._world, self._controller = world, controller
        self._limits = Limits(world)

    def refuse(self, request: Request) -> Response | None:
        return None

    async def websocket(self, socket: WebSocket) -> None:
        """The API has none."""

    async def http(self, request: Request) -> Response:
        if request.path.startswith("/sim/"):
            return await self._controller.answer(request)
        await self._world.clock.settle()
        if self._world.script.answer_real_seconds:
            await asyncio.sleep(self._world.script.answer_real_seconds)
        try:
            return await self.dispatch(request)
        finally:
            await self._world.clock.settle()

    async def dispatch(self, request: Request) -> Response:
        """One call at the present moment; also used by what runs on the machines."""
        if request.path.startswith("/instance_logs/"):
            return account.stored_log(self._world, request.path)
        found = routes.find(request.method, request.path)
        if found is None:
            status = 405 if routes.knows(request.path) else 404
            return json_response(status, {"success": False, "error": "not_found", "msg": "No such endpoint"})
        route, groups = found
        self._world.calls[route.name] += 1
        entry = {"at": self._world.now, "name": route.name, "path": request.path, "status": 0, "fault": ""}
        self._world.journal.append(entry)
        del self._world.journal[:-JOURNAL_LENGTH]
        answer = await self._guarded(route, request, groups, entry)
        entry["status"] = answer.status
        return answer

    async def _guarded(self, route: Route, request: Request, groups: tuple[str, ...], entry: JsonObject) -> Response:
        try:
            owner = self._owner(route, request, groups)
        except RefusedError as exc:
            return exc.response()
        identity = request.headers.get("authorization", "anonymous")
        limited = self._limits.refuse(route, identity)
        if limited is not None:
            return limited
        fault = entry["fault"] = self._world.script.take_fault(route.name)
        before = await self._strike(fault)
        if before is not None:
            return before
        own = fault if fault in OWN_FAULTS.get(route.name, ()) else ""
        answer = await self._answer(route, Call(self._world, request, owner, groups, own))
        return await self._strike_after(fault) or answer

    async def _answer(self, route: Route, call: Call) -> Response:
        try:
            result = route.handler(call)
            answer = await result if inspect.isawaitable(result) else result
        except RefusedError as exc:
            return exc.response()
        except (KeyError, ValueError, TypeError, AttributeError):
            logger.exception("%s failed", route.name)
            return json_response(
                400, {"success": False, "error": "invalid_args", "msg": "error 400/3500: bad arguments"}
            )
        return answer if isinstance(answer, Response) else json_response(200, answer)

    def _owner(self, route: Route, request: Request, groups: tuple[str, ...]) -> Instance | None:
        """Who calls: None for the account, the instance for its own key. Raises RefusedError."""
        script = self._world.script
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if "api_key" in request.query:
            self._world.violations.append("key in the address")
        if not key:
            if not route.needs_key and (route.name != "search" or script.search_without_key):
                return None
            raise RefusedError(403, "auth_error", "This action requires login.")
        if scheme != "Bearer" or key != self._world.api_key:
            return self._machine(route, key if scheme == "Bearer" else "", groups)
        if script.two_factor and route.name in READS_BEHIND_2FA:
            raise RefusedError(401, "auth_error", TWO_FACTOR)
        if script.scopes and route.scope not in script.scopes:
            raise RefusedError(403, "auth_error", f"This key lacks the permission {route.scope}.")
        return None

    def _machine(self, route: Route, key: str, groups: tuple[str, ...]) -> Instance:
        for instance in self._world.alive():
            if key and instance.api_key == key:
                if route.own_key and groups == (str(instance.id),):
                    return instance
                raise RefusedError(403, "auth_error", "This key may only start, stop and destroy its instance.")
        status = 404 if self._world.script.unknown_key_is_404 and route.scope == "billing_read" else 401
        raise RefusedError(status, "auth_error", "Invalid user key")

    async def _strike(self, fault: str) -> Response | None:
        """A fault instead of the work."""
        script = self._world.script
        if fault in ("lost", "hang"):
            await self._cut(fault)
        if fault == "429_quota":
            return quota_exceeded(self._world.now)
        if fault.startswith("429"):
            return too_many(script.rate_style if fault == "429" else fault, script)
        if fault == "401_2fa":
            return RefusedError(401, "auth_error", TWO_FACTOR).response()
        if fault == "401":
            return RefusedError(401, "auth_error", "Invalid user key").response()
        if fault == "403_scope":
            return RefusedError(403, "auth_error", "This key lacks the permission.").response()
        return None if fault.endswith("_after") else _bad_answer(fault)

    async def _strike_after(self, fault: str) -> Response | None:
        """The work is done, and nobody hears of it."""
        if not fault.endswith("_after") or fault == "429_retry_after":
            return None
        name = fault.removesuffix("_after")
        if name in ("lost", "hang"):
            await self._cut(name)
        return _bad_answer(name)

    async def _cut(self, how: str) -> None:
        if how == "hang":
            await asyncio.sleep(self._world.script.hang_real_seconds)
        raise DropConnection


def _bad_answer(fault: str) -> Response | None:
    page = "<html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>"
    if fault in ("500", "502", "503", "504"):
        return text_response(int(fault), page, "text/html")
    if fault == "garbage":
        return text_response(200, page, "text/html")
    return text_response(200, "", "application/json") if fault == "empty" else None
