"""Our keys in the file storage, local folder or S3: put, read, list, delete; never a whole file in memory."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024


class _MovableFile(File):  # type: ignore[type-arg]  # File is generic only in its stubs
    """A file that the local storage may rename into place, so that a reader never sees half of it."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


def keys_of_attempt(job_id: UUID, attempt_id: UUID) -> list[str]:
    """Where video, poster and loop of an attempt are kept."""
    return [f"out/{job_id}/{attempt_id}{ending}" for ending in (".mp4", ".poster.jpg", ".loop.mp4")]


def keys_of_clip(clip_id: UUID, number: int, ending: str) -> list[str]:
    """Where the file and the poster of a clip's try are kept; no try writes over another one's."""
    return [f"clip/{clip_id}/{number}{ending}", f"clip/{clip_id}/{number}.poster.jpg"]


def spool_key(attempt_id: UUID) -> str:
    """Where a dispatcher leaves what it rendered itself."""
    return f"spool/{attempt_id}.mp4"


def put(key: str, path: Path) -> None:
    """Make `key` hold what `path` holds; a file that is there already with the same content stays as it is.

    The local storage takes `path` away.
    """
    if default_storage.exists(key):
        if default_storage.size(key) == path.stat().st_size and _digest(key) == _digest_of(path):
            return
        default_storage.delete(key)
    with path.open("rb") as file:
        saved = default_storage.save(key, _MovableFile(file, path))
    if saved != key:
        default_storage.delete(saved)
        raise OSError(f"{key} was written by somebody else at the same moment")


@contextmanager
def read_in_pieces(key: str) -> Iterator[Iterator[bytes]]:
    """The file's bytes. Raises FileNotFoundError."""
    with default_storage.open(key) as file:
        yield iter(lambda: file.read(PIECE_BYTES), b"")


def fetch(key: str, path: Path) -> None:
    """Copy a stored file to `path`. Raises FileNotFoundError."""
    with read_in_pieces(key) as pieces, path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def delete_keys(keys: Iterable[str]) -> None:
    """Delete what is there of `keys`; trouble is left to the sweep for files without a row."""
    for key in keys:
        try:
            default_storage.delete(key)
        except Exception as exc:  # boto3 has no common root for "storage trouble"
            log.warning("%s was not deleted (%s)", key, type(exc).__name__)


def stored(prefix: str) -> Iterator[tuple[str, datetime]]:
    """Every key below the folder `prefix`, and when it was written."""
    if isinstance(default_storage, FileSystemStorage):
        yield from _local(default_storage, prefix)
        return
    bucket: Any = default_storage.bucket  # type: ignore[attr-defined]  # S3Storage's own
    for item in bucket.objects.filter(Prefix=f"{prefix}/"):
        yield item.key, item.last_modified


def _local(storage: FileSystemStorage, prefix: str) -> Iterator[tuple[str, datetime]]:
    root = Path(storage.path(""))
    for folder, _, names in os.walk(root / prefix):
        for name in names:
            path = Path(folder) / name
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                continue  # deleted while we looked
            yield path.relative_to(root).as_posix(), written


def _digest(key: str) -> str:
    digest = hashlib.sha256()
    with read_in_pieces(key) as pieces:
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
