"""What a file from outside is: judged by its content, decoded in a limited process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_lazy

from generation.errors import PictureRefused

HEAD_BYTES = 1024
# Each decoder may use PICTURE_DECODE_MB: more of them at once would press on the web process.
_SLOTS = threading.BoundedSemaphore(4)

_SENTENCES = {
    "empty": gettext_lazy("The file is empty."),
    "too_big": gettext_lazy("The file is too big: at most {megabytes} MB are taken."),
    "not_a_picture": gettext_lazy("This is not a picture: JPEG, PNG and WebP are taken."),
    "unsupported_type": gettext_lazy("{found} files are not taken: use JPEG, PNG or WebP."),
    "animated": gettext_lazy("Animated pictures are not taken: use a still one."),
    "damaged": gettext_lazy("The picture is damaged and cannot be opened."),
    "too_small": gettext_lazy("The picture is too small: both sides must have at least 64 pixels."),
    "too_large_dimensions": gettext_lazy(
        "The picture is too large: at most 8192 pixels a side and 40 megapixels in all are taken."
    ),
    "too_complex": gettext_lazy("Opening the picture takes too much memory."),
    "timeout": gettext_lazy("Opening the picture takes too long."),
    "bad_data_url": gettext_lazy("The picture must be a data URL like data:image/png;base64,iVBORw0…"),
}
_CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}

_STARTS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x1a\x45\xdf\xa3", "Video"),
    (b"PK\3\4", "ZIP"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"mif1": "HEIC", b"msf1": "HEIC"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A clean copy of a picture and its thumbnail, both encoded by us."""

    kept: Path
    thumbnail: Path
    content_type: str
    width: int
    height: int


def refused(code: str, *, found: str = "") -> PictureRefused:
    """The refusal with its sentence."""
    megabytes = settings.PICTURE_MAX_BYTES // (1024 * 1024)
    return PictureRefused(str(_SENTENCES[code]).format(found=found, megabytes=megabytes), code=code)


@contextmanager
def decoded(chunks: Iterable[bytes]) -> Iterator[Decoded]:
    """Spool `chunks` to disk and decode them; the files are gone after the block. Raises PictureRefused."""
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="intake-", dir=settings.SPOOL_DIR) as name:
        folder = Path(name)
        _spool(chunks, folder / "source")
        _check_type(folder / "source")
        yield _decode(folder)


def _spool(chunks: Iterable[bytes], path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > settings.PICTURE_MAX_BYTES:
                raise refused("too_big")
            file.write(chunk)
    if not size:
        raise refused("empty")


def _check_type(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    jpeg, png = head.startswith(b"\xff\xd8\xff"), head.startswith(b"\x89PNG\r\n\x1a\n")
    if jpeg or png or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return
    if found := _known_type(head):
        raise refused("unsupported_type", found=found)
    raise refused("not_a_picture")


def _known_type(head: bytes) -> str:
    """The name of a kind of file that people take for a picture; empty for anything else."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12]) or ("HEIC" if head[8:11] in (b"hei", b"hev") else "Video")
    if b"%PDF-" in head:
        return "PDF"
    return "SVG" if b"<svg" in head.lower() else ""


def _decode(folder: Path) -> Decoded:
    seconds = settings.PICTURE_DECODE_SECONDS
    command = [sys.executable, "-m", "generation.services.decode", str(folder / "source"), str(folder)]
    command += ["--memory-mb", str(settings.PICTURE_DECODE_MB), "--cpu-s", str(seconds)]
    # No secrets in its environment; what remains is what the interpreter may need to start.
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        with _SLOTS:
            ended = subprocess.run(
                command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
    except subprocess.TimeoutExpired as exc:
        raise refused("timeout") from exc
    if ended.returncode:
        # Killed by a limit, or out of memory where Python could not say so.
        raise refused("timeout" if ended.returncode < 0 else "too_complex")
    return _answer(ended.stdout, folder)


def _answer(line: bytes, folder: Path) -> Decoded:
    # A decoder that was broken into could say anything: only known words and numbers pass.
    answer = json.loads(line)
    if "refused" in answer:
        raise refused(answer["refused"])
    return Decoded(
        kept=folder / "kept",
        thumbnail=folder / "thumbnail",
        content_type=_CONTENT_TYPES[answer["format"]],
        width=int(answer["width"]),
        height=int(answer["height"]),
    )
