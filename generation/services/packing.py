"""Many videos as one ZIP file, written while it is sent: no more than a piece of one video is ever in memory."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.template.defaultfilters import filesizeformat
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from zipstream import ZIP_STORED, ZipStream

from generation.cells import Cell, plain
from generation.errors import NothingToPack, TooMuchToPack
from generation.library_queries import own
from generation.models import Status, VideoJob
from generation.services.stored_files import read_in_pieces

log = logging.getLogger(__name__)

MAX_VIDEOS = 200
MAX_BYTES = 4 * 1024**3
NAME_CHARS = 50

HEADER = [
    "file", "problem", "id", "prompt", "negative_prompt", "model", "width", "height", "frames", "fps", "steps",
    "cfg_scale", "seed", "cost_usd", "tags", "alt_text", "created_at",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Packed:
    """One video in the ZIP, under its name there."""

    job: VideoJob
    name: str


def choose(*, owner: User, ids: Sequence[UUID]) -> list[Packed]:
    """The finished videos among the owner's `ids`, named. Raises NothingToPack, TooMuchToPack."""
    if len(ids) > MAX_VIDEOS:
        text = ngettext(
            "At most %(most)d video goes into one ZIP. Select fewer.",
            "At most %(most)d videos go into one ZIP. Select fewer.",
            MAX_VIDEOS,
        )
        raise TooMuchToPack(text % {"most": MAX_VIDEOS})
    jobs = [job for job in own(owner, ids) if job.status == Status.SUCCEEDED and job.hidden_at is None]
    if not jobs:
        raise NothingToPack(_("None of these videos is finished, so there is nothing to pack."))
    size = sum(job.video_bytes or 0 for job in jobs)
    if size > MAX_BYTES:
        text = _("These videos have %(size)s together; a ZIP takes at most %(most)s. Select fewer.")
        raise TooMuchToPack(text % {"size": filesizeformat(size), "most": filesizeformat(MAX_BYTES)})
    return _named(jobs)


def _named(jobs: Sequence[VideoJob]) -> list[Packed]:
    taken: set[str] = set()
    packed = []
    for job in jobs:
        stem = f"{file_stem(job)}-{job.seed}"
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        packed.append(Packed(job, f"{name}.mp4"))
    return packed


def file_stem(job: VideoJob) -> str:
    """The first words of the prompt as every file system takes them."""
    return slugify(job.prompt)[:NAME_CHARS].strip("-") or "video"


def pieces(packed: Sequence[Packed]) -> Iterator[bytes]:
    """The ZIP's bytes. A video whose file has vanished, or breaks off, is noted in its table instead of breaking it."""
    # The whole size is not promised: a file that goes while others are sent would break the promise, and the download.
    archive, problems = ZipStream(compress_type=ZIP_STORED), dict[UUID, str]()
    for one in packed:
        archive.add(_video(one.job, problems), one.name, size=one.job.video_bytes)
        yield from archive.file()
    archive.add(_table(packed, problems), "videos.csv")
    yield from archive.finalize()


def _video(job: VideoJob, problems: dict[UUID, str]) -> Iterator[bytes]:
    sent = 0
    try:
        with read_in_pieces(job.video_key) as found:
            for piece in found:
                sent += len(piece)
                yield piece
    except Exception as exc:  # boto3 has no common root for "storage trouble", and the ZIP goes on without this one
        log.warning("%s is not whole in a ZIP (%s)", job.video_key, type(exc).__name__)
    if not sent:
        problems[job.pk] = _("The file is gone.")
    elif job.video_bytes and sent != job.video_bytes:
        problems[job.pk] = _("The file broke off while it was read; only its beginning is here.")


def _table(packed: Sequence[Packed], problems: dict[UUID, str]) -> bytes:
    """What made each video, for people, spreadsheets and programs."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(HEADER)
    for one in packed:
        row = one.job
        cells: list[Cell] = [
            one.name, problems.get(row.pk, ""), row.pk, row.prompt, row.negative_prompt, row.model.name, row.width,
            row.height, row.frames, row.fps, row.steps, row.cfg_scale, row.seed, row.cost_usd,
            ", ".join(tag.name for tag in row.tags.all()), row.alt_text, row.created_at,
        ]  # fmt: skip
        table.writerow([plain(cell) for cell in cells])
    # The mark in front tells spreadsheets that it is UTF-8.
    return text.getvalue().encode("utf-8-sig")
