"""What travels over HTTP: plain requests and responses, JSON and parts of files."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]


class DropConnection(Exception):
    """Raised by a handler: cut the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # percent-decoded
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes = b""
    too_large: bool = False

    @property
    def length(self) -> int:
        """The Content-Length; 0 when there is none, as with a chunked body."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class FilePart:
    path: Path
    start: int
    length: int
    cut_at: int | None = None  # break the connection after so many bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes | FilePart = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return self.body.length if isinstance(self.body, FilePart) else len(self.body)


def json_response(status: int, data: JsonObject) -> Response:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Response(status, json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(), headers)


def text_response(status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> Response:
    return Response(status, text.encode(), {"content-type": content_type})


def redirect(location: str) -> Response:
    return Response(302, b"", {"location": location})
