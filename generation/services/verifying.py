"""What we know of a file that anybody may hand in: its content credentials, and whether it was made here.

Nothing personal is told and nothing is kept. All decoding happens in the limited processes.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from generation.errors import FileRefused, PictureRefused
from generation.models import Blocked, Fingerprint, Provider
from generation.services import decoding, fingerprints, media, provenance
from generation.services import looks as seen

ALIKE_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Made:
    """A file of ours, without a word of whose it is."""

    on: date
    by_ai: bool
    is_clip: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is told about one file."""

    sha256: str
    media: str  # "video" or "picture"
    marks: provenance.Marks | None  # None: they could not be read
    made: Made | None = None  # this very file
    alike: list[Made] = field(default_factory=list)  # files of ours that look like it
    taken_down: bool = False

    @property
    def says_ai(self) -> bool:
        return bool(self.marks and self.marks.source_type == provenance.GENERATED)

    @property
    def knows_nothing(self) -> bool:
        return not (self.made or self.alike or self.taken_down or (self.marks and self.marks.present))


def look_at(chunks: Iterable[bytes]) -> Told:
    """Look at a video (MP4) or a picture (JPEG, PNG, WebP) of at most CHECK_MAX_BYTES. Raises FileRefused."""
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="check-", dir=settings.SPOOL_DIR) as name:
        path = Path(name) / "given"
        sha256 = _spooled(chunks, path)
        with path.open("rb") as file:
            head = file.read(16)
        return _video(path, sha256) if head[4:8] == b"ftyp" else _picture(path, sha256, head)


def _spooled(chunks: Iterable[bytes], path: Path) -> str:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > settings.CHECK_MAX_BYTES:
                megabytes = settings.CHECK_MAX_BYTES // 1024**2
                raise FileRefused(_("The file is too big: at most %d MB are looked at.") % megabytes, code="too_big")
            digest.update(chunk)
            file.write(chunk)
    if not size:
        raise FileRefused(_("The file is empty."), code="empty")
    return digest.hexdigest()


def _video(path: Path, sha256: str) -> Told:
    try:
        looks = media.check_video(path).looks
    except media.NotAVideo:
        looks = []  # damaged, too long, or another codec: its marks and its digest can still tell something
    except media.MediaTrouble as exc:
        raise FileRefused(_("The file could not be looked at. Try again."), code="busy") from exc
    return _told(path, sha256, "video", looks, "video/mp4")


def _picture(path: Path, sha256: str, head: bytes) -> Told:
    kinds = (
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG", "image/png"),
        (b"RIFF", "image/webp"),
        (b"GIF8", "image/gif"),
    )
    media_type = next((kind for start, kind in kinds if head.startswith(start)), "")
    if not media_type:
        raise FileRefused(_("This is neither an MP4 video nor a JPEG, PNG or WebP picture."), code="unsupported_type")
    return _told(path, sha256, "picture", _looks_of_picture(path), media_type)


def _looks_of_picture(path: Path) -> list[str]:
    from PIL import Image

    try:
        with (
            path.open("rb") as file,
            decoding.decoded(iter(lambda: file.read(65536), b"")) as picture,
            Image.open(picture.thumbnail) as image,  # our own, encoded in the limited process
        ):
            return [seen.look_of_image(image)]
    except PictureRefused:
        return []


def _told(path: Path, sha256: str, kind: str, looks: list[str], media_type: str) -> Told:
    try:
        marks = provenance.verify(path, media_type=media_type)
    except provenance.SigningFailed:
        marks = None
    mine = Fingerprint.objects.select_related("job__model", "clip").filter(sha256=sha256).first()
    alike = [one.fingerprint for one in fingerprints.similar(looks, ALIKE_SHOWN) if one.fingerprint.sha256 != sha256]
    return Told(
        sha256=sha256,
        media=kind,
        marks=marks,
        made=_made(mine) if mine else None,
        alike=[_made(row) for row in alike],
        taken_down=Blocked.objects.filter(sha256=sha256).exists(),
    )


def _made(row: Fingerprint) -> Made:
    if row.job is not None:
        by_ai = row.job.model.provider != Provider.PREVIEW
    else:
        parts = row.clip.parts.all() if row.clip else []
        by_ai = any(part.job.model.provider != Provider.PREVIEW for part in parts)
    return Made(on=row.created_at.date(), by_ai=by_ai, is_clip=row.clip_id is not None)
