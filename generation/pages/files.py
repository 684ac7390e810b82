"""Files of the local storage, by signed links: whole, or in ranges so that a video can be wound."""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import http_date, parse_http_date_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from generation.services import links
from generation.services.hiding import is_hidden

CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


class _Unsatisfiable(Exception):
    """The range begins behind the end."""


@require_safe
def serve_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """GET or HEAD of a link's file. 404: no such link or file; 403: expired; 206, 304, 416 as in RFC 9110."""
    try:
        linked = links.opened(token)
        if not linked.for_staff and is_hidden(linked.key):
            return _plain(_("There is no such file."), 404)
        size, changed = default_storage.size(linked.key), default_storage.get_modified_time(linked.key)
    except links.LinkExpired:
        return _plain(_("This link has expired. Load the page again."), 403)
    except (links.LinkBroken, FileNotFoundError, SuspiciousOperation):
        return _plain(_("There is no such file."), 404)
    headers = _headers(linked, size, changed)
    if _unchanged(request, headers["ETag"]):
        return HttpResponse(status=304, headers={k: v for k, v in headers.items() if k != "Content-Type"})
    try:
        wanted = _range(request, size, headers)
    except _Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    return _answer(request, linked.key, size, wanted, headers)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _headers(linked: links.LinkedFile, size: int, changed: datetime) -> dict[str, str]:
    # Keys are never written with other content, but a time and a size cost nothing.
    mark = hashlib.sha256(f"{linked.key}:{size}:{changed.timestamp()}".encode()).hexdigest()[:32]
    return {
        "Content-Type": linked.content_type,
        "Content-Disposition": links.disposition(linked.download_name),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=300",
        "Accept-Ranges": "bytes",
        "ETag": f'"{mark}"',
        "Last-Modified": http_date(changed.timestamp()),
    }


def _unchanged(request: HttpRequest, etag: str) -> bool:
    given = request.headers.get("If-None-Match", "")
    return given.strip() == "*" or etag in [mark.strip().removeprefix("W/") for mark in given.split(",")]


def _range(request: HttpRequest, size: int, headers: dict[str, str]) -> tuple[int, int] | None:
    """First and last byte wanted; None for the whole file, also when the header is not one simple range."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or not match or not _still_the_same(request, headers):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise _Unsatisfiable
        return max(0, size - int(last)), size - 1
    if last and int(last) < int(first):
        return None  # not a valid range at all, which is to be ignored
    if int(first) >= size:
        raise _Unsatisfiable
    return int(first), min(int(last) if last else size - 1, size - 1)


def _still_the_same(request: HttpRequest, headers: dict[str, str]) -> bool:
    """If-Range: what the browser already has is of the same file. A weak mark or another date means no."""
    given = request.headers.get("If-Range", "").strip()
    if not given:
        return True
    if '"' in given:
        return given == headers["ETag"]
    date = parse_http_date_safe(given)
    return date is not None and date == parse_http_date_safe(headers["Last-Modified"])


def _answer(
    request: HttpRequest, key: str, size: int, wanted: tuple[int, int] | None, headers: dict[str, str]
) -> HttpResponseBase:
    first, last = wanted or (0, size - 1)
    headers |= {"Content-Length": str(last - first + 1)}
    if wanted:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_pieces(key, first, last - first + 1), status=status, headers=headers)


def _pieces(key: str, first: int, count: int) -> Iterator[bytes]:
    with default_storage.open(key) as file:
        file.seek(first)
        while count > 0 and (piece := file.read(min(CHUNK_BYTES, count))):
            count -= len(piece)
            yield piece
