"""Who is next: fair share, seats, and taking a job so that nobody else has it too."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from generation.models import Attempt, Provider, Status, VideoJob
from generation.services import jobs
from gpu.services import config
from gpu.services.whose import machine_at
from i2v_site import queue


class Mode(Enum):
    RENDER = auto()  # start it
    RECOVER = auto()  # an earlier process may have started it: look for it
    CLEAN_UP = auto()  # the job is over; the engine may still work on it


@dataclass(frozen=True, slots=True)
class Claim:
    """One job that this process holds with `token`, and its open attempt."""

    job: VideoJob
    attempt: Attempt
    token: str
    mode: Mode


@dataclass(slots=True)
class Room:
    """How much a dispatcher can take on now."""

    total: int
    preview: int
    endpoints: list[str] = field(default_factory=list)  # SwarmUI servers that may be given work
    fal: bool = False  # whether fal.ai may be given work
    smooth: frozenset[str] = frozenset()  # the endpoints that can put frames in between


# A video's turn among its owner's, in the order that the owner wants; and its place among them by age.
TURN = Window(RowNumber(), partition_by="owner", order_by=["rank", "created_at", "pk"])
AGE = Window(RowNumber(), partition_by="owner", order_by=["created_at", "pk"])
# Another look for a picture is asked for when the first ring was lost.
RING_AGAIN = timedelta(seconds=60)


def claim_jobs(*, owner: str, room: Room) -> list[Claim]:
    """Take lapsed jobs first, then the next ones by fair share, at most as many as there is room for."""
    now = timezone.now()
    due = VideoJob.objects.due(now).exists()
    if room.total < 1 or not (due or VideoJob.objects.lapsed(now).exists()):
        return []
    with transaction.atomic():
        # Two dispatchers that count free seats at the same moment would fill them twice.
        config.lock_seats()
        taken = _lapsed(owner, room)
        room.total -= len(taken)
        return taken + _fresh(owner, room)


def lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def _lapsed(owner: str, room: Room) -> list[Claim]:
    lapsed = (
        VideoJob.objects.lapsed(timezone.now()).select_related("model", "image", "end_image").order_by("lease_until")
    )
    claims = (_resume(job, owner) for job in lapsed[: room.total])
    return [claim for claim in claims if claim]


def _resume(job: VideoJob, owner: str) -> Claim | None:
    """Take over what an earlier process left; None when there is nothing left to do for it."""
    token = job.claim(owner=owner, lease=lease())
    if token is None:
        return None
    held = VideoJob.objects.held_with(token)
    attempt = job.attempts.filter(ended_at=None).first()
    if attempt is None:
        # A worker was storing it when the person cancelled; or an operator removed the attempt's row.
        held.update(**jobs.ended(Status(job.status)) if job.is_over else jobs.queued())
        return None
    if job.is_over:
        return Claim(job, attempt, token, Mode.CLEAN_UP)
    if attempt.sent_at:
        return Claim(job, attempt, token, Mode.RECOVER)
    # Counted again: a job that kills its dispatcher before it is sent must not do so for ever.
    held.update(attempts_made=F("attempts_made") + 1)
    job.refresh_from_db(fields=["attempts_made"])
    return Claim(job, attempt, token, Mode.RENDER)


def _fresh(owner: str, room: Room) -> list[Claim]:
    claims: list[Claim] = []
    seats = free_seats(room.endpoints)
    wanted = {
        Provider.PREVIEW: room.preview,
        Provider.SWARMUI: sum(seats.values()),
        Provider.FAL: free_calls() if room.fal else 0,
    }
    for provider, places in wanted.items():
        smooth = any(seats.get(url) for url in room.smooth)
        for job in _next_jobs(provider, min(places, room.total - len(claims)), smooth=smooth):
            able = {url: free for url, free in seats.items() if job.interpolate == 1 or url in room.smooth}
            if provider == Provider.SWARMUI and not any(able.values()):
                continue  # it waits for a seat where frames can be put in between
            endpoint = max(able, key=lambda url: able[url]) if provider == Provider.SWARMUI else ""
            if claim := _take(job, owner, endpoint):
                claims.append(claim)
                if endpoint:
                    seats[endpoint] -= 1
    return claims


def free_calls() -> int:
    """How many more videos may be at fal.ai at once, in all; counted like seats."""
    running = Attempt.objects.filter(ended_at=None, engine=Provider.FAL).exclude(job__status=Status.STORING)
    return max(0, int(settings.FAL_CONCURRENCY) - running.count())


def free_seats(endpoints: list[str]) -> dict[str, int]:
    """Seats left at each server, counted from live leases: a counter would drift with every crash."""
    held = Attempt.objects.filter(ended_at=None, endpoint__in=endpoints).exclude(job__status=Status.STORING)
    counts = Counter(dict(held.values_list("endpoint").annotate(Count("pk"))))
    return {url: max(0, settings.SWARMUI_SEATS - counts[url]) for url in endpoints}


def _next_jobs(provider: str, places: int, *, smooth: bool) -> list[VideoJob]:
    """The oldest jobs of the people with the fewest jobs running."""
    if places < 1:
        return []
    rendering = VideoJob.objects.filter(status=Status.RENDERING)
    running = Counter(dict(rendering.values_list("owner").annotate(Count("pk"))))
    due = VideoJob.objects.due(timezone.now()).filter(model__provider=provider)
    if not smooth:
        due = due.filter(interpolate=1)
    placed = due.annotate(turn=TURN, age=AGE)
    rows = placed.filter(Q(turn__lte=places) | Q(age__lte=places)).values_list(
        "pk", "owner", "turn", "age", "created_at"
    )
    chosen = in_turn(rows, running)[:places]
    found = VideoJob.objects.select_related("model", "image", "end_image").in_bulk(chosen)
    return [found[pk] for pk in chosen]


def in_turn(rows: Iterable[tuple[uuid.UUID, int, int, int, datetime]], running: Mapping[int, int]) -> list[uuid.UUID]:
    """The keys by fair share; a row is (key, owner, turn, age, created_at), `running` counts what each owner has.

    At equal turns the older goes first: the n-th oldest video of its owner lends its age to whichever takes the n-th
    turn, so that who reorders their own videos never changes when somebody else's come.
    """
    found = list(rows)
    ages = {(owner, age): created_at for _pk, owner, _turn, age, created_at in found}
    ranked = sorted(
        (running.get(owner, 0) + turn, ages[owner, turn], pk) for pk, owner, turn, *_ in found if (owner, turn) in ages
    )
    return [pk for *_, pk in ranked]


def _take(job: VideoJob, owner: str, endpoint: str) -> Claim | None:
    if job.image is None or not (token := job.claim(owner=owner, lease=lease())):
        return None
    held = VideoJob.objects.held_with(token)
    held.update(attempts_made=F("attempts_made") + 1, progress=0, message="", phase="", error_code="")
    if job.width is None:
        # Asked for by address: the picture's shape was not known at submit.
        width, height = jobs.nearest_size(job.model, job.image.width, job.image.height)
        held.update(width=width, height=height)
    attempt = Attempt.objects.create(
        job=job,
        number=job.attempts.count() + 1,
        nonce=uuid.uuid4().hex,
        engine=job.model.provider,
        endpoint=endpoint or job.model.endpoint,
        machine=machine_at(endpoint),
        timings={"queued": round((timezone.now() - (job.next_attempt_at or job.created_at)).total_seconds(), 3)},
    )
    job.refresh_from_db(fields=["attempts_made", "width", "height"])
    return Claim(job, attempt, token, Mode.RENDER)


def ring_for_pictures(limit: int = 100) -> None:
    """Ask workers to fetch the pictures of jobs that were submitted with an address."""
    now = timezone.now()
    waiting = VideoJob.objects.filter(status=Status.QUEUED, image=None).exclude(next_attempt_at__gt=now)
    for pk in waiting.exclude(image_url="").values_list("pk", flat=True)[:limit]:
        with transaction.atomic():
            # The row says when to ring again, so that several dispatchers ring once.
            mine = VideoJob.objects.filter(pk=pk, image=None).exclude(next_attempt_at__gt=now)
            if mine.update(next_attempt_at=now + RING_AGAIN):
                queue.ring("generation.tasks.fetch_picture", str(pk))
