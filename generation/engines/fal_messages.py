"""What fal.ai answers, read strictly: the size first, then the shape. Nothing in it is trusted.

Sources: fal's documentation of the queue, errors, webhooks and platform API (docs.fal.ai), read 2026-11.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_BYTES = 4 * 1024 * 1024
MAX_TEXT = 300
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,79}")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d+)?\s?%")


class BadAnswer(ValueError):
    """Something answered, but not as fal.ai does."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request is in fal's queue. `state` is its own word; one that we do not know is data, not an error."""

    state: str
    position: int | None = None  # requests before ours
    percent: int | None = None  # the newest that its log names
    log: str = ""  # the newest line
    failed: bool = False  # it says itself that the request came to no result

    @property
    def is_over(self) -> bool:
        return self.state == "COMPLETED"

    @property
    def is_waiting(self) -> bool:
        return self.state == "IN_QUEUE"


@dataclass(frozen=True, slots=True)
class Video:
    """A finished request. `said` is the rest of the answer: small values only."""

    url: str
    seed: int | None = None
    prompt: str | None = None
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed:
    """One request of ours in fal's list."""

    request_id: str
    input: dict[str, Any]
    sent_at: datetime | None = None


def read_json(body: bytes) -> dict[str, Any]:
    """The object in an answer. Raises BadAnswer."""
    if len(body) > MAX_BYTES:
        raise BadAnswer("The answer is too large.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadAnswer("The answer is no JSON.") from exc
    if not isinstance(found, dict):
        raise BadAnswer("The answer is no object.")
    return found


def request_id_of(data: Mapping[str, Any], key: str = "request_id") -> str:
    """Raises BadAnswer; what comes back can stand in a path."""
    found = data.get(key)
    if not isinstance(found, str) or not _REQUEST_ID.fullmatch(found):
        raise BadAnswer("There is no request id in the answer.")
    return found


def standing_of(data: Mapping[str, Any]) -> Standing:
    state = data.get("status")
    if not isinstance(state, str) or not state:
        raise BadAnswer("There is no status in the answer.")
    position = data.get("queue_position")
    lines = _log_lines(data.get("logs"))
    percents = [int(found) for line in lines for found in _PERCENT.findall(line) if int(found) <= 100]
    return Standing(
        state=state[:40],
        position=position if isinstance(position, int) and not isinstance(position, bool) and position >= 0 else None,
        percent=percents[-1] if percents else None,
        log=lines[-1] if lines else "",
        failed=bool(data.get("error") or data.get("error_type")),
    )


def video_of(data: Mapping[str, Any]) -> Video:
    """The video in a result. Raises BadAnswer. The address is not judged here."""
    video = data.get("video")
    url = video.get("url") if isinstance(video, dict) else None
    if not isinstance(url, str) or not url or len(url) > 4096:
        raise BadAnswer("There is no video in the answer.")
    prompt = next((data[key] for key in ("actual_prompt", "prompt") if _is_text(data.get(key))), None)
    return Video(url, seed_of(data.get("seed")), prompt, _small(data))


def seed_of(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def reason_of(body: bytes) -> str:
    """fal's own sentence in an error's answer; empty when there is none."""
    try:
        data = read_json(body)
    except BadAnswer:
        return ""
    detail = data.get("detail", data.get("error", data.get("message")))
    if isinstance(detail, list):
        detail = "; ".join(filter(None, (_complaint(one) for one in detail[:3])))
    return plain(detail) if isinstance(detail, str) else ""


def types_of(body: bytes) -> set[str]:
    """The machine-readable kinds of an error's answer."""
    try:
        detail = read_json(body).get("detail")
    except BadAnswer:
        return set()
    return {one["type"] for one in _dicts(detail) if isinstance(one.get("type"), str)}


def listed_of(data: Mapping[str, Any]) -> tuple[list[Listed], str]:
    """One page of the list of requests, and the cursor of the next one ("" at the end). Raises BadAnswer."""
    items = data.get("items")
    if not isinstance(items, list):
        raise BadAnswer("There is no list in the answer.")
    found = []
    for item in _dicts(items):
        try:
            known = request_id_of(item)
        except BadAnswer:
            continue
        body = item.get("json_input")
        found.append(Listed(known, body if isinstance(body, dict) else {}, _time(item.get("sent_at"))))
    cursor = data.get("next_cursor")
    more = bool(data.get("has_more")) and isinstance(cursor, str) and len(cursor) <= 500
    return found, str(cursor) if more else ""


def unit_price_of(data: Mapping[str, Any], endpoint: str) -> Decimal | None:
    """US dollars of one billable unit, from the list of prices."""
    for price in _dicts(data.get("prices")):
        if price.get("endpoint_id") == endpoint and price.get("currency", "USD") == "USD":
            return decimal_of(price.get("unit_price"))
    return None


def decimal_of(value: object) -> Decimal | None:
    """A sane amount, never negative; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found < 1_000_000 else None


def plain(text: str) -> str:
    """One line of text without control characters, of a bearable length."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:MAX_TEXT]


def _complaint(one: object) -> str:
    if not isinstance(one, dict) or not isinstance(one.get("msg"), str):
        return ""
    where = [part for part in one.get("loc", []) if isinstance(part, str) and part != "body"]
    return f"{where[-1]}: {one['msg']}" if where else str(one["msg"])


def _log_lines(logs: object) -> list[str]:
    return [plain(line["message"]) for line in _dicts(logs)[-200:] if isinstance(line.get("message"), str)]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _small(data: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in list(data.items())[:40] if isinstance(value, int | float | str | bool)}
    return {key[:60]: value[:MAX_TEXT] if isinstance(value, str) else value for key, value in kept.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 20_000


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
