"""People's pictures: taken in, kept once, cut to shape, deleted. Only our own clean copy of a picture leaves here."""

import binascii
import hashlib
import logging
import re
import time
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import PictureInUse, PictureRefused
from generation.models import SourceImage, Status, VideoJob
from generation.services import checks, jobs, reports, rights, settling
from generation.services.cropping import crop_box, cropped_png
from generation.services.decoding import Decoded, decoded, refused
from generation.services.picture_urls import PictureUnreachable, check_image_url, download

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "check_image_url",
    "crop_box",
    "cropped_png",
    "delete_picture",
    "fetch_job_picture",
    "store_data_url",
    "store_picture",
]

CHUNK_BYTES = 64 * 1024
NAME_MAX_CHARS = 120
FETCH_SECONDS = 20.0
FETCH_PAUSES_S = (0.5, 2.0)

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)

logger = logging.getLogger(__name__)


def store_picture(*, owner: "User", file: "BinaryIO | UploadedFile[Any]", name: str = "") -> SourceImage:
    """Keep a person's picture; the row they have already when it is the same picture.

    JPEG, PNG and WebP by content; declared types and extensions mean nothing. `name` is only ever shown as text; by
    default it is the file's own. Raises PictureRefused.
    """
    given = name or getattr(file, "name", "") or ""
    return _keep(owner, iter(partial(file.read, CHUNK_BYTES), b""), str(given))


def store_data_url(*, owner: "User", data_url: str, name: str = "") -> SourceImage:
    """store_picture for `data:image/...;base64,...`. Raises PictureRefused."""
    prefix = _DATA_URL.match(data_url, 0, 64)
    if prefix is None:
        raise refused("bad_data_url")
    return _keep(owner, _base64_chunks(data_url, prefix.end()), name)


def fetch_job_picture(*, job_id: str) -> None:
    """Fetch the picture of a queued job from its address, or fail the job with the reason.

    Safe to deliver twice and at once: the first to change the row wins, and the same picture is kept once.
    """
    waiting = VideoJob.objects.filter(pk=job_id, status=Status.QUEUED, image=None).exclude(image_url="")
    job = waiting.select_related("owner").first()
    if job is None:
        return
    try:
        image = _fetch(job.owner, job.image_url)
    except PictureRefused as exc:
        why = {"error_code": exc.code, "error_message": exc.message}
        settling.end(waiting, jobs.ended(Status.FAILED) | why)
    else:
        # The dispatcher set a time to ring again; with the picture here the job may start at once.
        waiting.update(image=image, message="", next_attempt_at=None, updated_at=timezone.now())
        job.image = image
        rights.note_on_pictures(job)


def delete_picture(*, image: SourceImage) -> None:
    """Remove a picture and its files. Raises PictureInUse while an unfinished job needs it."""
    with transaction.atomic():
        # The lock makes a job that is being submitted with this picture wait, and then find it gone.
        row = SourceImage.objects.select_for_update().filter(pk=image.pk).first()
        if row is None:
            return
        if VideoJob.objects.unfinished().filter(Q(image=row) | Q(end_image=row)).exists():
            raise PictureInUse(_("A video is being made of this picture. Cancel it first, or wait until it is done."))
        row.delete()
        transaction.on_commit(partial(_drop, row.key, row.thumbnail_key))


def _fetch(owner: "User", url: str) -> SourceImage:
    deadline = time.monotonic() + FETCH_SECONDS
    name = url.partition("?")[0]
    for pause in (*FETCH_PAUSES_S, FETCH_SECONDS):
        left = deadline - time.monotonic()
        try:
            return _keep(owner, download(url, total_timeout_s=left), name)
        except PictureUnreachable:
            if time.monotonic() + pause >= deadline:
                break
        time.sleep(pause)
    raise PictureRefused(_("The picture's server did not send it."), code="unreachable", field="image_url")


def _keep(owner: "User", chunks: Iterable[bytes], name: str) -> SourceImage:
    with decoded(chunks) as picture:
        sha256 = _sha256(picture.kept)
        same = SourceImage.objects.filter(owner=owner, sha256=sha256)
        if kept := same.first():
            return kept
        verdict = checks.check_picture(person=owner, path=picture.kept, sha256=sha256)
        image = _create(owner, picture, sha256, _plain_name(name))
    reports.ask_for_a_look(verdict, image=image)
    return image


def _create(owner: "User", picture: Decoded, sha256: str, name: str) -> SourceImage:
    image_id, ending = uuid.uuid4(), picture.content_type.removeprefix("image/")
    key = _upload(picture.kept, f"in/{image_id}/{uuid.uuid4().hex}.{ending}")
    thumbnail_key = ""
    values: dict[str, Any] = {"key": key, "sha256": sha256, "content_type": picture.content_type, "name": name}
    values |= {"width": picture.width, "height": picture.height, "size_bytes": picture.kept.stat().st_size}
    try:
        thumbnail_key = _upload(picture.thumbnail, f"in/{image_id}/{uuid.uuid4().hex}.jpeg")
        with transaction.atomic():
            return SourceImage.objects.create(id=image_id, owner=owner, thumbnail_key=thumbnail_key, **values)
    except IntegrityError:
        # The same picture came twice at once, and the other was first.
        _drop(key, thumbnail_key)
        return SourceImage.objects.get(owner=owner, sha256=sha256)
    except BaseException:
        _drop(key, thumbnail_key)
        raise


def _upload(path: Path, key: str) -> str:
    with path.open("rb") as file:
        return default_storage.save(key, File(file))


def _drop(*keys: str) -> None:
    for key in filter(None, keys):
        try:
            default_storage.delete(key)
        except Exception:  # any storage's own error; the sweep of files without a row finds what remains
            logger.warning("A picture's file could not be deleted and is left to the sweep.")


def _base64_chunks(data_url: str, start: int) -> Iterator[bytes]:
    # Decoded slice by slice: the text is in memory already, and a second copy of it is enough.
    if (len(data_url) - start) // 4 * 3 > settings.PICTURE_MAX_BYTES + 3:
        raise refused("too_big")
    for at in range(start, len(data_url), CHUNK_BYTES):
        part = data_url[at : at + CHUNK_BYTES]
        last = at + CHUNK_BYTES >= len(data_url)
        try:
            if "=" in part and not last:
                raise refused("bad_data_url")
            yield binascii.a2b_base64(part, strict_mode=True)
        except ValueError as exc:  # binascii.Error is one
            raise refused("bad_data_url") from exc


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain_name(name: str) -> str:
    """The last part of a path, without control characters and those that turn the direction of text."""
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join(
        " " if char.isspace() else char for char in last if char.isspace() or unicodedata.category(char)[0] != "C"
    )
    return " ".join(visible.split())[:NAME_MAX_CHARS]
