"""SwarmUI's API with nothing but httpx and websockets: what the simulator's own tests are driven with."""

import base64
import io
import json
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.simulators.swarmui import HIGH, LIGHTNING_HIGH, LIGHTNING_LOW, LOW

Message = dict[str, Any]


def picture(width: int = 64, height: int = 64) -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class Wire:
    """One session. `job` is a complete small image-to-video request; keys given are added or, if None, left out."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url, self.headers = url, headers or {}
        self.http = httpx.Client(base_url=url, headers=self.headers, timeout=20, trust_env=False)
        self.session = ""

    def __enter__(self) -> "Wire":
        self.session = self.http.post("/API/GetNewSession", json={}).json().get("session_id", "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def call(self, route: str, **data: Any) -> Message:
        answer: Message = self.post(route, **data).json()
        return answer

    def post(self, route: str, **data: Any) -> httpx.Response:
        return self.http.post(f"/API/{route}", json={"session_id": self.session} | data)

    def view(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(f"/{quote(path)}", **more)

    def job(self, **changes: Any) -> Message:
        whole = {
            "session_id": self.session,
            "images": 1,
            "model": HIGH,
            "videomodel": HIGH,
            "videoswapmodel": LOW,
            "prompt": "the dog runs",
            "initimage": picture(),
            "initimagecreativity": 0,
            "width": 64,
            "height": 64,
            "videoresolution": "Image",
            "videoframes": 9,
            "videofps": 16,
            "videosteps": 4,
            "videocfg": 1,
            "seed": 7,
            "loras": f"{LIGHTNING_HIGH},{LIGHTNING_LOW}",
            "loraweights": "1,1",
            "lorasectionconfinement": "2,3",
            "overrideoutpathformat": "raw/jobs/one",
        } | changes
        return {key: value for key, value in whole.items() if value is not None}

    def socket(self, route: str = "GenerateText2ImageWS", *, close_timeout_s: float = 10) -> ClientConnection:
        return connect(
            f"{self.url.replace('http', 'ws')}/API/{route}",
            max_size=None,
            additional_headers=self.headers,
            proxy=None,
            compression=None,
            close_timeout=close_timeout_s,
        )

    def converse(self, route: str = "GenerateText2ImageWS", **job: Any) -> list[Message]:
        """All messages up to the Close, which is the last one: {"close": code}."""
        with self.socket(route) as socket:
            socket.send(json.dumps(self.job(**job)))
            return read_all(socket)


def read_until(socket: ClientConnection, key: str) -> Message:
    """The first message with that key."""
    while True:
        message: Message = json.loads(socket.recv(timeout=20))
        if key in message:
            return message


def read_all(socket: ClientConnection) -> list[Message]:
    messages: list[Message] = []
    try:
        while True:
            messages.append(json.loads(socket.recv(timeout=20)))
    except ConnectionClosed as closed:
        return [*messages, {"close": closed.rcvd.code if closed.rcvd else None}]


def kinds(messages: list[Message]) -> list[str]:
    """What happened, in order: the first key of each message, runs of progress as one, statuses with what counts."""
    names: list[str] = []
    for message in messages:
        name = next(iter(message))
        if name == "status":
            name = "status " + ",".join(key for key, count in message["status"].items() if count)
        if name != "gen_progress" or names[-1:] != ["gen_progress"]:
            names.append(name.strip())
    return names


def pick(messages: list[Message], key: str) -> list[Any]:
    return [message[key] for message in messages if key in message]
