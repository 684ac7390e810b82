"""One API call, the table of endpoints, and refusals in vast.ai's words."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.swarmui.messages import JsonObject, Request, Response, json_response
from tests.simulators.vastai.instance import Instance
from tests.simulators.vastai.world import World


class RefusedError(Exception):
    """An error answer: `{"success": false, "error": code, "msg": text}` with that status."""

    def __init__(self, status: int, code: str, msg: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(msg)
        self.status, self.headers = status, headers or {}
        self.body: JsonObject = {"success": False, "error": code, "msg": msg} | more

    def response(self) -> Response:
        answer = json_response(self.status, self.body)
        return Response(answer.status, answer.body, answer.headers | self.headers)


@dataclass(frozen=True)
class Call:
    """`owner` is None for the account, or the instance whose own key was used; `fault` is one of this endpoint."""

    world: World
    request: Request
    owner: Instance | None
    groups: tuple[str, ...]
    fault: str = ""

    def body(self) -> JsonObject:
        """The JSON object in the body; {} for none. Nulls are as good as absent and left out."""
        if not self.request.body.strip():
            return {}
        try:
            data = json.loads(self.request.body)
        except ValueError:
            raise RefusedError(483, "invalid_json", "Could not parse the request body as JSON") from None
        if not isinstance(data, dict):
            raise RefusedError(400, "invalid_args", "Expected a JSON object")
        return {key: value for key, value in data.items() if value is not None}

    def query_json(self, name: str, default: Any) -> Any:
        text = self.request.query.get(name)
        if not text:
            return default
        try:
            return json.loads(text)
        except ValueError:
            raise RefusedError(400, "invalid_args", f"{name} is not JSON") from None

    def instance(self) -> Instance:
        """The one in the path, when it is the caller's to touch. Raises no_such_instance."""
        instance = self.world.instances.get(int(self.groups[0]))
        if instance is None or not instance.alive:
            raise RefusedError(404, self.world.script.gone_code, f"error 404/3603: no such instance {self.groups[0]}.")
        return instance


Handler = Callable[[Call], Response | JsonObject | Awaitable[Response | JsonObject]]


@dataclass(frozen=True)
class Route:
    name: str
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scope: str
    interval_s: float
    own_key: bool  # an instance's own key may use it
    needs_key: bool


@dataclass
class Routes:
    routes: list[Route] = field(default_factory=list)

    def add(
        self,
        name: str,
        method: str,
        path: str,
        *,
        scope: str,
        interval_s: float = 0.0,
        own_key: bool = False,
        needs_key: bool = True,
    ) -> Callable[[Handler], Handler]:
        """`path` below /api/, `{}` being a number; a slash at the end is optional. Seconds as documented."""
        pattern = re.compile("/api/" + path.strip("/").replace("{}", r"(\d+)") + "/?")

        def register(handler: Handler) -> Handler:
            self.routes.append(Route(name, method, pattern, handler, scope, interval_s, own_key, needs_key))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        for route in self.routes:
            match = route.pattern.fullmatch(path)
            if match and route.method == method:
                return route, match.groups()
        return None

    def knows(self, path: str) -> bool:
        return any(route.pattern.fullmatch(path) for route in self.routes)


routes = Routes()
