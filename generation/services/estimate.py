"""How long a video will take, from what such videos took here before."""

from dataclasses import dataclass
from statistics import median

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache

from generation.models import Attempt, Provider, Status, VideoJob, VideoModel
from generation.services.jobs import JobRequest, check_settings, choose_model, parse_size
from gpu.services import config

HISTORY = 20  # attempts looked at; older ones were made by another GPU or another version
HISTORY_SECONDS = 30  # how long their median is remembered


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, both; `basis` is "history" (measured here) or "catalogue" (the operator's figure)."""

    seconds: float
    wait_seconds: float
    basis: str


@dataclass(frozen=True, slots=True)
class Work:
    """What the rendering time grows with: pixels x frames x steps."""

    width: int
    height: int
    frames: int
    steps: int

    @property
    def units(self) -> float:
        return self.width * self.height * self.frames * max(1, self.steps) / 1e6


def estimate_job(*, owner: User, request: JobRequest) -> Estimate:
    """Seconds for this request if it were submitted now. Raises what `submit_job` raises for a bad request."""
    model = choose_model(owner=owner, slug=request.model)
    chosen = check_settings(model, request)
    width, height = parse_size(model.sizes[0])
    work = Work(chosen.width or width, chosen.height or height, chosen.frames, chosen.steps)
    seconds, basis = render_seconds(model, work)
    waiting = VideoJob.objects.filter(status__in=(Status.QUEUED, Status.RENDERING), model__provider=model.provider)
    return Estimate(round(seconds, 1), round(waiting.count() * seconds / lanes(model), 1), basis)


def render_seconds(model: VideoModel, work: Work) -> tuple[float, str]:
    """Seconds of rendering and their basis."""
    if (per_unit := _measured(model)) is not None:
        return per_unit * work.units, "history"
    return model.typical_seconds * work.units / usual(model).units, "catalogue"


def reference_seconds(job: VideoJob, seconds: float) -> float:
    """What a video with the model's defaults would have taken where this one took `seconds`."""
    work = Work(job.width or 0, job.height or 0, job.frames, job.steps)
    return seconds * usual(job.model).units / work.units if work.units else seconds


def usual(model: VideoModel) -> Work:
    """The work of a video with the model's defaults."""
    width, height = parse_size(model.sizes[0])
    return Work(width, height, model.default_frames, model.default_steps)


def lanes(model: VideoModel) -> int:
    """Videos that are rendered at the same time; a second seat on a GPU waits, it does not render."""
    return settings.PREVIEW_PROCESSES if model.provider == Provider.PREVIEW else max(1, len(config.endpoints()))


def _measured(model: VideoModel) -> float | None:
    def look() -> float:
        rows = Attempt.objects.filter(job__model=model, outcome=Attempt.Outcome.STORED).select_related("job")
        rates = [
            row.timings["rendering"] / Work(row.job.width, row.job.height, row.job.frames, row.job.steps).units
            for row in rows.order_by("-ended_at")[:HISTORY]
            if row.timings.get("rendering") and row.job.width and row.job.height
        ]
        return median(rates) if rates else 0.0

    return cache.get_or_set(f"seconds-per-unit:{model.pk}", look, HISTORY_SECONDS) or None
