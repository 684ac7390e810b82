"""Files on the simulated CDN, and pictures that requests point at. Nothing outside this computer is fetched."""

import asyncio
import base64
import binascii
import io
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from PIL import Image

MAX_PICTURE = 50 * 1024 * 1024
ANIMALS = ("zebra", "panda", "koala", "rabbit", "tiger", "lion", "monkey", "penguin")


class NoPictureError(Exception):
    """It cannot be had."""


@dataclass(kw_only=True)
class Stored:
    """`fails` is left to be answered with 404; `cut` breaks the download in the middle."""

    path: Path
    content_type: str
    expires_at: float | None
    fails: int = 0
    cut: bool = False
    reads: int = 0
    parts: dict[int, bytes] = field(default_factory=dict)  # of an upload in pieces


class Shelf:
    """Files by their path on the media host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, Stored] = {}

    def new_path(self, name: str) -> str:
        plain = "".join(sign for sign in Path(name).name if sign.isalnum() or sign in "._-") or "file"
        return f"/files/{secrets.choice(ANIMALS)}/{secrets.token_urlsafe(16)}_{plain}"

    def put(self, path: str, data: bytes, *, content_type: str, expires_at: float | None = None) -> Stored:
        on_disk = self._folder / secrets.token_hex(16)
        on_disk.write_bytes(data)
        stored = self.files[path] = Stored(path=on_disk, content_type=content_type, expires_at=expires_at)
        return stored

    def read(self, url: str) -> bytes | None:
        """The bytes of one of our own files."""
        stored = self.files.get(urlsplit(url).path)
        return stored.path.read_bytes() if stored else None


async def picture(shelf: Shelf, url: str) -> bytes:
    """The bytes behind `image_url`: a data URI, one of our files, or something on this computer."""
    if url.startswith("data:"):
        return _from_data(url)
    own = shelf.read(url)
    if own is not None:
        return own
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        raise NoPictureError(url)
    try:
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10) as client:
            answer = (await client.get(url)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise NoPictureError(url) from exc
    return answer.content


def _from_data(url: str) -> bytes:
    head, _, text = url.partition(",")
    try:
        data = base64.b64decode(text, validate=True) if head.endswith(";base64") else b""
    except (ValueError, binascii.Error):
        data = b""
    if not data or len(data) > MAX_PICTURE:
        raise NoPictureError("data URI")
    return data


async def ratio_of(data: bytes) -> float:
    """Width by height. Raises NoPictureError for what is no picture."""

    def measure() -> float:
        with Image.open(io.BytesIO(data)) as image:
            return image.width / image.height

    try:
        return await asyncio.to_thread(measure)
    except (OSError, ValueError, SyntaxError) as exc:
        raise NoPictureError("not a picture") from exc
