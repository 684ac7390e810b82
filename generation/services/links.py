"""Short-lived addresses of private files: make one after the ownership check, for one answer, and do not keep it."""

import math
import time
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.http import content_disposition_header

_SALT = "generation.links"
# Links made within the same minute are the same, so that a list that is drawn again does not load its pictures again.
_STEP_S = 60
# The type that a browser is told is ours alone; anything else would be only downloaded.
_TYPES = {
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}


class LinkExpired(Exception):
    """It was a good link; the page that holds it must be loaded again."""


class LinkBroken(Exception):
    """Nothing that we signed."""


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """What a link stands for."""

    key: str
    content_type: str
    download_name: str
    for_staff: bool = False  # opens what is hidden from everybody else


def link(key: str, *, download_name: str = "", content_type: str = "", for_staff: bool = False) -> str:
    """An address of the stored file `key` that works for about settings.FILE_LINK_SECONDS without signing in.

    With `download_name` a browser saves the file under that name, without it shows it. The content type follows from
    the key's ending. `for_staff`: it opens a hidden file too. S3: a presigned address there; local folder: a path on
    this site. "" for an empty key.
    """
    if not key:
        return ""
    kind = content_type or type_of(key)
    if isinstance(default_storage, FileSystemStorage):
        return f"/files/{_token(key, kind, download_name, for_staff)}"
    answer = {"ResponseContentType": kind, "ResponseContentDisposition": disposition(download_name)}
    address: str = default_storage.url(key, parameters=answer, expire=settings.FILE_LINK_SECONDS)  # type: ignore[call-arg]  # S3Storage's own arguments
    return address


def type_of(key: str) -> str:
    ending = key[key.rfind(".") :].lower()
    return _TYPES.get(ending, "application/octet-stream")


def disposition(download_name: str) -> str:
    """The Content-Disposition header; names outside of ASCII go in the form of RFC 5987."""
    clean = "".join(char for char in download_name if char.isprintable() and char not in '/\\"')[:120]
    return content_disposition_header(bool(clean), clean) or "inline"


def opened(token: str) -> LinkedFile:
    """What the token of a local link stands for. Raises LinkBroken, LinkExpired."""
    try:
        key, kind, name, expires, *staff = signing.Signer(salt=_SALT).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as exc:
        raise LinkBroken from exc
    if time.time() > expires:
        raise LinkExpired
    return LinkedFile(key, kind, name, bool(staff))


def _token(key: str, kind: str, name: str, for_staff: bool) -> str:
    now_step = math.floor(time.time() / _STEP_S) * _STEP_S
    return signing.Signer(salt=_SALT).sign_object(
        [key, kind, name, now_step + settings.FILE_LINK_SECONDS, *([1] if for_staff else [])]
    )
