"""The server as a whole: which path goes where, and which error wins."""

import asyncio
import json
import logging
from typing import Any

from tests.simulators.swarmui import control, files, generate, models, server_admin, status
from tests.simulators.swarmui.calls import Call, Route, Routes
from tests.simulators.swarmui.errors import ApplicationError, SilentFailureError
from tests.simulators.swarmui.messages import (
    DropConnection,
    JsonObject,
    Request,
    Response,
    json_response,
    redirect,
    text_response,
)
from tests.simulators.swarmui.websocket import WebSocket
from tests.simulators.swarmui.world import Session, World

FIRST_MESSAGE_S = 60.0
BAD_LENGTH = {"error_id": "basic_api", "error": "bad content length"}
WRONG_TYPE = {"error_id": "basic_api", "error": "Wrong content type"}
NO_SESSION = {"error_id": "basic_api", "error": "missing session id"}
BAD_SESSION = {
    "error": "Invalid session ID. You may need to refresh the page.",
    "error_id": "invalid_session_id",
}
INTERNAL = {"error_id": "internal_error", "error": "An internal error occurred"}
NO_PERMISSION = {"error_id": "bad_permissions", "error": "You lack permissions for this route."}
NO_RESULT = {"error_id": "no_result", "error": "API call did not return any output"}

logger = logging.getLogger(__name__)
routes = Routes()
for module in (status, generate, files, models, server_admin):
    routes.include(module.routes)


class RefusedError(Exception):
    """The API layer itself refuses: `status` over HTTP, the same body over a socket."""

    def __init__(self, http_status: int, body: JsonObject) -> None:
        super().__init__(body.get("error"))
        self.http_status, self.body = http_status, body


class SwarmApp:
    """What the transport calls; see `server.App`."""

    def __init__(self, world: World, controller: "control.Controller") -> None:
        self._world, self._controller = world, controller

    def refuse(self, request: Request) -> Response | None:
        if request.path.startswith("/sim/"):
            return None
        wanted = self._world.script.authorization
        if wanted and request.headers.get("authorization", "") != wanted:
            return text_response(401, "Unauthorized")
        return self._proxy_fault() if request.path.lower().startswith("/api/") else None

    async def http(self, request: Request) -> Response:
        if request.path.startswith("/sim/"):
            return await self._controller.answer(request)
        if request.path.lower().startswith("/api/"):
            return await self._api(request)
        if request.path.lower().startswith(("/view/", "/output/")):
            return await files.view(self._world, request)
        if request.path == "/":
            return redirect("/Text2Image")
        known = request.path in ("/Text2Image", "/Error/NoGetAPI")
        return text_response(200 if known else 404, "<html>SwarmUI</html>", "text/html")

    async def websocket(self, socket: WebSocket) -> None:
        self._world.sockets.add(socket)
        try:
            await self._on_socket(socket)
        except RefusedError as exc:
            await socket.send(json.dumps(exc.body))
        except ApplicationError as exc:
            await socket.send(json.dumps(exc.as_json()))
        except Exception:
            logger.exception("socket call failed")
            await socket.send(json.dumps(INTERNAL))
        finally:
            self._world.sockets.discard(socket)

    async def _api(self, request: Request) -> Response:
        name = request.path.removeprefix("/API/").removeprefix("/api/")
        self._world.calls[name] += 1
        if request.method != "POST":
            return redirect("/Error/NoGetAPI")
        try:
            data = _body(request)
            route, session = self._route(name, data, request, is_socket=False)
            await self._hold()
            call = Call(self._world, data, _user_name(request), session)
            answer = await route.handler(call)
        except RefusedError as exc:
            return json_response(exc.http_status, exc.body)
        except ApplicationError as exc:
            return json_response(200, exc.as_json())
        except SilentFailureError:
            return json_response(400, INTERNAL)
        except (KeyError, ValueError, TypeError, AttributeError):
            logger.exception("call of %s failed", name)
            return json_response(400, INTERNAL)
        return json_response(400, NO_RESULT) if answer is None else json_response(200, answer)

    def _proxy_fault(self) -> Response | None:
        script = self._world.script
        if script.drop_next > 0:
            script.drop_next -= 1
            raise DropConnection
        if script.http_error_next:
            return text_response(script.http_error_next.pop(0), "<html><h1>Bad gateway</h1></html>", "text/html")
        return None

    async def _hold(self) -> None:
        if self._world.script.no_answer_seconds:
            await self._world.sleep(self._world.script.no_answer_seconds)

    def _route(self, name: str, data: JsonObject, request: Request, *, is_socket: bool) -> tuple[Route, Session | None]:
        """Session first, then the route, then its kind, then the permission: the first that fails answers."""
        route = routes.find(name)
        session = None if route and not route.needs_session else self._session(data, request)
        if route is None:
            text = "Unknown API route." if is_socket else "Unknown API route"
            raise RefusedError(400, {"error_id": "bad_route", "error": text})
        if route.websocket != is_socket:
            need, got = ("websocket", "HTTP") if route.websocket else ("HTTP", "websocket")
            text = f"API route needs {need}, request is {got}"
            raise RefusedError(400, {"error_id": "bad_request_method", "error": text})
        if route.permission in self._world.script.denied_permissions:
            raise RefusedError(400, NO_PERMISSION)
        return route, session

    def _session(self, data: JsonObject, request: Request) -> Session:
        key = str(data["session_id"]) if "session_id" in data else request.headers.get("x-session-id")
        if key is None:
            raise RefusedError(400, NO_SESSION)
        session = self._world.sessions.get(key)
        if session is None:
            raise RefusedError(401, BAD_SESSION)
        return session

    async def _on_socket(self, socket: WebSocket) -> None:
        name = socket.request.path.removeprefix("/API/").removeprefix("/api/")
        self._world.calls[name] += 1
        data = await self._first_message(socket)
        if data is None:
            return
        route, session = self._route(name, data, socket.request, is_socket=True)
        await self._hold()
        # The handler is no child of the connection: what it started goes on when the client is gone.
        await route.handler(Call(self._world, data, _user_name(socket.request), session, socket))

    async def _first_message(self, socket: WebSocket) -> JsonObject | None:
        try:
            async with asyncio.timeout(FIRST_MESSAGE_S * self._world.script.time_scale):
                text = await socket.receive()
        except TimeoutError:
            raise RefusedError(400, INTERNAL) from None
        return None if text is None else _parsed(text)


def _body(request: Request) -> JsonObject:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise RefusedError(400, WRONG_TYPE)
    if request.length <= 0 or request.too_large:
        raise RefusedError(400, BAD_LENGTH)
    return _parsed(request.body.decode("utf-8", "replace"))


def _parsed(text: str) -> JsonObject:
    try:
        data: Any = json.loads(text)
    except ValueError:
        raise RefusedError(400, INTERNAL) from None
    if not isinstance(data, dict):
        raise RefusedError(400, INTERNAL)
    return data


def _user_name(request: Request) -> str:
    return request.headers.get("x-swarm-user_id", "local")
