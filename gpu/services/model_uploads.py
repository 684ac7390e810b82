"""Model files on their way into the bucket: many gigabytes, in parts, gone on with after any interruption."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError
from django.conf import settings

from gpu.errors import BadModelFile
from gpu.models import ModelFile
from gpu.services import model_files

# 10,000 parts are the most that S3 takes: files of up to 640 GB.
PART_BYTES = 64 * 1024 * 1024
PARTS_AT_ONCE = 4
READ_BYTES = 1024 * 1024
_GONE = ("404", "NoSuchKey", "NoSuchUpload", "NotFound")

Advance = Callable[[int], None]  # told how many more bytes are done; called from several threads


@dataclass(frozen=True, slots=True)
class _Started:
    """What an interrupted upload left behind, next to our data. It is good for exactly one content of one file."""

    size: int
    mtime_ns: int
    sha256: str
    upload_id: str = ""
    part_bytes: int = 0


def checksum(path: Path, *, advance: Advance = lambda _: None) -> str:
    """The file's SHA-256, remembered for as long as the file does not change."""
    with suppress(OSError, ValueError, TypeError):
        known = _Started(**json.loads(_note(path).read_text()))
        if (known.size, known.mtime_ns) == _identity(path):
            advance(known.size)
            return known.sha256
    with path.open("rb") as file:
        found = _hash(iter(lambda: file.read(READ_BYTES), b""), advance)
    size, mtime_ns = _identity(path)
    _remember(path, _Started(size, mtime_ns, found))
    return found


def is_there(row: ModelFile, *, size_bytes: int, sha256: str) -> bool:
    """Whether the bucket holds exactly this content under the row's key."""
    client, bucket = model_files.bucket_client()
    try:
        head = client.head_object(Bucket=bucket, Key=row.r2_key)
    except ClientError as exc:
        if _code(exc) in _GONE:
            return False
        raise
    # Some servers give the names of metadata back with a capital letter.
    told = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
    return bool(head["ContentLength"] == size_bytes and told.get("sha256") == sha256)


def upload(row: ModelFile, path: Path, *, advance: Advance = lambda _: None, part_bytes: int = PART_BYTES) -> ModelFile:
    """Put the file into the bucket and register it; goes on with an upload of the same content that was interrupted.

    `advance` counts bytes that need not be sent (any more) too. Raises BadModelFile when the file changes meanwhile,
    botocore's errors when the bucket does not answer.
    """
    before = _identity(path)
    size, sha256 = before[0], checksum(path)
    if is_there(row, size_bytes=size, sha256=sha256):
        advance(size)
    elif size <= part_bytes:
        _put_whole(row, path, sha256)
        advance(size)
    else:
        _put_in_parts(row, path, sha256, advance, part_bytes)
    if _identity(path) != before:
        raise BadModelFile(f"{path} has changed while it was uploaded.")
    _note(path).unlink(missing_ok=True)
    return model_files.register(row, size_bytes=size, sha256=sha256)


def verify(row: ModelFile, *, advance: Advance = lambda _: None) -> bool:
    """Read the object back, whole, and compare its SHA-256 with the row's."""
    client, bucket = model_files.bucket_client()
    try:
        body = client.get_object(Bucket=bucket, Key=row.r2_key)["Body"]
    except ClientError as exc:
        if _code(exc) in _GONE:
            return False
        raise
    return _hash(body.iter_chunks(READ_BYTES), advance) == row.sha256


def _put_whole(row: ModelFile, path: Path, sha256: str) -> None:
    client, bucket = model_files.bucket_client()
    with path.open("rb") as file:
        client.put_object(Bucket=bucket, Key=row.r2_key, Body=file, Metadata={"sha256": sha256})


def _put_in_parts(row: ModelFile, path: Path, sha256: str, advance: Advance, part_bytes: int) -> None:
    client, bucket = model_files.bucket_client()
    target = {"Bucket": bucket, "Key": row.r2_key}
    target["UploadId"] = _started_upload(client, target, path, sha256, part_bytes)
    size = path.stat().st_size
    # R2 insists on equal parts, the last one excepted.
    wanted = {number: (at, min(part_bytes, size - at)) for number, at in enumerate(range(0, size, part_bytes), 1)}
    etags = {n: etag for n, (held, etag) in _held(client, target).items() if n in wanted and wanted[n][1] == held}
    advance(sum(wanted[number][1] for number in etags))

    def send(number: int) -> None:
        at, length = wanted[number]
        with path.open("rb") as file:
            answer = client.upload_part(**target, PartNumber=number, Body=_Slice(file, at, length))
        etags[number] = answer["ETag"]
        advance(length)

    _all_of(send, [number for number in wanted if number not in etags])
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})


def _all_of(send: Callable[[int], None], numbers: list[int]) -> None:
    """A few at once; the first failure, or Ctrl-C, lets what is under way end and begins nothing more."""
    pool = ThreadPoolExecutor(PARTS_AT_ONCE)
    try:
        done, _ = wait([pool.submit(send, number) for number in numbers], return_when=FIRST_EXCEPTION)
        for one in done:
            one.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _started_upload(client: Any, target: dict[str, str], path: Path, sha256: str, part_bytes: int) -> str:
    """The id of an upload of exactly this content: the interrupted one, or a new one."""
    with suppress(OSError, ValueError, TypeError):
        known = _Started(**json.loads(_note(path).read_text()))
        same = (known.sha256, known.part_bytes) == (sha256, part_bytes)
        if known.upload_id and same and _exists(client, {**target, "UploadId": known.upload_id}):
            return known.upload_id
    made: str = client.create_multipart_upload(**target, Metadata={"sha256": sha256})["UploadId"]
    _remember(path, _Started(*_identity(path), sha256, made, part_bytes))
    return made


def _exists(client: Any, target: dict[str, str]) -> bool:
    try:
        client.list_parts(**target, MaxParts=1)
    except ClientError as exc:
        if _code(exc) in _GONE:
            return False
        raise
    return True


def _held(client: Any, target: dict[str, str]) -> dict[int, tuple[int, str]]:
    """The parts that the bucket has already: size and ETag by number."""
    pages = client.get_paginator("list_parts").paginate(**target)
    return {part["PartNumber"]: (part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", [])}


class _Slice(io.RawIOBase):
    """A stretch of a file as a file of its own, so that no part is ever held in memory."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length, self._at = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._at)
        self._file.seek(self._start + self._at)
        piece = self._file.read(left if size is None or size < 0 else min(size, left))
        self._at += len(piece)
        return piece


def _hash(pieces: Iterator[bytes], advance: Advance) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        advance(len(piece))
    return found.hexdigest()


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _note(path: Path) -> Path:
    return settings.DATA_DIR / "uploads" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"


def _remember(path: Path, started: _Started) -> None:
    note = _note(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    part = note.with_suffix(".part")
    part.write_text(json.dumps(asdict(started)))
    part.replace(note)


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))
