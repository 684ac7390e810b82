"""What the simulated fal remembers, and how a request goes through its queue."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

from tests.simulators.clock import Clock
from tests.simulators.fal.files import Shelf
from tests.simulators.fal.jobs import COMPLETED, IN_PROGRESS, Book, Job
from tests.simulators.fal.models import CATALOGUE, Catalogue
from tests.simulators.fal.outcome import Outcome
from tests.simulators.fal.script import Script
from tests.simulators.fal.webhooks import Postman
from tests.simulators.swarmui.messages import JsonObject

JOURNAL_LENGTH = 20000
ENCODING_REAL_S = 0.05  # between two looks whether a video is encoded
WIDE = 16 / 9  # a picture's shape, until it is seen
# What the platform understands in the head of a submit.
OPTIONS = (
    *("x-fal-request-timeout", "x-fal-queue-priority", "x-fal-runner-hint", "x-fal-no-retry", "x-fal-store-io"),
    *("x-fal-object-lifecycle-preference", "x-app-fal-disable-fallback"),
)


class World:
    """One account at fal. Everything here happens on the event loop of the server."""

    def __init__(self, *, script: Script, clock: Clock, folder: Path, api_key: str) -> None:
        self.script, self.clock, self.api_key = script, clock, api_key
        self.catalogue: Catalogue = CATALOGUE
        self.book = Book(script.credit)
        self.shelf = Shelf(folder)
        self.random = random.Random(f"fal world {script.seed}")
        self.postman = Postman(self)
        self.outcome = Outcome(self)
        self.urls: dict[str, str] = {}  # "queue", "rest", "media", "api" to where they are
        self.tokens: set[str] = set()  # for uploads
        self.calls: Counter[str] = Counter()
        self.journal: list[JsonObject] = []
        self.violations: list[str] = []

    @property
    def now(self) -> float:
        return self.clock.now

    def note(self, **entry: Any) -> JsonObject:
        """A line of the journal."""
        self.journal.append(entry)
        del self.journal[:-JOURNAL_LENGTH]
        return entry

    def accept(self, endpoint_id: str, given: dict[str, Any], *, webhook: str, headers: dict[str, str]) -> Job:
        """Take a request into the queue; from here on it costs money when it succeeds."""
        endpoint = self.catalogue.find(endpoint_id)
        ignored = self.script.ignores.get(endpoint_id, [])
        values = endpoint.filled({name: value for name, value in given.items() if name not in ignored})
        job = Job(
            endpoint_id=endpoint_id,
            endpoint=endpoint,
            given=given,
            values=values,
            headers={name: headers[name] for name in OPTIONS if name in headers},
            webhook=webhook,
            fates=self.script.take_fates(str(given.get("prompt") or "")),
            accepted_at=self.now,
            ready_at=self.now + self.script.queue_seconds,
        )
        if not endpoint.problems(given):
            job.set_price(WIDE)
        self.book.jobs[job.id] = job
        self._enqueue(job)
        return job

    def _enqueue(self, job: Job) -> None:
        if not job.has("stuck"):
            self.clock.at(job.ready_at, self.start_waiting)
        patience = float(job.headers.get("x-fal-request-timeout") or 0)
        if patience > 0:
            self.clock.after(patience, lambda: self._give_up(job))

    def start_waiting(self) -> None:
        """Runners take what waits, first come, first served."""
        for job in self.book.waiting():
            if self.script.concurrency and len(self.book.running()) >= self.script.concurrency:
                return
            if job.ready_at <= self.now and not job.has("stuck"):
                self._start(job)

    def _start(self, job: Job) -> None:
        job.status, job.started_at = IN_PROGRESS, self.now
        job.inference_s = self.script.seconds * (self.script.slow_factor if job.has("slow") else 1)
        if job.has("retried"):
            job.gateway_id = job.gateway_id[:-4] + "beef"
        self.outcome.prepare(job)
        if not job.has("stuck_running"):
            self.clock.after(job.inference_s, lambda: self._finish(job))

    async def _finish(self, job: Job) -> None:
        if self.clock.scale and not self.outcome.is_ready(job):
            # Everybody waits while the clock waits; what runs by itself looks again a little later.
            self.clock.after(ENCODING_REAL_S * self.clock.scale, lambda: self._finish(job))
            return
        film = await self.outcome.film(job)
        if not job.over:  # nobody ended it meanwhile
            self.outcome.decide(job, film)
            self.end(job)

    async def finish_now(self, job: Job) -> None:
        """End it with its video, wherever it is stuck."""
        if job.started_at is None:
            self._start(job)
        await self.outcome.film(job)
        await self._finish(job)

    def _give_up(self, job: Job) -> None:
        if job.started_at is None and not job.over:
            job.answer_headers["x-fal-request-timeout-type"] = "user"
            self.outcome.fail_flat(job, 504, "The request timed out before it was started.", "request_timeout")
            self.end(job)

    def cancel(self, job: Job) -> None:
        """Out of the queue at once; on a runner only when the script says that this works."""
        job.cancel_asked = True
        if job.started_at is None or self.script.cancel_running:
            self.outcome.fail_flat(job, 499, "The request was cancelled by the client.", "client_cancelled")
            self.end(job)

    def end(self, job: Job) -> None:
        """It is over: bill it, tell about it, and let the next one run."""
        job.status, job.ended_at = COMPLETED, self.now
        ran_in_vain = self.script.bill_failed and job.code == 422 and job.started_at is not None
        if job.code == 200 or ran_in_vain:
            job.billed = job.price * (2 if job.has("double_units") else 1)
        if job.webhook:
            self.postman.announce(job)
        self.start_waiting()

    def position(self, job: Job) -> int:
        """How many are before it."""
        waiting = self.book.waiting()
        return waiting.index(job) if job in waiting else 0
