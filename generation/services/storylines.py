"""Changing a chain of videos: one of them anew, and all of them as one."""

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from generation.clip_queries import lengths_of
from generation.errors import ClipRefused
from generation.models import Clip, VideoJob
from generation.services.clips import Part, make_clip
from generation.services.jobs import retry_job
from generation.storyline import Storyline, storyline_of


def another_take(*, job: VideoJob) -> VideoJob:
    """Submit one video of a chain again with the same start frame and a new seed. Raises what `retry_job` does."""
    return retry_job(job=job, new_seed=True)


def join_storyline(*, owner: User, job: VideoJob, crossfade_s: float = 0) -> Clip:
    """Queue one clip of the finished videos of the chain through `job`. Raises ClipRefused, TooManyClips."""
    parts = parts_of(storyline_of(job))
    if len(parts) < 2:
        raise ClipRefused(_("There are no two finished videos in this chain yet."))
    return make_clip(owner=owner, kind=Clip.Kind.JOIN, parts=parts, options={"crossfade_s": crossfade_s})


def parts_of(story: Storyline) -> list[Part]:
    """Each video up to the frame at which the next goes on. That frame is left out: the next one begins with it."""
    done = story.done
    lengths = lengths_of([link.job for link in done])
    parts = []
    for link in done:
        last = lengths[link.job.pk].frames - 1
        if link is done[-1]:
            parts.append(Part(link.job))
            continue
        end = last if link.cut_frame is None else min(link.cut_frame, last)
        if end > 0:  # otherwise the next one goes on from the very first frame
            parts.append(Part(link.job, 0, end))
    return parts
