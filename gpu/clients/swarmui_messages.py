"""SwarmUI's answers as typed values. Everything in them is input: sizes, types and ranges are checked here.

Source: SwarmUI 0.9.8.2, src/WebAPI/T2IAPI.cs and BasicAPIFeatures.cs.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpu.clients.swarmui_errors import SwarmProtocolError

MAX_ERROR_CHARS = 300
MAX_METADATA_CHARS = 256 * 1024
MAX_IMAGE_CHARS = 32 * 1024 * 1024
MAX_PREVIEW_BYTES = 4 * 1024 * 1024
MAX_FEATURES, MAX_FEATURE_CHARS = 200, 60

# Long runs of the base64 alphabet are pictures (SwarmUI echoes a bad one whole), session ids or keys.
_LONG_RUN = re.compile(r"data:[\w/+.;=-]*,?|[A-Za-z0-9+/=]{36,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Session:
    """One of SwarmUI's sessions. Counters and interrupts are per session, so every render has its own."""

    session_id: str
    user_id: str
    server_id: str  # new at every start of the server
    version: str
    output_root: str  # "View/local" or "Output": what stands before the paths of results


@dataclass(frozen=True, slots=True)
class Status:
    """What one session has going on. `waiting_gens` counts everything unfinished, running ones included."""

    waiting_gens: int
    loading_models: int
    waiting_backends: int
    live_gens: int
    backend_status: str = ""
    features: frozenset[str] = frozenset()  # what its backends can do besides, "frameinterps" for example

    @property
    def is_idle(self) -> bool:
        return not (self.waiting_gens or self.loading_models or self.waiting_backends or self.live_gens)


@dataclass(frozen=True, slots=True)
class GenProgress:
    """`overall` counts workflow nodes, not time: it jumps, goes backwards and may stop short of 1."""

    batch_index: int
    overall: float
    current: float
    preview: str | None = None  # a data URL; see decode_preview


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """One result. `batch_index` 0 is the video of a request for one; -11 and below are intermediates."""

    path: str
    batch_index: int
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """Not the last message; its trailer follows."""

    text: str
    session_lost: bool = False


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes for this request (`discard_indices` or `socket_intention`)."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that we have no use for (raw backend data, or something newer than we are)."""


Message = Status | GenProgress | ImageMessage | ErrorMessage | KeepAlive | Ended | Unknown


@dataclass(frozen=True, slots=True)
class Backend:
    title: str
    type: str
    status: str


@dataclass(frozen=True, slots=True)
class ListedFile:
    path: str  # relative to the folder that was asked for
    metadata: dict[str, Any]


def parse_object(raw: str | bytes) -> dict[str, Any]:
    """A JSON object without NaN and Infinity. Raises SwarmProtocolError."""
    try:
        data = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise SwarmProtocolError("The answer is not JSON.") from exc
    if not isinstance(data, dict):
        raise SwarmProtocolError("The answer is not a JSON object.")
    return data


def parse_message(raw: str | bytes) -> Message:
    """One message of the generation socket. Raises SwarmProtocolError."""
    data = parse_object(raw)
    for key, read in _READERS.items():
        if key in data:
            return read(data)
    return Unknown()


def parse_status(data: dict[str, Any]) -> Status:
    counts = _object(data, "status")
    backend = data.get("backend_status")
    word = backend.get("status") if isinstance(backend, dict) else ""
    return Status(
        waiting_gens=_count(counts, "waiting_gens"),
        loading_models=_count(counts, "loading_models"),
        waiting_backends=_count(counts, "waiting_backends"),
        live_gens=_count(counts, "live_gens"),
        backend_status=word[:40] if isinstance(word, str) else "",
        features=_features(data.get("supported_features")),
    )


def _features(said: object) -> frozenset[str]:
    """Not everywhere where there is a status: sockets leave them out."""
    words = said[:MAX_FEATURES] if isinstance(said, list) else []
    return frozenset(word for word in words if isinstance(word, str) and len(word) <= MAX_FEATURE_CHARS)


def parse_session(data: dict[str, Any]) -> Session:
    user_id = _text(data, "user_id", 200)
    own_folder = data.get("output_append_user", True)
    return Session(
        session_id=_text(data, "session_id", 200),
        user_id=user_id,
        server_id=_text(data, "server_id", 200) if "server_id" in data else "",
        version=_text(data, "version", 200) if "version" in data else "",
        output_root=f"View/{user_id}" if own_folder else "Output",
    )


def parse_metadata(value: object) -> dict[str, Any]:
    """SwarmUI's metadata string as an object; empty when there is none that we can use."""
    if not isinstance(value, str) or len(value) > MAX_METADATA_CHARS:
        return {}
    try:
        storable: dict[str, Any] = _storable(parse_object(value))
    except (SwarmProtocolError, RecursionError):
        return {}
    return storable


def parse_files(data: dict[str, Any]) -> list[ListedFile]:
    files = data.get("files")
    if not isinstance(files, list):
        raise SwarmProtocolError("The listing has no files.")
    return [
        ListedFile(entry["src"], parse_metadata(entry.get("metadata")))
        for entry in files
        if isinstance(entry, dict) and isinstance(entry.get("src"), str)
    ]


def parse_backends(data: dict[str, Any]) -> list[Backend]:
    return [
        Backend(*(clean_text(entry.get(key, ""))[:100] for key in ("title", "type", "status")))
        for entry in data.values()
        if isinstance(entry, dict)
    ]


def parse_model_names(data: dict[str, Any]) -> list[str]:
    files = data.get("files")
    if not isinstance(files, list):
        raise SwarmProtocolError("The listing has no models.")
    names = (entry.get("name") if isinstance(entry, dict) else entry for entry in files)
    return [name[:300] for name in names if isinstance(name, str)]


def decode_preview(data_url: str) -> bytes | None:
    """The picture of a preview, at most 4 MiB and not to be trusted; None when it is larger or none."""
    head, _, body = data_url.partition(";base64,")
    if not head.startswith("data:image/") or len(body) > MAX_PREVIEW_BYTES * 4 // 3 + 4:
        return None
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return None


def clean_text(value: object) -> str:
    """A server's text, fit for a log and a person: short, one line, without pictures and keys."""
    # Cut first: the text may be a whole picture.
    text = _LONG_RUN.sub("…", str(value)[:4000])
    return str(_storable(_CONTROL.sub(" ", text).strip()[:MAX_ERROR_CHARS]))


def _storable(value: Any) -> Any:
    """The same JSON without NULs and half surrogate pairs, which are legal in JSON but which no database keeps."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def _error(data: dict[str, Any]) -> ErrorMessage:
    return ErrorMessage(clean_text(data["error"]), session_lost=data.get("error_id") == "invalid_session_id")


def _image(data: dict[str, Any]) -> ImageMessage:
    return ImageMessage(_text(data, "image", MAX_IMAGE_CHARS), _index(data), parse_metadata(data.get("metadata")))


def _progress(data: dict[str, Any]) -> GenProgress:
    data = _object(data, "gen_progress")
    preview = data.get("preview")
    return GenProgress(
        batch_index=_index(data),
        overall=_share(data, "overall_percent"),
        current=_share(data, "current_percent"),
        preview=preview if isinstance(preview, str) else None,
    )


def _object(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data[key]
    if not isinstance(value, dict):
        raise SwarmProtocolError(f"{key} is not an object.")
    return value


def _text(data: dict[str, Any], key: str, most: int) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value or len(value) > most:
        raise SwarmProtocolError(f"{key} is not a text.")
    return value


def _count(data: dict[str, Any], key: str) -> int:
    value = data.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9:
        raise SwarmProtocolError(f"{key} is not a count.")
    return value


def _index(data: dict[str, Any]) -> int:
    """A string, except in some previews, where it is a number."""
    value = data.get("batch_index", "0")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise SwarmProtocolError("batch_index is not a number.")


def _share(data: dict[str, Any], key: str) -> float:
    value = data.get(key, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise SwarmProtocolError(f"{key} is not a number.")
    return min(max(float(value), 0.0), 1.0)


def _no_constant(name: str) -> None:
    raise ValueError(name)


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "error": _error,
    "image": _image,
    "gen_progress": _progress,
    "status": parse_status,
    "keep_alive": lambda _data: KeepAlive(),
    "discard_indices": lambda _data: Ended(),
    "socket_intention": lambda _data: Ended(),
}
