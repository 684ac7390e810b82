"""By what our files are known again: the exact file by its digest, a copy in another encoding by its looks.

Videos that were stored before there were fingerprints get theirs by `manage.py fingerprint`.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Q

from generation.models import Clip, Fingerprint, Status, VideoJob
from generation.services import looks as seen
from generation.services import media
from generation.services.stored_files import fetch

# Of 64 bits: what another size and another encoding of the same picture change.
NEAR = 8.0


@dataclass(frozen=True, slots=True)
class Alike:
    """A file of ours that looks like another; `distance` is 0 to NEAR bits."""

    fingerprint: Fingerprint
    distance: float


def remember(
    *,
    key: str,
    path: Path,
    sha256: str,
    job: VideoJob | None = None,
    clip: Clip | None = None,
    looks: Sequence[str] | None = None,
) -> Fingerprint:
    """Note by what the stored file `key` is known again; `looks` is worked out from `path` when it is not given.

    Safe to call twice. Without `looks` it decodes the file, so call it outside of a transaction.
    """
    found = looks_of(path) if looks is None else list(looks)
    values = {"sha256": sha256, "looks": found, "job": job, "clip": clip}
    return Fingerprint.objects.update_or_create(key=key, defaults=values)[0]


def looks_of(path: Path) -> list[str]:
    """Of an MP4, decoded in the limited process; [] for another file, which is then known by its digest alone."""
    try:
        return media.check_video(path).looks
    except media.NotAVideo:
        return []


def missing() -> list[VideoJob]:
    """Finished videos by which nothing is known again yet, the oldest first."""
    rows = VideoJob.objects.filter(status=Status.SUCCEEDED, fingerprints=None).exclude(video_key="")
    return list(rows.only("video_key").order_by("finished_at"))


def catch_up(jobs: Sequence[VideoJob]) -> Iterator[tuple[VideoJob, bool]]:
    """Read the files of `jobs` and remember them, one by one; False for one whose file is gone.

    Safe to break off and to run again; each video is fetched and decoded, about a second.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for job in jobs:
            try:
                fetch(job.video_key, path)
            except FileNotFoundError:
                yield job, False
                continue
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            remember(key=job.video_key, path=path, sha256=sha256, job=job)
            yield job, True


def similar(looks: Sequence[str], limit: int = 20) -> list[Alike]:
    """Files of ours that look like this, the nearest first. Reads all fingerprints: about a second per 100,000."""
    near: list[tuple[float, int]] = []
    if any(map(seen.is_telling, looks)):
        for pk, theirs in Fingerprint.objects.order_by().values_list("pk", "looks").iterator(chunk_size=2000):
            if (distance := seen.distance(looks, theirs)) <= NEAR:
                near.append((distance, pk))
    best = sorted(near)[:limit]
    rows = Fingerprint.objects.select_related("job__model", "clip").in_bulk([pk for _, pk in best])
    return [Alike(rows[pk], distance) for distance, pk in best if pk in rows]


def identical(*, job: VideoJob | None = None, clip: Clip | None = None, sha256: str = "") -> list[Fingerprint]:
    """The given file and all of ours that are the same: byte for byte, or in the looks of every frame."""
    about = Q(pk=None)
    if job:
        about |= Q(job=job)
    if clip:
        about |= Q(clip=clip)
    if sha256:
        about |= Q(sha256=sha256)
    mine = list(Fingerprint.objects.filter(about))
    same = Q(sha256__in=[row.sha256 for row in mine] + ([sha256] if sha256 else []))
    for row in mine:
        if seen.is_same(row.looks, row.looks):
            same |= Q(looks=row.looks)
    return list(Fingerprint.objects.filter(same))
