"""From a queued clip to a finished file in our storage: claimed with a lease, made, signed, put, done."""

import hashlib
import logging
import shutil
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from generation.models import Clip, ClipPart, Provider
from generation.services import clip_making, clip_signing, fingerprints, media
from generation.services.clip_options import ending
from generation.services.stored_files import delete_keys, fetch, keys_of_clip, put
from i2v_site import queue
from i2v_site.crashpoints import crashpoint

log = logging.getLogger(__name__)

MAX_TRIES = 3
PAUSE = timedelta(seconds=30)
State = Clip.State
T = TypeVar("T")

GONE = gettext_noop("A video that this clip should be made of was deleted.")
MADE_IN_VAIN = gettext_noop("The clip could not be made. Ask for it again.")
# By the worker's code; its own sentences are not translated.
REASONS = {
    "too_long": gettext_noop("It would be longer than a clip may be."),
    "too_large": gettext_noop("It takes more time or memory than this server gives. Choose a shorter part."),
    "too_slow": gettext_noop("It takes more time or memory than this server gives. Choose a shorter part."),
    "bad_range": gettext_noop("The video has fewer frames than that."),
    "bad_rate": gettext_noop("The video has no usable frame rate."),
    "damaged": gettext_noop("A video that this clip should be made of cannot be read."),
}


class _LeaseLost(Exception):
    """The clip was deleted or taken over: stop quietly."""


@cache
def _pool() -> ThreadPoolExecutor:
    # Kept: the child that makes a clip dies together with the thread that started it.
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="clip")


@dataclass(slots=True)
class _Work:
    """One try. Slow parts run in a thread while the caller's renews the lease."""

    clip: Clip
    token: str
    folder: Path
    given_up: Event = field(default_factory=Event)

    @property
    def out(self) -> Path:
        return self.folder / f"clip{ending(self.clip.kind)}"

    @property
    def poster(self) -> Path:
        return self.folder / "poster.jpg"

    def held(self) -> QuerySet[Clip]:
        mine = Clip.objects.filter(pk=self.clip.pk, deleted_at=None, state=State.MAKING)
        return mine.filter(lease_token=self.token)

    def renew(self) -> None:
        if not self.held().update(lease_until=timezone.now() + _lease()):
            self.given_up.set()
            raise _LeaseLost

    def do(self, act: Callable[[], T]) -> T:
        """Run `act`, which must not touch the database, and hold the lease. Raises _LeaseLost and what `act` raises."""
        future: Future[T] = _pool().submit(act)
        try:
            while not wait([future], timeout=settings.LEASE_SECONDS / 4).done:
                self.renew()
            done = future.result()
            self.renew()
        finally:
            wait([future])  # what is being put must be there before it is decided to delete it
        return done


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def store_clip(*, clip_id: str) -> None:
    """Make one clip and keep it: it is done, fails, or stays due for another try.

    Safe to run twice, at once or late: the lease admits one, and every try has keys of its own.
    """
    clip = Clip.objects.filter(pk=clip_id, deleted_at=None).first()
    if clip is None or _too_many_at_once(clip):
        return
    token = _claim(clip)
    if token is None:
        return
    crashpoint("clip.claimed")
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="clip-", dir=settings.SPOOL_DIR))
    try:
        _try_to_make(_Work(clip, token, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _ring_for_the_next()


def due() -> Q:
    """Clips that wait, or whose worker stopped renewing."""
    return Q(state=State.QUEUED) | Q(state=State.MAKING, lease_until__lt=timezone.now())


def _too_many_at_once(clip: Clip) -> bool:
    """Minutes of work for clips must not keep every worker from storing videos; the end of one rings for the next."""
    making = Clip.objects.filter(state=State.MAKING, lease_until__gte=timezone.now()).exclude(pk=clip.pk)
    # Two claims at once can slip one over the limit: only a video is stored a little later.
    workers: Any = settings.Q_CLUSTER["workers"]
    return bool(making.count() >= max(1, workers - 1))


def _ring_for_the_next() -> None:
    waiting = Clip.objects.filter(state=State.QUEUED, deleted_at=None, tries=0).order_by("created_at")
    for pk in waiting.values_list("pk", flat=True)[:1]:
        with transaction.atomic():
            queue.ring("generation.tasks.make_clip", str(pk))


def _claim(clip: Clip) -> str | None:
    """A lease on the clip, counted as a try before the work: a clip that kills its worker must not do so for ever."""
    token = uuid.uuid4().hex
    free = Clip.objects.filter(due(), pk=clip.pk, deleted_at=None)
    if not free.update(
        state=State.MAKING, lease_token=token, lease_until=timezone.now() + _lease(), tries=F("tries") + 1
    ):
        return None
    clip.refresh_from_db()
    return token


def _try_to_make(work: _Work) -> None:
    if work.clip.tries > MAX_TRIES:
        _fail(work, "making_failed", MADE_IN_VAIN)
        return
    try:
        _make(work)
    except (_LeaseLost, clip_making.Abandoned):
        delete_keys(_keys(work))
    except FileNotFoundError:
        _fail(work, "source_gone", GONE)
    except media.NotAVideo as exc:
        _fail(work, exc.code, REASONS.get(exc.code, MADE_IN_VAIN))
    except Exception:
        # Full disk, storage or database away, a key that cannot sign: the videos are still there.
        log.exception("clip %s: making failed", work.clip.pk)
        _again(work)


def _make(work: _Work) -> None:
    parts = list(work.clip.parts.select_related("job__model"))
    if len(parts) < work.clip.options["parts"] or any(_is_gone(part) for part in parts):
        raise FileNotFoundError
    sources = work.do(partial(_fetched, work.folder, [part.job.video_key for part in parts]))
    pieces = [
        clip_making.Part(str(path), part.start_frame, part.end_frame) for path, part in zip(sources, parts, strict=True)
    ]
    making = partial(
        clip_making.make,
        *(work.clip.kind, pieces, work.clip.options),
        out=work.out,
        poster=work.poster,
        given_up=work.given_up,
    )
    made = work.do(making)
    if settings.PROVENANCE:
        work.do(partial(clip_signing.sign_clip, work.out, sources=sources, about=_about(work.clip, parts)))
    crashpoint("clip.made")
    _keep(work, made)
    crashpoint("clip.done")


def _is_gone(part: ClipPart) -> bool:
    return bool(part.job.deleted_at or part.job.hidden_at or not part.job.video_key)


def _fetched(folder: Path, keys: list[str]) -> list[Path]:
    paths = [folder / f"source-{number}.mp4" for number in range(len(keys))]
    for key, path in zip(keys, paths, strict=True):
        fetch(key, path)
    return paths


def _about(clip: Clip, parts: list[ClipPart]) -> clip_signing.About:
    models = {part.job.model.name: part.job.model.provider for part in parts}
    return clip_signing.About(
        kind=clip.kind,
        models=", ".join(models),
        generated=any(provider != Provider.PREVIEW for provider in models.values()),
    )


def _keep(work: _Work, made: clip_making.Made) -> None:
    size, sha256 = work.out.stat().st_size, _digest(work.out)
    key, poster_key = _keys(work)
    work.do(partial(put, key, work.out))
    work.do(partial(put, poster_key, work.poster))
    crashpoint("clip.put")
    with transaction.atomic():
        values = {"state": State.DONE, "key": key, "poster_key": poster_key, "bytes": size, "sha256": sha256}
        values |= {"width": made.width, "height": made.height, "frames": made.frames, "fps": made.fps}
        values |= {"options": work.clip.options | {"sound": made.sound, "sound_dropped": made.sound_dropped}}
        if not work.held().update(**values, **_released(), finished_at=timezone.now()):
            raise _LeaseLost
        fingerprints.remember(key=key, path=work.out, sha256=sha256, clip=work.clip, looks=made.looks)
    for number in range(1, work.clip.tries):
        delete_keys(keys_of_clip(work.clip.pk, number, ending(work.clip.kind)))  # what a killed worker left


def _keys(work: _Work) -> list[str]:
    return keys_of_clip(work.clip.pk, work.clip.tries, ending(work.clip.kind))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _released() -> dict[str, Any]:
    return {"lease_token": "", "lease_until": None}


def _again(work: _Work) -> None:
    """Stay due, after a pause: the sweep rings again."""
    delete_keys(_keys(work))
    if work.clip.tries >= MAX_TRIES:
        _fail(work, "making_failed", MADE_IN_VAIN)
    else:
        work.held().update(state=State.QUEUED, lease_token="", lease_until=timezone.now() + PAUSE)


def _fail(work: _Work, code: str, message: str) -> None:
    values = {"state": State.FAILED, "error_code": code[:40], "error_message": message}
    work.held().update(**values, **_released(), finished_at=timezone.now())
