"""rest.fal.ai and the media host: uploads in three ways, downloads with ranges, and the keys of the webhooks."""

import datetime
import hashlib
import json
import re
import secrets

from tests.simulators.fal.errors import refused
from tests.simulators.fal.files import Stored
from tests.simulators.fal.jobs import iso
from tests.simulators.fal.outcome import expiry
from tests.simulators.fal.world import World
from tests.simulators.swarmui.messages import FilePart, JsonObject, Request, Response, json_response

TOKEN_HOURS = 24
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
PIECE = re.compile(r"(/files/.+)/multipart/([^/]+)/(\d+|complete)")


def jwks(world: World, _request: Request) -> Response:
    """GET /.well-known/jwks.json"""
    answer = json_response(200, world.postman.jwks())
    return Response(answer.status, answer.body, answer.headers | {"cache-control": "public, max-age=3600"})


def token(world: World, _request: Request) -> Response:
    """POST /storage/auth/token?storage_type=fal-cdn-v3: a token for the media host."""
    text = secrets.token_urlsafe(24)
    world.tokens.add(text)
    until = datetime.datetime.fromtimestamp(world.now, datetime.UTC) + datetime.timedelta(hours=TOKEN_HOURS)
    told = {"token": text, "token_type": "Bearer", "base_url": world.urls["media"], "expires_at": until.isoformat()}
    return json_response(200, told)


def initiate(world: World, request: Request) -> Response:
    """POST /storage/upload/initiate: where to PUT the bytes, and where they will be found."""
    wanted = json.loads(request.body or b"{}")
    path = world.shelf.new_path(str(wanted.get("file_name") or "upload.bin"))
    preference = request.headers.get("x-fal-object-lifecycle-preference", "")
    kind = str(wanted.get("content_type") or "application/octet-stream")
    world.shelf.put(path, b"", content_type=kind, expires_at=expiry(world, preference)).fails = 10**9
    url = world.urls["media"] + path
    return json_response(200, {"upload_url": f"{url}?signature={secrets.token_hex(16)}", "file_url": url})


def upload(world: World, request: Request) -> Response:
    """POST /files/upload on the media host, with a token."""
    _authorized(world, request)
    path = world.shelf.new_path(request.headers.get("x-fal-file-name", "upload.bin"))
    world.shelf.put(
        path,
        request.body,
        content_type=request.headers.get("content-type", "application/octet-stream"),
        expires_at=expiry(world, request.headers.get("x-fal-object-lifecycle", "")),
    )
    return json_response(200, {"access_url": world.urls["media"] + path})


def multipart(world: World, request: Request) -> Response:
    """POST /files/upload/multipart: begin an upload in pieces."""
    _authorized(world, request)
    path = world.shelf.new_path(request.headers.get("x-fal-file-name", "upload.bin"))
    kind = request.headers.get("content-type", "application/octet-stream")
    world.shelf.put(path, b"", content_type=kind).fails = 10**9
    return json_response(200, {"access_url": world.urls["media"] + path, "uploadId": secrets.token_hex(8)})


def put(world: World, request: Request) -> Response:
    """PUT of a whole file (the address is its own permission), or of a piece of one."""
    piece = PIECE.fullmatch(request.path)
    stored = _known(world, piece[1] if piece else request.path)
    if piece:
        _authorized(world, request)
        stored.parts[int(piece[3])] = request.body
        return Response(200, b"", {"etag": f'"{hashlib.md5(request.body, usedforsecurity=False).hexdigest()}"'})
    if not request.query.get("signature"):
        raise refused(403, "The address is not signed")
    stored.path.write_bytes(request.body)
    stored.fails = 0
    return Response(200)


def complete(world: World, request: Request) -> Response:
    """POST .../complete: the pieces become the file."""
    _authorized(world, request)
    piece = PIECE.fullmatch(request.path)
    if piece is None:
        raise refused(404, "Not Found")
    stored = _known(world, piece[1])
    numbers = [int(part["partNumber"]) for part in json.loads(request.body)["parts"]]
    stored.path.write_bytes(b"".join(stored.parts[number] for number in sorted(numbers)))
    stored.fails = 0
    return json_response(200, {})


def get(world: World, request: Request) -> Response:
    """GET of a file: public, with ranges, and gone once it has expired."""
    stored = _known(world, request.path)
    if stored.fails > 0 or (stored.expires_at is not None and stored.expires_at <= world.now):
        stored.fails -= 1
        raise refused(404, "File not found")
    stored.reads += 1
    return _part(stored, request)


def _part(stored: Stored, request: Request) -> Response:
    size = stored.path.stat().st_size
    headers = {"content-type": stored.content_type, "accept-ranges": "bytes", "cache-control": "public"}
    if stored.expires_at is not None:
        headers["x-fal-expires-at"] = iso(stored.expires_at)
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or asked.groups() == ("", ""):
        return Response(200, FilePart(stored.path, 0, size, size // 2 if stored.cut else None), headers)
    first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    last = min(size - 1, int(asked[2])) if asked[1] and asked[2] else size - 1
    if first > last:
        return Response(416, b"", headers | {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return Response(206, FilePart(stored.path, first, last - first + 1), headers)


def _known(world: World, path: str) -> Stored:
    stored = world.shelf.files.get(path)
    if stored is None:
        raise refused(404, "File not found")
    return stored


def _authorized(world: World, request: Request) -> None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme == "Key" and text == world.api_key:
        return
    if scheme != "Bearer" or text not in world.tokens:
        raise refused(401, "Invalid token")


def described(world: World) -> JsonObject:
    """The files for the observer."""
    return {
        path: {"bytes": stored.path.stat().st_size, "reads": stored.reads, "expires_at": stored.expires_at}
        for path, stored in world.shelf.files.items()
    }
