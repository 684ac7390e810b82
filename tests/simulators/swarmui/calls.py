"""One API call as a handler sees it, and the table of routes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.simulators.swarmui.errors import ApplicationError
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.websocket import WebSocket
from tests.simulators.swarmui.world import Session, World

_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Call:
    world: World
    data: JsonObject
    user_name: str
    session: Session | None = None
    websocket: WebSocket | None = None

    @property
    def who(self) -> Session:
        assert self.session is not None
        return self.session

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        if name not in self.data:
            if default is _REQUIRED:
                raise ApplicationError(f"Missing required parameter '{name}'")
            return str(default)
        value = self.data[name]
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return "" if value is None else str(value)

    def integer(self, name: str, default: Any = _REQUIRED) -> int:
        text = self.text(name, default)
        try:
            number = int(text)
        except ValueError:
            number = 2**40
        if not -(2**31) <= number < 2**31:
            raise ApplicationError(f"Invalid value '{text}' for parameter '{name}', must be type 'Int32'")
        return number

    def flag(self, name: str, default: Any = _REQUIRED) -> bool:
        text = self.text(name, default)
        if text.lower() not in ("true", "false"):
            raise ApplicationError(f"Invalid value '{text}' for parameter '{name}', must be type 'Boolean'")
        return text.lower() == "true"


Handler = Callable[[Call], Awaitable[JsonObject | None]]


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    handler: Handler
    permission: str
    websocket: bool
    needs_session: bool


class Routes:
    """Routes by lower-case name; add with `@routes.post(...)` and `@routes.socket(...)`."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def find(self, name: str) -> Route | None:
        return self._routes.get(name.lower())

    def include(self, other: "Routes") -> None:
        self._routes |= other._routes

    def post(self, name: str, permission: str, *, needs_session: bool = True) -> Callable[[Handler], Handler]:
        return self._add(name, permission, websocket=False, needs_session=needs_session)

    def socket(self, name: str, permission: str) -> Callable[[Handler], Handler]:
        """The handler sends its own messages; the socket is closed after it."""
        return self._add(name, permission, websocket=True, needs_session=True)

    def _add(self, name: str, permission: str, *, websocket: bool, needs_session: bool) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self._routes[name.lower()] = Route(name, handler, permission, websocket, needs_session)
            return handler

        return register
