"""Reads that span models: whose jobs, and what to tell about each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import Count, Min, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from generation.models import Attempt, Preferences, Provider, Status, VideoJob, VideoModel
from generation.services import claims, estimate
from generation.services.preferences import preferences_of
from gpu.services.fleet_forecast import expected_gap_s
from gpu.services.fleet_values import Demand
from gpu.services.outlook import Outlook, outlook
from i2v_site.sentences import translated

STORING_SECONDS = 2.0
REMEMBERED = 300  # submits from which the next one is foretold
ORDER_SECONDS = 1  # how old the order of the queue may be that a person is shown


@dataclass(frozen=True, slots=True)
class JobState:
    """What changes while one waits. `progress` is a share from 0 to 1; positions start at 1; times are seconds."""

    queue_position: int | None
    eta_s: float | None
    message: str
    progress: float
    elapsed_s: float | None


def jobs_of(user: User) -> QuerySet[VideoJob]:
    return VideoJob.objects.owned_by(user).select_related("model", "image")


def visible_models(user: User) -> QuerySet[VideoModel]:
    return VideoModel.objects.visible_to(user)


def states_of(jobs: Iterable[VideoJob], *, owner: User | None = None) -> dict[UUID, JobState]:
    """The state of each job, in a number of queries that does not grow with them; one less when all are `owner`'s."""
    wait = Wait(owner)
    return {job.pk: state_of(job, wait) for job in jobs}


class Wait:
    """What several jobs of one answer share: the order of the queue and how many render at once."""

    def __init__(self, owner: User | None = None) -> None:
        self.now = timezone.now()
        self._orders: dict[str, dict[bytes, int]] = {}
        self._lanes: dict[str, int] = {}
        self._outlook: Outlook | None = None
        self._owner = owner
        self._paused: frozenset[int] | None = None

    def is_paused(self, job: VideoJob) -> bool:
        """Whether it waits in a queue that its person has paused."""
        if job.status != Status.QUEUED:
            return False
        if self._paused is None:
            self._paused = paused_people() if self._owner is None else _paused_one(self._owner)
        return job.owner_id in self._paused

    def position(self, job: VideoJob) -> int | None:
        if job.status != Status.QUEUED or job.cancel_at or self.is_paused(job):
            return None
        provider = job.model.provider
        if provider not in self._orders:
            self._orders[provider] = _queue_order(provider)
        order = self._orders[provider]
        return order.get(job.pk.bytes, len(order) + 1)  # submitted since the order was read: at its end

    def lanes(self, model: VideoModel) -> int:
        if model.provider not in self._lanes:
            self._lanes[model.provider] = estimate.lanes(model)
        return self._lanes[model.provider]

    def gpu(self, job: VideoJob) -> Outlook | None:
        """What the fleet says to a video that waits for SwarmUI and has its picture; None for all others."""
        if job.status != Status.QUEUED or job.model.provider != Provider.SWARMUI or job.image_id is None:
            return None
        if self._outlook is None:
            self._outlook = outlook()
        return self._outlook


def _paused_one(person: User) -> frozenset[int]:
    return frozenset([person.pk] if preferences_of(person).queue_paused_at else [])


def paused_people() -> frozenset[int]:
    return frozenset(Preferences.objects.exclude(queue_paused_at=None).values_list("person_id", flat=True))


def state_of(job: VideoJob, wait: Wait) -> JobState:
    """The state of one of several jobs, in the language that is active."""
    position = wait.position(job)
    return JobState(
        queue_position=position,
        eta_s=_eta(job, position, wait),
        message=_message(job, wait),
        progress=1.0 if job.status == Status.SUCCEEDED else round(job.progress, 3),
        elapsed_s=round(((job.finished_at or wait.now) - job.created_at).total_seconds(), 1),
    )


def _queue_order(provider: str) -> dict[bytes, int]:
    """Positions in the order in which fair share serves: everybody's first job, everybody's second, ..."""

    def read() -> dict[bytes, int]:
        waiting = (
            VideoJob.objects.visible()
            .waiting()
            .filter(model__provider=provider)
            .annotate(turn=claims.TURN, age=claims.AGE)
        )
        rows = waiting.order_by().values_list("pk", "owner", "turn", "age", "created_at")
        # Bytes, because the cache pickles: a UUID takes it twenty times as long, at every look.
        return {pk.bytes: place for place, pk in enumerate(claims.in_turn(rows, {}), start=1)}

    return cache.get_or_set(f"queue-order:{provider}", read, ORDER_SECONDS) or {}


def _eta(job: VideoJob, position: int | None, wait: Wait) -> float | None:
    if job.is_over:
        return None
    if job.status == Status.STORING:
        return STORING_SECONDS
    seconds, _basis = estimate.render_seconds(job.model, estimate.work_of(job.model, job))
    if job.status == Status.QUEUED:
        if position is None:
            return None  # nobody knows when its person lets it go on
        gpu = wait.gpu(job)
        boot = gpu.ready_in_s or 0 if gpu else 0
        return round(boot + seconds * (1 + (position - 1) / wait.lanes(job.model)), 1)
    return round(seconds * (1 - job.progress + (job.provider_position or 0)), 1)


_WORDS = {
    Status.QUEUED: gettext_noop("Waiting for its turn"),
    Status.RENDERING: gettext_noop("Starting"),
    Status.STORING: gettext_noop("Saving the video"),
    Status.SUCCEEDED: gettext_noop("Done"),
    Status.CANCELLED: gettext_noop("Cancelled"),
}


def _message(job: VideoJob, wait: Wait) -> str:
    # What processes without a reader write into rows is English; it is translated where it is read.
    if job.status == Status.FAILED:
        return translated(job.error_message)
    if not job.is_over and job.cancel_at:
        return gettext("Being cancelled")
    if job.status == Status.QUEUED:
        return _why_it_waits(job, wait)
    # A cancelled job has words of its own when it was charged all the same.
    has_words = job.message and job.status != Status.SUCCEEDED
    return translated(job.message if has_words else _WORDS[Status(job.status)])


def _why_it_waits(job: VideoJob, wait: Wait) -> str:
    if wait.is_paused(job):
        return gettext("Your queue is paused")
    if (gpu := wait.gpu(job)) and gpu.message:
        return translated(gpu.message)
    if job.message:
        return translated(job.message)
    if job.image_id is None:
        return gettext("Fetching the picture")
    return gettext("Starting again") if job.attempts_made else gettext(_WORDS[Status.QUEUED])


def fleet_demand() -> Demand:
    """What the fleet must know of the videos that ask for a GPU (settings.FLEET_DEMAND names this function)."""
    now = timezone.now()
    asked = VideoJob.objects.filter(model__provider=Provider.SWARMUI)
    # For a queue that is paused, or a video that is about to be cancelled, nobody rents a machine.
    waiting = asked.waiting().filter(image__isnull=False)
    # A result that is still fetched needs its machine as much as one that is rendered.
    at = Attempt.objects.filter(ended_at=None, engine=Provider.SWARMUI).values_list("endpoint").annotate(Count("pk"))
    oldest = waiting.aggregate(Min("created_at"))["created_at__min"]
    return Demand(
        waiting=waiting.count(),
        running=asked.filter(status=Status.RENDERING).count(),
        seconds_per_video=_usual_seconds(waiting.first()),
        oldest_wait_s=(now - oldest).total_seconds() if oldest else 0.0,
        next_job_s=_next_job_s(asked, now),
        jobs_at=dict(at),
    )


def _usual_seconds(job: VideoJob | None) -> float | None:
    if job is None:
        return None
    seconds, basis = estimate.render_seconds(job.model, estimate.usual(job.model))
    return seconds if basis == "history" else None


def _next_job_s(asked: QuerySet[VideoJob], now: datetime) -> float | None:
    """Seconds to the next video, judged by when people came lately; None when nobody can tell."""
    lately = asked.order_by("-created_at").values_list("created_at", flat=True)[:REMEMBERED]
    return expected_gap_s(sorted(lately), now)
