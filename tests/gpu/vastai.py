"""A vast.ai that gives prepared answers on a real socket, a clock that moves by itself, and records like its own."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_limits import RateLimiter
from tests.simulators.wire import Handler, reply, serve

KEY = "k" + "0123456789abcdef" * 4

MACHINE = {
    "id": 4242,
    "machine_id": 24680,
    "host_id": 13579,
    "label": "i2v/test/1",
    "actual_status": "running",
    "intended_status": "running",
    "cur_state": "running",
    "next_state": "running",
    "status_msg": "success, running vastai/swarmui",
    "public_ipaddr": "203.0.113.42\n",
    "ports": {"7865/tcp": [{"HostIp": "0.0.0.0", "HostPort": "40123"}, {"HostIp": "::", "HostPort": "40123"}]},
    "dph_total": 0.4125,
    "dph_base": 0.4,
    "storage_total_cost": 0.0125,
    "inet_down_cost": 0.0025,
    "inet_up_cost": 0.005,
    "start_date": 1793450000.5,
    "end_date": 1801226000.0,
    "extra_env": [["HF_TOKEN", "hush"]],
    "jupyter_token": "hush",
    "gpu_name": "RTX 4090",
    "num_gpus": 1,
    "disk_usage": -1,
    "disk_space": 60.0,
}

OFFER = {
    "id": 31415926,
    "machine_id": 24680,
    "host_id": 13579,
    "num_gpus": 1,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24564,
    "compute_cap": 890,
    "cuda_max_good": 12.8,
    "dlperf": 92.4,
    "disk_space": 812.4,
    "inet_up": 812.0,
    "inet_down": 934.0,
    "inet_up_cost": 0.005,
    "inet_down_cost": 0.0025,
    "storage_cost": 0.15,
    "dph_base": 0.40,
    "dph_total": 0.4125,
    "reliability": 0.9962,
    "verification": "verified",
    "rentable": True,
    "rented": False,
    "external": None,
    "is_bid": False,
    "direct_port_count": 249,
    "geolocation": "Texas, US",
    "duration": 7776000.0,
    "hosting_type": 0,
}


@dataclass
class FakeClock:
    """Time passes only by sleeping."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def limiter(self) -> RateLimiter:
        return RateLimiter(clock=lambda: self.now, sleep=self.sleep)


@dataclass
class Asked:
    """A request as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Vast:
    """What a test holds: the client, what it asked, and its clock."""

    client: VastClient
    clock: FakeClock
    asked: list[Asked]
    host: str


def says(data: Any, *, status: int = 200, **headers: str) -> Handler:
    """A JSON answer; header names are written with underscores."""
    return reply(json.dumps(data).encode(), status=f"{status} X", Content_Type="application/json", **headers)


def writes(text: str, *, status: int = 200, **headers: str) -> Handler:
    """A plain answer."""
    return reply(text.encode(), status=f"{status} X", Content_Type="text/html", **headers)


def hangs_up(connection: socket.socket, _head: bytes) -> None:
    """The request was read; no answer comes."""


@contextmanager
def vast(*answers: Handler) -> Iterator[Vast]:
    """A server that gives the answers in turn, the last one for ever."""
    clock, asked = FakeClock(), list[Asked]()

    def handle(connection: socket.socket, head: bytes) -> None:
        asked.append(_read(connection, head, clock.now))
        answers[min(len(asked), len(answers)) - 1](connection, head)

    with serve(handle) as wire, VastClient(f"http://{wire.host}", KEY, limiter=clock.limiter()) as client:
        yield Vast(client, clock, asked, wire.host)


def _read(connection: socket.socket, request: bytes, now: float) -> Asked:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    return Asked(method, url.path, dict(parse_qsl(url.query)), headers, json.loads(body) if body else None, now)
