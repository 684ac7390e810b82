"""Results of SwarmUI: which paths are fetched, and their bytes within the limit."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx

from gpu.clients.guarded import AnswerRefused
from gpu.clients.swarmui_errors import SwarmResultRefused, SwarmUnavailable, refusal

FILE_PIECE_BYTES = 64 * 1024
RESULT_EXTENSIONS = (".mp4", ".webm", ".mov", ".gif", ".webp", ".png", ".jpg")
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\%?#]{1,200}")


def result_path(text: str) -> str:
    """The path of a result, checked and percent-encoded, to be joined to the configured origin.

    Raises SwarmResultRefused for data URLs and for anything that is not plainly a file under View/ or Output/.
    """
    if text[:5].lower() == "data:":
        raise SwarmResultRefused("data_url", "SwarmUI sent the video inside its message instead of saving it.")
    segments = text.split("/")
    plain = all(_SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments)
    known = segments[0] in ("View", "Output") and len(segments) > 1 and segments[-1].lower().endswith(RESULT_EXTENSIONS)
    if len(text) > 1024 or not plain or not known:
        raise SwarmResultRefused("path", "SwarmUI named a result that we do not fetch.")
    try:
        return "/" + "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError as exc:  # half of a surrogate pair
        raise SwarmResultRefused("path", "SwarmUI named a result that we do not fetch.") from exc


def check_result(response: httpx.Response, max_bytes: int) -> None:
    """Raises unless the answer is a file of at most `max_bytes`, as far as its head tells."""
    status = response.status_code
    if status == 404:
        raise SwarmResultRefused("missing", "SwarmUI no longer has the video.")
    if status != 200:
        raise refusal("View", status)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith(("video/", "image/")) and kind != "application/octet-stream":
        raise SwarmResultRefused("type", "SwarmUI answered with something that is not a video.")
    if _length(response) > max_bytes:
        raise SwarmResultRefused("too_large", "The video is larger than allowed.")


def _length(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def pieces(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    """The body. Raises SwarmResultRefused (too_large, truncated) and SwarmUnavailable on the way."""
    seen = 0
    try:
        for piece in response.iter_raw(FILE_PIECE_BYTES):
            seen += len(piece)
            if seen > max_bytes:
                raise SwarmResultRefused("too_large", "The video is larger than allowed.")
            yield piece
    except httpx.RemoteProtocolError as exc:  # fewer bytes than were announced
        raise SwarmResultRefused("truncated", "The video broke off while it was fetched.") from exc
    except AnswerRefused as exc:
        raise SwarmResultRefused("too_large", "The video is larger than allowed.") from exc
    except httpx.HTTPError as exc:
        raise SwarmUnavailable(f"View: {type(exc).__name__}") from exc
    if seen < _length(response):
        raise SwarmResultRefused("truncated", "The video broke off while it was fetched.")
