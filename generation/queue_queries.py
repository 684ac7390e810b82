"""What stands in a person's queue, and what left it lately."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from generation import queries
from generation.models import TERMINAL, Status, VideoJob
from generation.news import in_own_order, moment
from generation.queries import JobState
from generation.services import queueing

LATELY = timedelta(hours=24)
MOST_ENDED = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One video in the queue; `can_go_up`, `can_go_down`: among those that wait."""

    job: VideoJob
    state: JobState
    has_frame: bool = False
    can_go_up: bool = False
    can_go_down: bool = False


@dataclass(frozen=True, slots=True)
class QueueView:
    """`moment`: when this was true, as the ids of events call it."""

    paused: bool
    unfinished: list[Row]
    ended: list[Row]
    moment: int


def unfinished_of(owner: User) -> list[VideoJob]:
    """In the person's own order: what is made first, then what waits."""
    rows = queries.jobs_of(owner).unfinished().annotate(frame_at=F("preview_frame__updated_at"))  # type: ignore[attr-defined]
    return sorted(rows, key=in_own_order)


def queue_of(owner: User) -> QueueView:
    """Everything that the drawer shows, in a number of queries that does not grow."""
    now = timezone.now()
    unfinished = unfinished_of(owner)
    ended = queries.jobs_of(owner).filter(status__in=TERMINAL, finished_at__gte=now - LATELY).order_by("-finished_at")
    lately = list(ended[:MOST_ENDED])
    states = queries.states_of([*unfinished, *lately])
    waiting = [row.pk for row in unfinished if row.status == Status.QUEUED]
    return QueueView(
        paused=queueing.is_paused(owner=owner),
        unfinished=[
            Row(
                row,
                states[row.pk],
                has_frame=getattr(row, "frame_at", None) is not None,
                can_go_up=row.pk in waiting[1:],
                can_go_down=row.pk in waiting[:-1],
            )
            for row in unfinished
        ],
        ended=[Row(row, states[row.pk]) for row in lately],
        moment=moment(now),
    )
