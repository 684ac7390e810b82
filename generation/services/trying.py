"""A submit that is taken back: everything is checked as if it were meant, nothing is stored and nothing is spent."""

import binascii
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from generation.models import SourceImage, VideoJob
from generation.services.decoding import decoded, refused

Seen = TypeVar("Seen")


def try_out(submit: Callable[[], VideoJob], look: Callable[[VideoJob], Seen], unkept: SourceImage | None) -> Seen:
    """What `look` says of the job that `submit` makes, which is gone afterwards. Raises what `submit` raises.

    `unkept`: a picture from `picture_shape`, which gets a row for as long as the job has one.
    """
    with transaction.atomic():
        if unkept is not None:
            unkept.save(force_insert=True)
        seen = look(submit())
        # The caps were counted under their locks like in a real submit; the promise goes with the rest.
        transaction.set_rollback(True)
    return seen


def picture_shape(owner: User, picture: "UploadedFile[Any] | str") -> SourceImage:
    """A picture of a body, decoded like one that is kept, as a row that is not saved. Raises PictureRefused."""
    chunks = _data_url_bytes(picture) if isinstance(picture, str) else picture.chunks()
    with decoded(chunks) as found:
        return SourceImage(
            owner=owner,
            key=f"tried/{uuid.uuid4()}",
            sha256=uuid.uuid4().hex * 2,  # never equal to that of a kept one
            content_type=found.content_type,
            width=found.width,
            height=found.height,
            size_bytes=found.kept.stat().st_size,
        )


def _data_url_bytes(data_url: str) -> Iterator[bytes]:
    head, comma, content = data_url.partition(",")
    if not comma or len(head) > 64 or not head.lower().startswith("data:image/") or not head.endswith(";base64"):
        raise refused("bad_data_url")
    if len(content) // 4 * 3 > settings.PICTURE_MAX_BYTES + 3:
        raise refused("too_big")
    try:
        yield binascii.a2b_base64(content, strict_mode=True)
    except ValueError as exc:  # binascii.Error is one
        raise refused("bad_data_url") from exc
