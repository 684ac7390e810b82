"""What the fleet page says of videos: which machine holds them, and how many wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from generation.models import Attempt, Provider, Status, VideoJob


@dataclass(frozen=True, slots=True)
class Render:
    """A video on a machine, as staff see it: whose it is and how far, not what it shows."""

    job_id: UUID
    owner: str
    status: str
    progress: float


def renders_by_endpoint(endpoints: Iterable[str]) -> dict[str, list[Render]]:
    """The videos that each address holds now, in one query."""
    found: dict[str, list[Render]] = {}
    open_tries = Attempt.objects.filter(ended_at=None, endpoint__in=[url for url in endpoints if url])
    columns = ("endpoint", "job_id", "job__owner__username", "job__status", "job__progress")
    for endpoint, *values in open_tries.order_by("pk").values_list(*columns):
        found.setdefault(endpoint, []).append(Render(*values))
    return found


def waiting_for_gpu() -> int:
    """How many videos of SwarmUI models wait."""
    return VideoJob.objects.visible().filter(status=Status.QUEUED, model__provider=Provider.SWARMUI).count()
