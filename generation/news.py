"""What has changed about videos, read in one go for everybody who watches."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import override

from generation.models import UNFINISHED, Status, VideoJob
from generation.queries import JobState, Wait, paused_people, state_of

# Who was away for longer is told to look at everything again.
REMEMBERED = timedelta(minutes=10)
# Rows are dated by the clock of whoever wrote them, before they are committed.
MARGIN = timedelta(seconds=5)
# Of an estimate only a change that a person would notice is news.
ETA_GRAIN_S = 5


@dataclass(frozen=True, slots=True)
class News:
    """What is told about one job, or one queue; two with the same `essence` are no news."""

    owner_id: int
    is_over: bool
    essence: tuple[Any, ...]
    data: dict[str, Any]
    ended_at: datetime | None = None

    @property
    def event(self) -> bytes:
        return event("job", self.data)


@dataclass(frozen=True, slots=True)
class Question:
    """`people`: whose unfinished jobs, and those that ended since the moment beside them; `jobs`: these as well.

    `languages`: in which each person is to be told.
    """

    jobs: Collection[UUID] = ()
    people: Mapping[int, datetime] = field(default_factory=dict)
    languages: Mapping[int, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is at the moment `at`, by language and job; `gone`: jobs of each person that were deleted."""

    at: datetime
    jobs: dict[str, dict[UUID, News]]
    of_person: dict[int, list[UUID]]
    gone: dict[int, dict[UUID, datetime]]
    queues: dict[int, dict[str, Any]]


def read(question: Question) -> Answer:
    """The answer, by a number of queries that does not grow with who asks or what there is."""
    at = timezone.now()
    rows = list(_rows(question)) if question.jobs or question.people else []
    of_person: dict[int, list[UUID]] = defaultdict(list)
    for row in rows:
        of_person[row.owner_id].append(row.pk)
    return Answer(at, _told(rows, question), of_person, _gone(question), _queues(rows, question))


def _rows(question: Question) -> QuerySet[VideoJob]:
    theirs = VideoJob.objects.filter(owner__in=question.people)
    # A union, because PostgreSQL reads the whole table for an OR of the three.
    wanted = VideoJob.objects.filter(pk__in=question.jobs).order_by().values("pk")
    parts = [theirs.unfinished()]
    parts += [theirs.filter(owner__in=people, finished_at__gte=since) for since, people in _by_moment(question)]
    union = wanted.union(*(part.order_by().values("pk") for part in parts))
    rows = VideoJob.objects.visible().filter(pk__in=union).select_related("model")
    return rows.annotate(frame_at=F("preview_frame__updated_at"))


def _by_moment(question: Question) -> list[tuple[datetime, list[int]]]:
    """People in two groups, so that one who comes back after minutes makes nobody else's past be read again."""
    if not question.people:
        return []
    latest = max(question.people.values())
    early = {person: since for person, since in question.people.items() if since < latest}
    groups = [(latest, [person for person in question.people if person not in early])]
    return [*groups, (min(early.values()), list(early))] if early else groups


def _told(rows: list[VideoJob], question: Question) -> dict[str, dict[UUID, News]]:
    wait = Wait()
    told: dict[str, dict[UUID, News]] = {}
    for language in sorted({code for codes in question.languages.values() for code in codes}):
        with override(language):
            told[language] = {
                row.pk: _news(row, state_of(row, wait))
                for row in rows
                if language in question.languages.get(row.owner_id, ()) or row.owner_id not in question.languages
            }
    return told


def _gone(question: Question) -> dict[int, dict[UUID, datetime]]:
    gone: dict[int, dict[UUID, datetime]] = defaultdict(dict)
    if question.people:
        since = min(question.people.values())
        deleted = VideoJob.objects.filter(deleted_at__gte=since, owner__in=question.people)
        for row in deleted.only("pk", "owner", "deleted_at"):
            gone[row.owner_id][row.pk] = row.deleted_at or since
    return gone


def _queues(rows: Iterable[VideoJob], question: Question) -> dict[int, dict[str, Any]]:
    if not question.people:
        return {}
    paused = paused_people()
    orders: dict[int, list[VideoJob]] = {person: [] for person in question.people}
    for row in rows:
        if row.owner_id in orders and row.status in UNFINISHED:
            orders[row.owner_id].append(row)
    return {
        person: {"paused": person in paused, "order": [str(row.pk) for row in sorted(waiting, key=in_own_order)]}
        for person, waiting in orders.items()
    }


def in_own_order(job: VideoJob) -> tuple[Any, ...]:
    """The order of a person's unfinished videos: what is made first, then what waits, as they put it."""
    return (job.status == Status.QUEUED, job.rank, job.created_at)


def _news(row: Any, state: JobState) -> News:
    told = {
        "id": str(row.pk),
        "status": row.status,
        "progress": state.progress,
        "message": state.message,
        "queue_position": state.queue_position,
        "error_code": row.error_code or None,
        "preview_at": row.frame_at.isoformat() if row.frame_at else None,
        "cancel_at": row.cancel_at.isoformat() if row.cancel_at and not row.is_over else None,
    }
    eta_s = state.eta_s
    essence = (*told.values(), None if eta_s is None else round(eta_s / ETA_GRAIN_S))
    data = told | {"prompt": row.prompt[:80], "eta_s": eta_s, "elapsed_s": state.elapsed_s}
    return News(row.owner_id, row.is_over, essence, data, row.finished_at)


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def moment(at: datetime) -> int:
    """How a moment is called in the id of an event: milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def read_moment(text: str, now: datetime) -> datetime | None:
    """The moment in the id of an event; None for anything that is not one of ours, or lies ahead."""
    if not text.isascii() or not text.isdigit() or len(text) > 14:
        return None
    found = datetime.fromtimestamp(int(text) / 1000, tz=now.tzinfo)
    return min(found, now)


def since_for(text: str, now: datetime) -> datetime | None:
    """From when on endings are told to somebody whose last event was `text`; None: nothing is known of them, or it
    was too long ago.
    """
    last = read_moment(text, now)
    return None if last is None or last < now - REMEMBERED else last


def snapshot(*, person_id: int, language: str, last: str) -> dict[str, Any]:
    """The same as one look of a stream, for who asks now and then: `last` is the `now` of the answer before."""
    now = timezone.now()
    since = since_for(last, now)
    question = Question(people={person_id: (since or now) - MARGIN}, languages={person_id: (language,)})
    answer = read(question)
    jobs = answer.jobs[language].values()
    return {
        "now": str(moment(answer.at)),
        "reset": bool(last) and since is None,
        "queue": answer.queues[person_id],
        "jobs": [news.data for news in jobs],
        "gone": [str(pk) for pk in answer.gone[person_id]],
    }
