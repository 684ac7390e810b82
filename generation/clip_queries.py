"""Reads about clips: of a video, of a person, and how long videos really are."""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet

from generation.models import Attempt, Clip, VideoJob


@dataclass(frozen=True, slots=True)
class Length:
    """Of a stored file: so many frames, shown at so many a second."""

    frames: int
    fps: Fraction

    @property
    def seconds(self) -> float:
        return float(self.frames / self.fps)


def clips_of_person(user: User) -> QuerySet[Clip]:
    """Newest first; without those that were deleted."""
    return Clip.objects.filter(owner=user, deleted_at=None)


def clips_of(job: VideoJob) -> QuerySet[Clip]:
    """What its person made of this video, newest first."""
    made_of_it = Clip.objects.filter(parts__job=job).values("pk")
    return Clip.objects.filter(pk__in=made_of_it, owner=job.owner_id, deleted_at=None)


def lengths_of(jobs: Collection[VideoJob]) -> dict[UUID, Length]:
    """Of all these finished videos with one query; what was asked for, where nobody looked at the file."""
    lengths = {job.pk: Length(job.frames * job.interpolate, Fraction(job.fps * job.interpolate)) for job in jobs}
    stored = Attempt.objects.filter(job__in=lengths, outcome=Attempt.Outcome.STORED)
    for pk, facts in stored.order_by("number").values_list("job_id", "engine_metadata__stored"):
        if facts:
            lengths[pk] = Length(int(facts["frames"]), Fraction(facts["fps"]).limit_denominator(1001))
    return lengths
