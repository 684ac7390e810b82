"""How long such videos took here: seconds with a range, from the nearest kind of video that was measured."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Protocol
from uuid import UUID

from django.core.cache import cache
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from generation.models import Attempt, Provider, VideoModel
from gpu.services import gpus

REMEMBERED = 60  # attempts of a model that are looked at
LATEST = 20  # of one kind: older ones were made by another GPU or another version
REMEMBERED_SECONDS = 30
ENOUGH = 3  # fewer of one kind say little: the next wider kind is asked
FIT_FROM, FIT_SPREAD = 6, 1.5  # videos, and how much their work must differ, before its effect is measured
# Nobody has measured anything: the operator's figure may be far off, and more often too low.
GUESSED_LOW, GUESSED_HIGH = 0.5, 3.0
ASSUMED_BETWEEN = 0.1  # of a video's time, for each further frame that is put in between two
SCALED = 1.25  # how much further the range is when the work was not the same


class Sized(Protocol):
    """A job, or settings that are to become one."""

    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def frames(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def cfg_scale(self) -> float: ...
    @property
    def interpolate(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What the rendering time grows with: pixels x frames x passes, which are steps, or twice as many with CFG.

    Frames put in between take time too. Until videos with as many of them were measured, it is assumed how much.
    """

    width: int
    height: int
    frames: int
    passes: int
    interpolate: int = 1

    @property
    def units(self) -> float:
        between = 1 + ASSUMED_BETWEEN * (self.interpolate - 1)
        return self.width * self.height * self.frames * max(1, self.passes) * between / 1e6

    def is_like(self, other: "Work") -> bool:
        """The same but for the number of frames, with which the time grows evenly."""
        mine = (self.width, self.height, self.passes, self.interpolate)
        return mine == (other.width, other.height, other.passes, other.interpolate)


@dataclass(frozen=True, slots=True)
class Sample:
    work: Work
    seconds: float
    gpu: str  # its name, or the address of a server that nobody rented; empty for other providers


@dataclass(frozen=True, slots=True)
class Seconds:
    """What is expected, what is likely at least and at most, and how many videos say so (0: the catalogue)."""

    usual: float
    low: float
    high: float
    samples: int

    @property
    def basis(self) -> str:
        return "history" if self.samples else "catalogue"


def work_of(model: VideoModel, asked: Sized) -> Work:
    """The work of a request; the model's default size where the picture will decide."""
    width, height = (asked.width, asked.height) if asked.width and asked.height else sides(model.sizes[0])
    passes = _passes(model.provider, asked.steps, asked.cfg_scale)
    return Work(width, height, asked.frames, passes, asked.interpolate)


def usual(model: VideoModel) -> Work:
    """The work of a video with the model's defaults."""
    passes = _passes(model.provider, model.default_steps, model.default_cfg)
    return Work(*sides(model.sizes[0]), model.default_frames, passes)


def _passes(provider: str, steps: int, cfg_scale: float) -> int:
    if provider == Provider.PREVIEW:
        return 1  # it takes steps and makes the same video in the same time
    # With a CFG above 1 each step also asks what the video would be without the prompt.
    return steps * 2 if cfg_scale > 1 else steps


def sides(size: str) -> tuple[int, int]:
    width, height = size.split("x")
    return int(width), int(height)


def foretell(model: VideoModel, work: Work, on: frozenset[str]) -> Seconds:
    """Seconds of rendering on one of the GPUs `on` (empty: any), from the narrowest kind that was seen often enough."""
    seen = samples(model)
    here = [sample for sample in seen if not on or sample.gpu in on]
    alike = [sample for sample in here if sample.work.is_like(work)]
    if len(alike) >= ENOUGH:
        return _range(alike, work, power=1.0, margin=1.0)
    for known in (here, seen):
        if len(known) >= ENOUGH or (known and known is seen):
            return _range(known, work, power=_power(known), margin=SCALED)
    guess = model.typical_seconds * work.units / usual(model).units
    return Seconds(guess, guess * GUESSED_LOW, guess * GUESSED_HIGH, 0)


def _range(known: list[Sample], work: Work, *, power: float, margin: float) -> Seconds:
    latest = known[:LATEST]
    times = [sample.seconds * (work.units / sample.work.units) ** power for sample in latest]
    middle = median(times)
    low, high = _outer(times)
    # A few videos have not shown how different they can be.
    wide = margin * (1 + 1 / len(times))
    return Seconds(middle, low / wide, high * wide, len(times))


def _outer(values: list[float]) -> tuple[float, float]:
    """What a tenth lies below and a tenth above; of few, the ends."""
    if len(values) < 10:
        return min(values), max(values)
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[0], tenths[-1]


def _power(known: list[Sample]) -> float:
    """How the time grows with the work: 1 is in proportion; measured once videos of different work were seen."""
    points = [(math.log(sample.work.units), math.log(sample.seconds)) for sample in known]
    if len(points) < FIT_FROM or max(points)[0] - min(points)[0] < math.log(FIT_SPREAD):
        return 1.0
    mean_x, mean_y = (float(sum(values) / len(points)) for values in zip(*points, strict=True))
    across = sum((x - mean_x) ** 2 for x, _ in points)
    slope = float(sum((x - mean_x) * (y - mean_y) for x, y in points) / across)
    return min(2.0, max(0.3, slope))


def samples(model: VideoModel) -> list[Sample]:
    """What was measured with this model, the newest first; up to REMEMBERED_SECONDS old."""
    remember([model])
    found: list[Sample] = cache.get(_key(model.pk)) or []
    return found


def remember(models: Iterable[VideoModel]) -> None:
    """Read the history of all these models at once, as far as it is not at hand."""
    keys = {_key(model.pk): model.pk for model in models}
    missing = {keys[key] for key in keys.keys() - cache.get_many(keys).keys()}
    if missing:
        found = _read(missing)
        cache.set_many({_key(pk): found.get(pk, []) for pk in missing}, REMEMBERED_SECONDS)


def _key(pk: int) -> str:
    return f"seconds-measured:{pk}"


def _read(pks: set[int]) -> dict[int, list[Sample]]:
    rows = list(_newest(pks))
    machines = gpus.names({row.machine for row in rows if row.machine})
    found: dict[int, list[Sample]] = {}
    for row in rows:
        if sample := _sample(row, machines):
            found.setdefault(row.job.model_id, []).append(sample)
    return found


def _newest(pks: set[int]) -> QuerySet[Attempt]:
    turn = Window(RowNumber(), partition_by=F("job__model"), order_by=F("ended_at").desc())
    stored = Attempt.objects.filter(job__model__in=pks, outcome=Attempt.Outcome.STORED, job__width__isnull=False)
    newest = stored.annotate(turn=turn).filter(turn__lte=REMEMBERED).order_by("turn")
    return newest.select_related("job").only(
        *("engine", "endpoint", "machine", "timings"),
        *("job__model_id", "job__width", "job__height", "job__frames", "job__steps", "job__cfg_scale"),
        "job__interpolate",
    )


def _sample(row: Attempt, machines: dict[UUID, str]) -> Sample | None:
    seconds = busy_seconds(row.timings)
    width, height = row.job.width, row.job.height
    if not seconds or not width or not height:
        return None
    passes = _passes(row.engine, row.job.steps, row.job.cfg_scale)
    gpu = machines.get(row.machine, "") if row.machine else row.endpoint if row.engine == Provider.SWARMUI else ""
    return Sample(Work(width, height, row.job.frames, passes, row.job.interpolate), seconds, gpu)


def busy_seconds(timings: dict[str, float]) -> float:
    """How long the engine worked on the video: what its machine is paid for."""
    return float(timings.get("rendering") or 0.0) + float(timings.get("finishing") or 0.0)
