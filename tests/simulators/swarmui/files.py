"""Fetching results by /View, and the history routes."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

from tests.simulators.swarmui import video
from tests.simulators.swarmui.calls import Call, Routes
from tests.simulators.swarmui.errors import ApplicationError
from tests.simulators.swarmui.messages import FilePart, JsonObject, Request, Response, json_response, text_response
from tests.simulators.swarmui.world import World

routes = Routes()
MIMES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".txt": "text/plain",
}
CACHE_S = 30


@routes.post("ListImages", "view_image_history")
async def list_images(call: Call) -> JsonObject:
    return call.world.outputs.list(
        user=call.who.user.name,
        path=call.text("path"),
        depth=call.integer("depth"),
        by_date=call.text("sortBy", "Name") == "Date",
        reverse=call.flag("sortReverse", False),
        limit=call.world.script.list_limit,
    )


@routes.post("DeleteImage", "user_delete_image")
async def delete_image(call: Call) -> JsonObject:
    call.world.outputs.delete(user=call.who.user.name, path=call.text("path"))
    return {"success": True}


@routes.post("ToggleImageStarred", "user_star_images")
async def toggle_image_starred(call: Call) -> JsonObject:
    folder = call.world.outputs.folder(call.who.user.name)
    path = call.text("path")
    source = call.world.outputs.inside(call.who.user.name, path)
    if source is None or not source.is_file():
        raise ApplicationError("That file does not exist, cannot star.")
    starred = folder / "Starred" / path
    if starred.exists():
        starred.unlink()
        return {"new_state": False}
    starred.parent.mkdir(parents=True, exist_ok=True)
    starred.write_bytes(source.read_bytes())
    return {"new_state": True}


async def view(world: World, request: Request) -> Response:
    """GET /View/<user>/<path> and the legacy /Output/<path>."""
    if request.method != "GET":
        return Response(405, b"", {"allow": "GET"})
    if world.script.authorization_required:
        return _error(400, "unauthorized", "invalid or unauthorized")
    kind, _, rest = request.path.lstrip("/").partition("/")
    user, _, path = rest.partition("/") if kind.lower() == "view" else ("local", "", rest)
    if user not in world.users and not world.outputs.folder(user).is_dir():
        return _error(400, "invalid_user", "invalid or unauthorized")
    target = world.outputs.inside(user, path)
    if target is None or ".." in path:
        text = "Unacceptable path. If you are the server owner, check program console log."
        return _error(400, "bad_path", text)
    if not target.is_file():
        return _error(404, "file_not_found", "404, file not found.")
    if request.query.get("preview") == "true":
        return await _thumbnail(target, animated=request.query.get("noanim") != "true")
    return _faulty(world, _file(target, request.headers.get("range", "")))


def _faulty(world: World, response: Response) -> Response:
    """The scripted faults of downloads."""
    script = world.script
    if script.view_error_next:
        return text_response(script.view_error_next.pop(0), "<html><h1>Bad gateway</h1></html>", "text/html")
    if script.cut_downloads > 0 and isinstance(response.body, FilePart):
        script.cut_downloads -= 1
        return replace(response, body=replace(response.body, cut_at=response.body.length // 2))
    return response


def _error(status: int, error_id: str, text: str) -> Response:
    return json_response(status, {"error_id": error_id, "error": text})


async def _thumbnail(path: Path, *, animated: bool) -> Response:
    animated = animated and path.suffix in (".mp4", ".webm", ".mov")
    cache = path.with_suffix(".swarmpreview.webp" if animated else ".swarmpreview.jpg")
    if not cache.is_file():
        cache.write_bytes(await asyncio.to_thread(video.thumbnail, str(path), animated=animated))
    headers = {
        "content-type": "image/webp" if animated else "image/jpg",
        "cache-control": f"private, max-age={CACHE_S}",
    }
    return Response(200, cache.read_bytes(), headers)


def _file(path: Path, range_header: str) -> Response:
    size = path.stat().st_size
    mime = MIMES.get(path.suffix.lower(), "application/octet-stream")
    seconds = 2 if mime.startswith(("application/", "text/")) else CACHE_S
    headers = {"content-type": mime, "cache-control": f"private, max-age={seconds}", "accept-ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", range_header.strip())
    if not match or match.groups() == ("", ""):
        return Response(200, FilePart(path, 0, size), headers)
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size - 1, int(last)) if first and last else size - 1
    if start >= size or end < start:
        return Response(416, b"", {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {start}-{end}/{size}"
    return Response(206, FilePart(path, start, end - start + 1), headers)
