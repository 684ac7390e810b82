"""fal's API with nothing but httpx, and an ear for its webhooks: what the simulator's own tests are driven with."""

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import av
import httpx
from PIL import Image

from tests.simulators.fal import FalSimulator

WAN = "fal-ai/wan/v2.2-a14b/image-to-video"
TURBO = WAN + "/turbo"
SMALL = {"num_frames": 17, "resolution": "480p", "num_interpolated_frames": 0, "seed": 7}


def png(width: int = 320, height: int = 240, color: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def asked(**changes: Any) -> dict[str, Any]:
    """The input of a small, valid request to Wan."""
    return {"image_url": data_uri(png()), "prompt": "a cat", **SMALL, **changes}


class Caller:
    """One customer. `submit` answers the answer, `begin` its addresses."""

    def __init__(self, fal: FalSimulator, key: str | None = None) -> None:
        self.fal = fal
        headers = {"Authorization": f"Key {key or fal.api_key}"}
        self.http = httpx.Client(headers=headers, timeout=20, trust_env=False)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def submit(
        self, endpoint: str = WAN, *, webhook: str = "", headers: dict[str, str] | None = None, **changes: Any
    ) -> httpx.Response:
        query = {"fal_webhook": webhook} if webhook else {}
        url = f"{self.fal.queue_url}/{endpoint}"
        return self.http.post(url, json=asked(**changes), params=query, headers=headers)

    def begin(self, endpoint: str = WAN, **options: Any) -> dict[str, Any]:
        answer = self.submit(endpoint, **options)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def finish(self, endpoint: str = WAN, **options: Any) -> httpx.Response:
        """Submit, let time pass until it is over, and get the result."""
        told = self.begin(endpoint, **options)
        self.fal.advance(60)
        return self.get(told["response_url"])

    def get(self, url: str, **query: Any) -> httpx.Response:
        return self.http.get(url, params=query or None)

    def api(self, path: str, **query: Any) -> httpx.Response:
        return self.get(f"{self.fal.api_url}/v1/{path}", **query)


@dataclass
class Heard:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Ear:
    """A receiver of webhooks. Answers the statuses of `answers` first, then 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Ear]:
    ear = Ear("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            ear.heard.append(Heard(self.path, {name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(ear.answers.pop(0) if ear.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ear.url = f"http://127.0.0.1:{server.server_port}/hook/nonce-1"
        try:
            yield ear
        finally:
            server.shutdown()


@dataclass(frozen=True)
class Shape:
    width: int
    height: int
    frames: int
    fps: int


def shape(data: bytes) -> Shape:
    """What a video really is, every frame decoded."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frames = len(list(container.decode(video=0)))
        return Shape(stream.width, stream.height, frames, int(stream.average_rate or 0))
