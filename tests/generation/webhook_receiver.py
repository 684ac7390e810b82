"""A receiver of webhooks on a real socket, with the faults that receivers have."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The payload as the specification's own library sees it; it raises when the signature is wrong."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """What it got, and what it answers: a status, or a fault by its name."""

    port: int = 0
    answer: int | str = 204
    headers: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    slow_s: float = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/hook?key=1"


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            receiver.calls.append(Call(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            time.sleep(receiver.slow_s)
            if receiver.answer == "reset":
                self.close_connection = True
                return
            self.send_response(200 if receiver.answer == "huge" else int(receiver.answer))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            if receiver.answer == "huge":
                self.send_header("content-length", str(10**12))
                self.end_headers()
                self._pour()
            else:
                self.send_header("content-length", "0")
                self.end_headers()

        def _pour(self) -> None:
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
