"""What changes about jobs, found once a second for everybody who watches and handed to those whom it concerns."""

import asyncio
import logging
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.utils import timezone

from generation import news
from generation.news import MARGIN, Answer, News, Question
from generation.streams import Watch

log = logging.getLogger(__name__)

TICK_S = 1.0
MAX_WATCHERS = 2000
MAX_WATCHERS_PER_PERSON = 50


class Full(Exception):
    """Too many streams are open here, or by this person."""


class Watcher:
    """One stream. Only the newest news of each job waits for a slow reader, so what waits is bounded.

    `last`: the id of the last event that the reader has, from an earlier stream. `stays`: open also while nothing is
    unfinished, and told of the queue itself: its order, and whether it is paused.
    """

    def __init__(self, watch: Watch, *, last: str = "", stays: bool = False) -> None:
        self.watch = watch
        self.stays = stays and watch.job_id is None
        self.seen: dict[UUID, tuple[Any, ...]] = {}
        self.open: set[UUID] = {watch.job_id} if watch.job_id else set()
        now = timezone.now()
        self.since = news.since_for(last, now)
        self._tell_from = (self.since - MARGIN) if self.since else now
        self._queue: dict[str, Any] | None = None
        self._gone: set[UUID] = set()
        self._waiting: dict[UUID | str, bytes] = {}
        self._news = asyncio.Event()
        self._ended = False
        self._at = ""
        if last and self.since is None:
            self._put("reset", news.event("reset", {}))

    @property
    def is_new(self) -> bool:
        """Whether it has not been told anything yet."""
        return not self._at

    @property
    def ends_from(self) -> datetime:
        """Since when what ended concerns this watcher."""
        return self._tell_from

    @property
    def is_done(self) -> bool:
        """Everything has been handed over and nothing more will come."""
        return self._ended and not self._waiting

    async def next_events(self, timeout_s: float) -> bytes:
        """What is new, as soon as there is something, with the id of this moment; b"" after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return b""
        events, self._waiting = [*self._waiting.values()], {}
        self._news.clear()
        if self._ended:
            events.append(news.event("done", {}))
        # The id comes with the last one: who was cut off before it hears all of them again.
        return b"".join([*events[:-1], self.last_id, events[-1]])

    @property
    def last_id(self) -> bytes:
        """The field that says up to which moment this reader knows everything."""
        return f"id: {self._at}\n".encode() if self._at else b""

    def take(self, answer: Answer) -> None:
        """Pick out what concerns this watcher."""
        if self._ended:
            return
        told = answer.jobs.get(self.watch.language, {})
        mine = self.watch.user_id
        for pk in {*self.open, *(() if self.watch.job_id else answer.of_person.get(mine, ()))}:
            found = told.get(pk)
            if found is None or found.owner_id != mine:
                self._forget(pk)
            elif self._concerns(pk, found):
                self._tell(pk, found)
        if self.watch.job_id is None:
            self._tell_what_went(answer)
        self._at = str(news.moment(answer.at))
        if not self.open and not self.stays:
            self._ended = True
            self._news.set()

    def _concerns(self, pk: UUID, found: News) -> bool:
        if self.seen.get(pk) == found.essence:
            return False
        return not found.is_over or pk in self.open or (found.ended_at or self._tell_from) >= self._tell_from

    def _tell_what_went(self, answer: Answer) -> None:
        gone = answer.gone.get(self.watch.user_id, {})
        for pk, at in gone.items():
            if at >= self._tell_from and pk not in self._gone:
                self._forget(pk)
        # What was brought back may go once more.
        self._gone &= gone.keys()
        queue = answer.queues.get(self.watch.user_id)
        if self.stays and queue is not None and queue != self._queue:
            self._queue = queue
            self._put("queue", news.event("queue", queue))

    def _tell(self, pk: UUID, found: News) -> None:
        self.seen[pk] = found.essence
        if found.is_over:
            self.open.discard(pk)
        else:
            self.open.add(pk)
        self._put(pk, found.event)

    def _forget(self, pk: UUID) -> None:
        self.open.discard(pk)
        self.seen.pop(pk, None)
        self._gone.add(pk)
        self._put(pk, news.event("gone", {"id": str(pk)}))

    def _put(self, what: UUID | str, event: bytes) -> None:
        # In the order in which it became true: a queue without a video comes after that video's end.
        self._waiting.pop(what, None)
        self._waiting[what] = event
        self._news.set()


class Feed:
    """All the watchers of this process, and the one loop that looks for them."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._per_person: Counter[int] = Counter()
        self._loop: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._looked_at = timezone.now()

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, watch: Watch, *, last: str = "", stays: bool = False) -> Watcher:
        """Start watching. Raises Full."""
        if len(self._watchers) >= MAX_WATCHERS or self._per_person[watch.user_id] >= MAX_WATCHERS_PER_PERSON:
            raise Full
        watcher = Watcher(watch, last=last, stays=stays)
        self._watchers.add(watcher)
        self._per_person[watch.user_id] += 1
        self._arrived.set()
        if self._loop is None or self._loop.done():
            self._looked_at = timezone.now()
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
        answer = await sync_to_async(_read, thread_sensitive=True)(self._question(watchers))
        for watcher in watchers:
            watcher.take(answer)
        self._looked_at = answer.at

    def _question(self, watchers: list[Watcher]) -> Question:
        usual = self._looked_at - MARGIN
        people: dict[int, datetime] = {}
        languages: defaultdict[int, set[str]] = defaultdict(set)
        for watcher in watchers:
            person = watcher.watch.user_id
            languages[person].add(watcher.watch.language)
            if watcher.watch.job_id is None:
                since = min(usual, watcher.ends_from) if watcher.is_new else usual
                people[person] = min(since, people.get(person, since))
        return Question({pk for watcher in watchers for pk in watcher.open}, people, languages)


def _read(question: Question) -> Answer:
    close_old_connections()
    try:
        return news.read(question)
    finally:
        close_old_connections()
