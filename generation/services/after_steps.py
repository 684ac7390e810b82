"""What can be made of a finished video: a smoother one, a bigger one. Both are rendered again from the same seed.

SwarmUI takes pictures, not videos: it can neither put frames into a finished file nor enlarge one.
"""

import math
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from generation.errors import NotOffered
from generation.models import Status, VideoJob
from generation.services.asking import AREA_MARGIN, INTERPOLATIONS, JobRequest, parse_size
from generation.services.jobs import submit_job
from generation.services.options import Option, Scene, option
from generation.services.repeating import request_of
from generation.services.smoothing import interpolation_offered
from i2v_site.errors import DomainError

SMOOTHER, BIGGER = "smoother", "bigger"
SAME_SHAPE = 0.1  # how far the logarithms of two aspects may be apart


@dataclass(frozen=True, slots=True)
class Step:
    """One that can be made now, with what it takes and costs."""

    kind: str
    request: JobRequest
    option: Option


def steps_of(job: VideoJob) -> list[Step]:
    """What can be made of this video now; nothing of one that is not finished, or whose picture is gone."""
    if job.status != Status.SUCCEEDED or not job.width or not job.height:
        return []
    try:
        again = replace(request_of(job), batch=None, size=f"{job.width}x{job.height}")
        wanted = {SMOOTHER: _smoother(job, again), BIGGER: _bigger(job, again)}
        scene = Scene()
        found = [Step(kind, one, option(scene, job.model, one)) for kind, one in wanted.items() if one]
    except DomainError:
        return []  # its picture is gone, or its model has changed
    return [step for step in found if step.option.runnable]


def step_of(job: VideoJob, kind: str) -> Step:
    """This one. Raises NotOffered when it cannot be made now."""
    for step in steps_of(job):
        if step.kind == kind:
            return step
    raise NotOffered(_("This cannot be made of the video now."))


def make(job: VideoJob, kind: str) -> VideoJob:
    """Ask for it; its `parent` is the video. Raises NotOffered, and what `submit_job` raises."""
    return submit_job(owner=job.owner, request=step_of(job, kind).request, parent=job)


def _smoother(job: VideoJob, again: JobRequest) -> JobRequest | None:
    more = [times for times in INTERPOLATIONS if times > job.interpolate]
    return replace(again, interpolate=more[0]) if more and interpolation_offered(job.model) else None


def _bigger(job: VideoJob, again: JobRequest) -> JobRequest | None:
    """The next larger size that the model offers in the same shape."""
    width, height = job.width or 1, job.height or 1

    def larger(size: str) -> bool:
        offered = parse_size(size)
        same = abs(math.log(offered[0] / offered[1]) - math.log(width / height)) < SAME_SHAPE
        return same and offered[0] * offered[1] > width * height * AREA_MARGIN

    sizes = sorted(filter(larger, job.model.sizes), key=lambda size: math.prod(parse_size(size)))
    return replace(again, size=sizes[0]) if sizes else None
