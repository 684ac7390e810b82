"""What changes about jobs, found once a second for everybody who watches and handed to those whom it concerns."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import F

from generation import queries
from generation.models import VideoJob
from generation.queries import JobState
from generation.streams import Watch

log = logging.getLogger(__name__)

TICK_S = 1.0
MAX_WATCHERS = 2000
MAX_WATCHERS_PER_PERSON = 50
# Of an estimate only a change that a person would notice is news.
ETA_GRAIN_S = 5


class Full(Exception):
    """Too many streams are open here, or by this person."""


@dataclass(frozen=True, slots=True)
class News:
    """What is told about one job; two with the same `essence` are no news."""

    owner_id: int
    is_over: bool
    essence: tuple[Any, ...]
    event: bytes


class Watcher:
    """One stream. Only the newest news of each job waits for a slow reader, so what waits is bounded."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.seen: dict[UUID, tuple[Any, ...]] = {}
        self.open: set[UUID] = {watch.job_id} if watch.job_id else set()
        self._waiting: dict[UUID, bytes] = {}
        self._news = asyncio.Event()
        self._ended = False

    @property
    def is_done(self) -> bool:
        """Everything has been handed over and nothing more will come."""
        return self._ended and not self._waiting

    async def next_events(self, timeout_s: float) -> bytes:
        """What is new, as soon as there is something; b"" after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return b""
        events, self._waiting = b"".join(self._waiting.values()), {}
        self._news.clear()
        return events + (_event("done", {}) if self._ended else b"")

    def take(self, news: dict[UUID, News]) -> None:
        """Pick out what concerns this watcher; `news` holds every watched job there is."""
        if self._ended:
            return
        for pk in self._mine(news):
            found = news.get(pk)
            if found is None or found.owner_id != self.watch.user_id:
                self._forget(pk)
            elif self.seen.get(pk) != found.essence:
                self._tell(pk, found)
        if not self.open:
            self._ended = True
            self._news.set()

    def _mine(self, news: dict[UUID, News]) -> set[UUID]:
        if self.watch.job_id:
            return set(self.open)
        fresh = {pk for pk, found in news.items() if found.owner_id == self.watch.user_id and not found.is_over}
        return self.open | fresh

    def _tell(self, pk: UUID, found: News) -> None:
        self.seen[pk] = found.essence
        if found.is_over:
            self.open.discard(pk)
        else:
            self.open.add(pk)
        self._waiting[pk] = found.event
        self._news.set()

    def _forget(self, pk: UUID) -> None:
        self.open.discard(pk)
        self._waiting[pk] = _event("gone", {"id": str(pk)})
        self._news.set()


class Feed:
    """All the watchers of this process, and the one loop that looks for them."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._per_person: Counter[int] = Counter()
        self._loop: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, watch: Watch) -> Watcher:
        """Start watching. Raises Full."""
        if len(self._watchers) >= MAX_WATCHERS or self._per_person[watch.user_id] >= MAX_WATCHERS_PER_PERSON:
            raise Full
        watcher = Watcher(watch)
        self._watchers.add(watcher)
        self._per_person[watch.user_id] += 1
        self._arrived.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())
        return watcher

    def remove(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        self._per_person[watcher.watch.user_id] -= 1
        self._per_person += Counter()  # drops those at zero

    async def _run(self) -> None:
        while self._watchers:
            self._arrived.clear()
            try:
                await self._look()
            except Exception as exc:
                # The database may be away for a moment; streams stay open and the next look tells what was missed.
                log.warning("live: the look at the jobs failed: %s", type(exc).__name__)
            await self._pause()

    async def _pause(self) -> None:
        """A tick; a newcomer ends it early, but never makes more than a few looks a second."""
        await asyncio.sleep(TICK_S / 5)
        try:
            async with asyncio.timeout(TICK_S * 4 / 5):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        # Who arrives during the look is served by the next one.
        watchers = list(self._watchers)
        people = {watcher.watch.user_id for watcher in watchers if watcher.watch.job_id is None}
        jobs = {pk for watcher in watchers for pk in watcher.open}
        news = await sync_to_async(_read, thread_sensitive=True)(jobs, people)
        for watcher in watchers:
            watcher.take(news)


def _read(jobs: Iterable[UUID], people: Iterable[int]) -> dict[UUID, News]:
    """The state of these jobs, and of all unfinished jobs of these people, in one go."""
    close_old_connections()
    try:
        theirs = VideoJob.objects.unfinished().filter(owner__in=people)
        # A union, because PostgreSQL reads the whole table for an OR of the two.
        wanted = VideoJob.objects.filter(pk__in=jobs).order_by().values("pk").union(theirs.order_by().values("pk"))
        rows = list(
            VideoJob.objects.visible()
            .filter(pk__in=wanted)
            .select_related("model")
            .annotate(frame_at=F("preview_frame__updated_at"))
        )
        states = queries.states_of(rows)
        return {row.pk: _news(row, states[row.pk]) for row in rows}
    finally:
        close_old_connections()


def _news(row: Any, state: JobState) -> News:
    told = {
        "id": str(row.pk),
        "status": row.status,
        "progress": state.progress,
        "message": state.message,
        "queue_position": state.queue_position,
        "error_code": row.error_code or None,
        "preview_at": row.frame_at.isoformat() if row.frame_at else None,
    }
    eta_s = state.eta_s
    essence = (*told.values(), None if eta_s is None else round(eta_s / ETA_GRAIN_S))
    event = _event("job", told | {"eta_s": eta_s, "elapsed_s": state.elapsed_s})
    return News(row.owner_id, row.is_over, essence, event)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
