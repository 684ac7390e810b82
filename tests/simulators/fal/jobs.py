"""One request in fal's queue, and the book of what was accepted and what was billed."""

import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.simulators.fal.endpoints import Endpoint
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.video import Clip

IN_QUEUE, IN_PROGRESS, COMPLETED = "IN_QUEUE", "IN_PROGRESS", "COMPLETED"
MICRO = Decimal("0.000001")
LOG_LINES = 10  # of one inference


def iso(moment: float) -> str:
    """The second of the clock as fal writes times."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat().replace("+00:00", "Z")


@dataclass(kw_only=True)
class Job:
    """`code` is the HTTP status that its result has; 0 until it is over."""

    endpoint_id: str
    endpoint: Endpoint
    given: dict[str, Any]
    values: dict[str, Any]  # what the endpoint works with
    headers: dict[str, str]  # the platform's options that came along
    webhook: str
    fates: frozenset[str]
    accepted_at: float
    price: Decimal = Decimal(0)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    gateway_id: str = ""
    status: str = IN_QUEUE
    ready_at: float = 0.0  # before this it waits even when a runner is free
    started_at: float | None = None
    ended_at: float | None = None
    inference_s: float = 0.0
    cancel_asked: bool = False
    no_picture: str = ""  # the field whose picture could not be had
    code: int = 0
    output: JsonObject = field(default_factory=dict)  # the result, or the error in fal's form
    error: str = ""
    error_type: str = ""
    answer_headers: dict[str, str] = field(default_factory=dict)
    billed: Decimal = Decimal(0)
    media: list[str] = field(default_factory=list)
    posts: list[JsonObject] = field(default_factory=list)  # what became of its webhooks

    def __post_init__(self) -> None:
        self.gateway_id = self.gateway_id or self.id

    @property
    def app(self) -> str:
        """The endpoint without its subpath: what the addresses of its requests begin with."""
        return "/".join(self.endpoint_id.split("/")[:2])

    @property
    def prompt(self) -> str:
        return str(self.given.get("prompt") or "")

    @property
    def over(self) -> bool:
        return self.status == COMPLETED

    def has(self, fate: str) -> bool:
        return fate in self.fates

    def set_price(self, ratio: float) -> Clip:
        """What it will cost for a picture of that shape (width by height); answers the video's."""
        clip = self.endpoint.clip(self.values, ratio=ratio)
        self.price = self.endpoint.usd(self.values, clip).quantize(MICRO)
        return clip

    def logs(self, now: float) -> list[JsonObject]:
        """The lines printed so far."""
        if self.started_at is None:
            return []
        until = min(now, self.ended_at or now)
        share = min(1.0, (until - self.started_at) / self.inference_s) if self.inference_s else 1.0
        return [self._line(step) for step in range(int(share * LOG_LINES) + 1)]

    def _line(self, step: int) -> JsonObject:
        assert self.started_at is not None
        at = self.started_at + self.inference_s * step / LOG_LINES
        percent = 100 * step // LOG_LINES
        message = f"{percent:3d}%|{'█' * step}{' ' * (LOG_LINES - step)}| {step}/{LOG_LINES}"
        return {"message": message, "level": "INFO", "source": "USER", "timestamp": iso(at)}

    def described(self) -> JsonObject:
        """What the observer sees."""
        return {
            "request_id": self.id,
            "endpoint": self.endpoint_id,
            "input": self.given,
            "headers": self.headers,
            "webhook": self.webhook,
            "fates": sorted(self.fates),
            "status": self.status,
            "code": self.code,
            "error": self.error,
            "accepted_at": self.accepted_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "cancel_asked": self.cancel_asked,
            "price": str(self.price),
            "billed": str(self.billed),
            "output": self.output,
            "webhooks": list(self.posts),
        }


class Book:
    """Every accepted request, and the account's money: the truth."""

    def __init__(self, credit: float) -> None:
        self.jobs: dict[str, Job] = {}
        self.granted = Decimal(str(credit))

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs.values())

    @property
    def billed(self) -> Decimal:
        return sum((job.billed for job in self), Decimal(0))

    @property
    def balance(self) -> Decimal:
        return self.granted - self.billed

    def open(self) -> list[Job]:
        return [job for job in self if not job.over]

    def waiting(self) -> list[Job]:
        """In the order in which runners take them."""
        return [job for job in self if job.status == IN_QUEUE]

    def running(self) -> list[Job]:
        return [job for job in self if job.status == IN_PROGRESS]
