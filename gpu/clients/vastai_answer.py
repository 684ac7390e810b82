"""One answer of vast.ai, and how to read values out of it. Everything in it is input."""

import datetime
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

MAX_SAID_CHARS = 300
LARGEST_NUMBER = 1e15

_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{36,}|[a-z]+://\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_SECRET_NAME = re.compile(r"key|token|secret|passw|login|env|onstart|args")


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` is the JSON object, None when there is none.

    `code` is vast.ai's word for a refusal, which at times stands only inside its text; `said` is both, fit for a log.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    data: dict[str, Any] | None = field(repr=False)
    code: str = ""
    said: str = ""

    @property
    def has_good_status(self) -> bool:
        return 200 <= self.status < 300

    @property
    def succeeded(self) -> bool:
        """Whether this is a success. Refusals come with status 200 too, and either way `success` may be left out."""
        if not self.has_good_status or self.data is None:
            return False
        said_so = self.data.get("success")
        return said_so is True or (said_so is None and not self.code)

    @property
    def retry_after_s(self) -> float | None:
        """The header, then the field in the body; vast.ai's pages say that there is none."""
        seconds = _retry_after_header(self.headers.get("retry-after", ""))
        if seconds is None:
            seconds = number((self.data or {}).get("retry_after"))
        return seconds if seconds is not None and seconds >= 0 else None


def read_answer(status: int, headers: Mapping[str, str], content: bytes, *, secret: str) -> Answer:
    """An answer of any shape. `secret` is taken out of everything that it says."""
    data = _json_object(content)
    code = ""
    if data is None:
        # Of a page only an HTTP status is worth repeating; a plain text is a sentence.
        words = "" if content.lstrip()[:1] == b"<" else content[:1000].decode("utf-8", "replace")
    else:
        code = clean_text(plain_text(data.get("error"), 1000).replace(secret, "…"))[:60]
        words = " ".join(plain_text(data.get(key), 1000) for key in ("error", "msg", "message", "detail"))
    return Answer(status, headers, content, data, code, clean_text(words.replace(secret, "…")))


def clean_text(text: str) -> str:
    """A server's text, fit for a log and a person: short, one line, without addresses and what may be a key."""
    return " ".join(plain_text(_LONG_RUN.sub("…", text[:4000]), MAX_SAID_CHARS).split())


def plain_text(value: object, most: int) -> str:
    """At most so many characters of one line that any database keeps; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    return storable_text(_CONTROL.sub(" ", value[: most * 2])).strip()[:most]


def number(value: object) -> float | None:
    """A finite number, None for everything else (a boolean and a text among it)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST_NUMBER:
        return None
    return float(value)


def whole(value: object) -> int | None:
    """An id or a count as vast.ai writes them: a number without a fraction, or its digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value, re.ASCII):
        return int(value)
    found = number(value)
    return int(found) if found is not None and found.is_integer() and found >= 0 else None


def money(value: object) -> Decimal | None:
    """Dollars, exactly as they were written."""
    found = number(value)
    return None if found is None else Decimal(str(value))


def moment(value: object) -> datetime.datetime | None:
    """Seconds since 1970 as a time."""
    seconds = number(value)
    if seconds is None or not 0 < seconds < 32503680000:  # the year 3000
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def snapshot(value: dict[str, Any]) -> dict[str, Any]:
    """What vast.ai said, without secrets, as JSON that any database keeps."""
    try:
        kept: dict[str, Any] = _storable({key: item for key, item in value.items() if not _SECRET_NAME.search(key)})
    except RecursionError:
        return {}
    return kept


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {storable_text(key): _storable(item) for key, item in value.items()}
    return value


def storable_text(text: str) -> str:
    """Without NULs and half surrogate pairs, which are legal in JSON and which no database keeps.

    They leave a mark: with one taken out, somebody else's label could become one of ours.
    """
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def _json_object(content: bytes) -> dict[str, Any] | None:
    # NaN and Infinity are let in: in one offer they must not cost the other sixty-three. `number` refuses them.
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _retry_after_header(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return max(0.0, (at - datetime.datetime.now(datetime.UTC)).total_seconds())
