"""Files without a row: of uploads that were never committed, of workers that were killed."""

import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from generation.models import TERMINAL, Attempt, Clip, SourceImage, VideoJob
from generation.services.stored_files import delete_keys, stored

_BATCH = 300


def sweep_orphans() -> int:
    """Delete our files that are older than settings.UPLOAD_ORPHAN_HOURS and that no row speaks of; how many."""
    before = timezone.now() - timedelta(hours=settings.UPLOAD_ORPHAN_HOURS)
    count = 0
    for prefix, wanted in (
        ("in", _wanted_pictures),
        ("out", _wanted_outputs),
        ("spool", _wanted_spooled),
        ("clip", _wanted_clips),
    ):
        old = (key for key, written in stored(prefix) if written < before)
        for keys in _batches(old):
            orphans = set(keys) - wanted(keys)
            delete_keys(orphans)
            count += len(orphans)
    return count + _sweep_spool_folder(before)


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    source = iter(keys)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _wanted_pictures(keys: list[str]) -> set[str]:
    rows = SourceImage.objects.filter(Q(key__in=keys) | Q(thumbnail_key__in=keys))
    return {key for row in rows.values_list("key", "thumbnail_key") for key in row}


def _wanted_outputs(keys: list[str]) -> set[str]:
    """Files of finished jobs; and all of an unfinished one, whose row names them only at its end."""
    jobs = VideoJob.objects.in_bulk(list(set(filter(None, (_uuid(key.split("/")[1]) for key in keys)))))
    named = {key for job in jobs.values() for key in (job.video_key, job.poster_key, job.loop_key)}
    unfinished = {str(pk) for pk, job in jobs.items() if job.status not in TERMINAL}
    return named | {key for key in keys if key.split("/")[1] in unfinished}


def _wanted_spooled(keys: list[str]) -> set[str]:
    ids = {pk: key for key in keys if (pk := _uuid(Path(key).stem))}
    return {ids[pk] for pk in Attempt.objects.filter(pk__in=ids, ended_at=None).values_list("pk", flat=True)}


def _wanted_clips(keys: list[str]) -> set[str]:
    """Files of clips that are done; and all of one that is made, whose row names them only at its end."""
    ids = set(filter(None, (_uuid(key.split("/")[1]) for key in keys)))
    clips = Clip.objects.filter(pk__in=ids).in_bulk()
    named = {key for clip in clips.values() for key in (clip.key, clip.poster_key)}
    unfinished = {str(pk) for pk, clip in clips.items() if clip.state in (Clip.State.QUEUED, Clip.State.MAKING)}
    return named | {key for key in keys if key.split("/")[1] in unfinished}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _sweep_spool_folder(before: datetime) -> int:
    """What killed processes of this host left where files rest on their way."""
    if not settings.SPOOL_DIR.is_dir():
        return 0
    left = [path for path in settings.SPOOL_DIR.iterdir() if path.lstat().st_mtime < before.timestamp()]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)
