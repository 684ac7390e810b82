"""Who may pass the proxy in front of a machine's apps, in the documented order."""

import base64
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.simulators.swarmui.messages import Request, Response

COOKIE_SECONDS = 7 * 86400
OPEN_PATHS = ("/portal-resolver", "/manifest.json")
ACME = "/.well-known/acme-challenge/"

LocalApp = Callable[[Request], Awaitable[Response]]


@dataclass(kw_only=True)
class Door:
    """What is behind one outer port. `upstream` is None while the app does not listen."""

    internal: int = 0
    upstream: Callable[[], int | None] = lambda: None
    local: LocalApp | None = None  # answers in this process instead of an upstream
    tokens: Callable[[], set[str]] = set
    auth: bool = True
    cookie_name: str = ""
    user: str = "vastai"
    password: str = ""
    extra_headers: dict[str, str] = field(default_factory=dict)
    raw: bool = False  # no proxy at all: the app itself


@dataclass
class Head:
    """The first part of a request, as text that can be changed and sent on."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    @classmethod
    def parse(cls, data: bytes) -> "Head":
        first, *lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = [line.partition(":") for line in lines]
        return cls(method, target, [(name.strip(), value.strip()) for name, _, value in pairs])

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_upgrade(self) -> bool:
        return "upgrade" in self.get("connection").lower()

    def without_token(self) -> str:
        parts = urlsplit(self.target)
        pairs = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "token"]
        return parts._replace(query=urlencode(pairs)).geturl()

    def replaced(self, name: str, value: str) -> None:
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()] + [(name, value)]

    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True)
class Verdict:
    """Passed, and with which cookie to set; or the answer instead."""

    answer: Response | None = None
    set_cookie: str = ""


def judge(door: Door, head: Head) -> Verdict:
    """The documented order: token in the query, cookie, Bearer, Basic. Changes `head` to what the app may see."""
    if not door.auth or head.path in OPEN_PATHS or head.path.startswith(ACME):
        return Verdict()
    token = head.query.get("token", "")
    if token and token in door.tokens():
        cookie = f"{door.cookie_name}={token}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        head.target = head.without_token()
        if "text/html" in head.get("accept") or head.get("sec-fetch-dest") == "document":
            return Verdict(Response(302, b"", {"location": head.target, "set-cookie": cookie}))
        return Verdict(set_cookie=cookie)
    if _cookie_fits(door, head) or _authorization_fits(door, head.get("authorization")):
        return Verdict()
    challenge = {"www-authenticate": 'Basic realm="restricted"', "content-type": "text/plain; charset=utf-8"}
    return Verdict(Response(401, b"", challenge))


def _cookie_fits(door: Door, head: Head) -> bool:
    pairs = [part.strip().partition("=") for part in head.get("cookie").split(";")]
    return any(name == door.cookie_name and value in door.tokens() for name, _, value in pairs)


def _authorization_fits(door: Door, header: str) -> bool:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value in door.tokens()
    if scheme.lower() != "basic" or not door.password:
        return False
    with contextlib.suppress(ValueError):
        return base64.b64decode(value).decode() == f"{door.user}:{door.password}"
    return False
