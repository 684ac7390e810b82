"""From a result at the engine to a finished video in our storage."""

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from generation import providers
from generation.engines.base import EngineError, EngineRefused
from generation.errors import OutputBlocked
from generation.models import TERMINAL, Attempt, Status, VideoJob
from generation.services import (
    checks,
    claims,
    fingerprints,
    jobs,
    labels,
    media,
    provenance,
    reports,
    settling,
    shares,
)
from generation.services.drift import drift_of
from generation.services.estimate import reference_seconds
from generation.services.history import busy_seconds
from generation.services.orphans import sweep_orphans
from generation.services.stored_files import delete_keys, keys_of_attempt, put, read_in_pieces, spool_key
from gpu.services import usage
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

__all__ = ["store", "sweep_orphans"]

log = logging.getLogger(__name__)

MAX_TRIES = 6
# A video that looks damaged is fetched once more: a proxy may have cut it off without saying so.
TRIES_FOR_A_GOOD_VIDEO = 2
MAX_PAUSE_S = 600
# Nothing that is fetched again gets better.
UNUSABLE = Sentence(gettext_noop("The engine's result cannot be used: %(why)s"))
NOT_STORED = Sentence(gettext_noop("The finished video could not be stored: %(why)s."))
HOPELESS = ("result_too_large", "result_type", "not_saved")

T = TypeVar("T")


class _LeaseLost(Exception):
    """The job was cancelled, deleted or taken over: stop quietly."""


class _TooLarge(EngineRefused):
    code = "result_too_large"


@cache
def _pool() -> ThreadPoolExecutor:
    # Kept from job to job: S3 connections belong to their thread, and a new one costs a second of CPU.
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="store")


@dataclass(slots=True)
class _Work:
    """One try to store an attempt's result. Slow parts run in a thread while the caller's renews the lease."""

    attempt: Attempt
    token: str
    folder: Path
    given_up: Event = field(default_factory=Event)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def video(self) -> Path:
        return self.folder / "video.mp4"

    def held(self) -> Any:
        mine = VideoJob.objects.filter(pk=self.attempt.job_id, deleted_at=None, status=Status.STORING)
        return mine.held_with(self.token)

    def renew(self) -> None:
        if not self.held().update(lease_until=timezone.now() + claims.lease()):
            self.given_up.set()
            raise _LeaseLost

    def do(self, name: str, act: Callable[[], T]) -> T:
        """Run `act`, which must not touch the database, and hold the lease. Raises _LeaseLost and what `act` raises."""
        started = time.monotonic()
        future: Future[T] = _pool().submit(act)
        try:
            while not wait([future], timeout=settings.LEASE_SECONDS / 4).done:
                self.renew()
            done = future.result()
            self.renew()
        finally:
            wait([future])  # what is being put must be there before anybody decides to delete it
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)
        return done


@dataclass(frozen=True, slots=True)
class _Fetched:
    bytes: int
    sha256: str


def store(*, attempt_id: str) -> None:
    """Fetch one finished video and keep it; the job succeeds, fails, or stays due for another try.

    Safe to run twice, at once or late: the lease admits one, and the video's key is fixed by the attempt.
    """
    open_ones = Attempt.objects.select_related("job__model").filter(ended_at=None, job__status=Status.STORING)
    attempt = open_ones.filter(pk=attempt_id).first()
    if attempt is None:
        return  # stored already, or cancelled while it waited
    token = attempt.job.claim(owner=f"store:{os.getpid()}", lease=claims.lease())
    if token is None:
        return
    crashpoint("store.claimed")
    # Counted before the work: a result that kills its worker must not do so for ever.
    Attempt.objects.filter(pk=attempt.pk).update(store_tries=F("store_tries") + 1)
    attempt.refresh_from_db(fields=["store_tries"])
    with _workplace(attempt, token) as work:
        _try_to_store(work)


@contextmanager
def _workplace(attempt: Attempt, token: str) -> Iterator[_Work]:
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=settings.SPOOL_DIR))
    try:
        yield _Work(attempt, token, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _try_to_store(work: _Work) -> None:
    tries = work.attempt.store_tries
    if tries > MAX_TRIES:
        _fail(work, "storing_failed", gettext_noop("The finished video could not be stored. Try again."))
        return
    try:
        _store(work)
    except _LeaseLost:
        _let_go(work)
    except media.NotAVideo as exc:
        if tries >= TRIES_FOR_A_GOOD_VIDEO:
            _fail(work, "bad_result", UNUSABLE(why=exc.message))
        else:
            _later(work, gettext_noop("The video looked damaged, fetching it again"))
    except OutputBlocked as exc:
        _fail(work, exc.code, exc.message)
    except provenance.SigningFailed as exc:
        log.error("attempt %s: signing failed: %s", work.attempt.pk, exc)  # noqa: TRY400 (the sentence says it all)
        _again(work, gettext_noop("The video could not be signed"))
    except EngineError as exc:
        if isinstance(exc, EngineRefused) or exc.code in HOPELESS:
            _fail(work, exc.code, exc.message)
        else:
            _again(work, exc.message)
    except Exception:
        # Full disk, storage or database away: the video still waits at the engine.
        log.exception("attempt %s: storing failed", work.attempt.pk)
        _again(work, gettext_noop("The file storage could not be reached"))


def _store(work: _Work) -> None:
    fetched = work.do("fetch", partial(_fetch, work))
    crashpoint("store.fetched")
    poster, loop = work.folder / "poster.jpg", work.folder / "loop.mp4"
    label = labels.text_for(work.attempt.job)
    facts = work.do("check", partial(media.derive, work.video, poster=poster, loop=loop, label=label))
    if label:
        fetched = work.do("measure", partial(_measured, work.video))
    verdict = checks.check_output(
        job=work.attempt.job,
        path=work.video,
        sha256=fetched.sha256,
        looks=facts.looks,
        hold=partial(work.do, "judge"),
    )
    fetched = _sign(work, fetched, loop, label)
    keys = keys_of_attempt(work.attempt.job_id, work.attempt.pk)
    sources = dict(zip(keys, (work.video, poster, loop), strict=True))
    try:
        for key, path in sources.items():
            work.do("put", partial(put, key, path))
            crashpoint("store.put")
        _succeed(work, fetched, facts, keys)
        reports.ask_for_a_look(verdict, job=work.attempt.job)
    except _LeaseLost:
        _delete_what_nobody_wants(work.attempt, keys)
        raise
    crashpoint("store.succeeded")
    if key := work.attempt.result_ref.get("spool"):
        delete_keys([key])


def _fetch(work: _Work) -> _Fetched:
    """The result into the spool folder, piece by piece, with a limit on its bytes."""
    digest, size = hashlib.sha256(), 0
    with _opened(work.attempt) as pieces, work.video.open("wb") as file:
        for piece in pieces:
            if work.given_up.is_set():
                raise _LeaseLost
            size += len(piece)
            if size > settings.RESULT_MAX_BYTES:
                raise _TooLarge(gettext_noop("The video is larger than allowed."))
            digest.update(piece)
            file.write(piece)
    ref = work.attempt.result_ref
    if "sha256" in ref and (size, digest.hexdigest()) != (ref["bytes"], ref["sha256"]):
        raise EngineError("The spooled video is not the one that was rendered.")
    return _Fetched(size, digest.hexdigest())


def _measured(path: Path) -> _Fetched:
    with path.open("rb") as file:
        return _Fetched(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _sign(work: _Work, fetched: _Fetched, loop: Path, label: str) -> _Fetched:
    """Mark what is about to be stored; last, because any later change would break the mark. Raises SigningFailed."""
    kept = work.attempt.engine_metadata
    if not settings.PROVENANCE:
        kept["provenance"] = {"signed": False}
        return fetched
    about = {"provider": work.attempt.engine, "model": work.attempt.job.model.name, "label": label}
    video, _ = work.do("sign", partial(provenance.sign, [work.video, loop], **about))
    crashpoint("store.signed")
    kept["provenance"] = provenance.summary(video)
    return _Fetched(video.bytes, video.sha256)


@contextmanager
def _opened(attempt: Attempt) -> Iterator[Iterator[bytes]]:
    ref = attempt.result_ref
    if "spool" in ref:
        with read_in_pieces(ref["spool"]) as pieces:
            yield pieces
        return
    with providers.engine_for(attempt.engine, attempt.endpoint).open_result(ref) as pieces:
        yield pieces


def _succeed(work: _Work, fetched: _Fetched, facts: media.VideoFacts, keys: list[str]) -> None:
    """The one transaction in which the job is done. Raises _LeaseLost."""
    video, poster, loop = keys
    values = jobs.ended(Status.SUCCEEDED) | {"progress": 1.0, "next_attempt_at": None, "error_code": ""}
    values |= {"video_key": video, "poster_key": poster, "loop_key": loop}
    values |= {"video_bytes": fetched.bytes, "video_sha256": fetched.sha256, "error_message": ""}
    attempt = work.attempt
    seconds = busy_seconds(attempt.timings)
    price = shares.price_of(attempt, seconds=seconds)
    attempt.engine_metadata["stored"] = {
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "fps": facts.fps,
    }
    found = drift_of(attempt.request_sent, facts, attempt.engine_metadata)
    with transaction.atomic():
        if settling.end(work.held(), values, price) is None:
            raise _LeaseLost
        Attempt.objects.filter(pk=attempt.pk).update(
            ended_at=timezone.now(),
            outcome=Attempt.Outcome.STORED,
            timings=attempt.timings | work.seconds,
            engine_metadata=attempt.engine_metadata,
            drift=list(dict.fromkeys([*attempt.drift, *found])),
            cost_usd=price.direct_usd,
        )
        fingerprints.remember(
            key=video, path=work.video, sha256=fetched.sha256, job=work.attempt.job, looks=facts.looks
        )
    if seconds:
        usage.remember_video(attempt.endpoint, reference_seconds=reference_seconds(attempt.job, seconds))


def _delete_what_nobody_wants(attempt: Attempt, keys: list[str]) -> None:
    """After a lost lease: the files go when the job is over or gone; a worker that took it over needs them."""
    job = VideoJob.objects.filter(pk=attempt.job_id).first()
    if job is None or job.deleted_at or job.status in (Status.CANCELLED, Status.FAILED):
        delete_keys([*keys, spool_key(attempt.pk)])


def _let_go(work: _Work) -> None:
    """Drop the lease that a cancelled job still has; a job that was taken over has another one."""
    mine = VideoJob.objects.filter(pk=work.attempt.job_id, status__in=TERMINAL).held_with(work.token)
    with transaction.atomic():
        if mine.update(lease_token="", lease_owner="", lease_until=None):
            open_one = Attempt.objects.filter(pk=work.attempt.pk, ended_at=None)
            open_one.update(ended_at=timezone.now(), outcome=Attempt.Outcome.CANCELLED)


def _again(work: _Work, reason: str) -> None:
    if work.attempt.store_tries >= MAX_TRIES:
        _fail(work, "storing_failed", NOT_STORED(why=reason.rstrip(".")))
    else:
        _later(work, reason)


def _later(work: _Work, reason: str) -> None:
    """Stay due: the sweep rings again after a pause that grows."""
    pause = timedelta(seconds=min(MAX_PAUSE_S, 5 * 2**work.attempt.store_tries))
    values = jobs.released(Status.STORING) | {"message": reason[:200], "next_attempt_at": timezone.now() + pause}
    if not work.held().update(**values):
        _let_go(work)


def _fail(work: _Work, code: str, message: str) -> None:
    with transaction.atomic():
        failed = jobs.fail_job(job_id=work.attempt.job_id, token=work.token, code=code, message=message)
        if failed:
            Attempt.objects.filter(pk=work.attempt.pk).update(
                ended_at=timezone.now(),
                outcome=Attempt.Outcome.FAILED,
                error_code=code[:40],
                error_message=message[:500],
            )
    if failed:
        delete_keys([*keys_of_attempt(work.attempt.job_id, work.attempt.pk), spool_key(work.attempt.pk)])
    else:
        _let_go(work)
