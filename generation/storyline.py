"""Chains of videos that continue each other: which one follows which, and every take of each."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from generation.models import Status, VideoJob

MAX_LINKS = 100
MAX_VIDEOS = 500

_UP = """
WITH RECURSIVE up(id, continues_id, depth) AS (
    SELECT id, continues_id, 0 FROM generation_videojob WHERE id = %s
    UNION ALL
    SELECT job.id, job.continues_id, up.depth + 1 FROM generation_videojob job JOIN up ON job.id = up.continues_id
    WHERE job.owner_id = %s AND job.deleted_at IS NULL AND up.depth < %s
) SELECT id FROM up ORDER BY depth DESC LIMIT 1
"""
_DOWN = """
WITH RECURSIVE down(id, depth) AS (
    SELECT id, 0 FROM generation_videojob WHERE id IN ({places})
    UNION ALL
    SELECT job.id, down.depth + 1 FROM generation_videojob job JOIN down ON job.continues_id = down.id
    WHERE job.owner_id = %s AND job.deleted_at IS NULL AND down.depth < %s
) SELECT id FROM down ORDER BY depth LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Link:
    """One video of the chain, and all takes of it, the oldest first."""

    job: VideoJob
    takes: tuple[VideoJob, ...]
    number: int  # from 1
    from_earlier_take: bool  # it goes on from another take than the one before it here
    next_goes_on: bool
    cut_frame: int | None  # at which frame, from 0, the next one goes on; None: the last

    @property
    def take_number(self) -> int:
        return self.takes.index(self.job) + 1

    @property
    def is_done(self) -> bool:
        return self.job.status == Status.SUCCEEDED and self.job.hidden_at is None


@dataclass(frozen=True, slots=True)
class Storyline:
    """The chain in its order; a video that nothing continues is a chain of one."""

    links: tuple[Link, ...]

    @property
    def done(self) -> tuple[Link, ...]:
        """The finished ones, up to the first that is not."""
        missing = next((place for place, link in enumerate(self.links) if not link.is_done), len(self.links))
        return self.links[:missing]

    @property
    def is_whole(self) -> bool:
        return len(self.done) == len(self.links)

    @property
    def can_be_joined(self) -> bool:
        return len(self.done) > 1


def storyline_of(job: VideoJob) -> Storyline:
    """The chain through `job`, in four queries however long it is.

    Where a video was continued more than once, the way with the most videos is taken. After a take that nothing
    continues comes what continues another take of the same.
    """
    family = _Family(_relatives(job))
    path = family.before(job)
    while len(path) < MAX_LINKS and (following := family.after(path[-1])):
        path.append(following)
    return Storyline(tuple(_links(path, family)))


def _links(path: list[VideoJob], family: "_Family") -> Iterable[Link]:
    for place, job in enumerate(path):
        before = path[place - 1] if place else None
        after = path[place + 1] if place + 1 < len(path) else None
        yield Link(
            job=job,
            takes=tuple(family.takes(job)),
            number=place + 1,
            from_earlier_take=before is not None and job.continues_id != before.pk,
            next_goes_on=after is not None,
            cut_frame=after.continues_frame if after else None,
        )


def _relatives(job: VideoJob) -> list[VideoJob]:
    root = VideoJob.objects.get(pk=_ids(_UP, [_db(job.pk), job.owner_id, MAX_LINKS])[0])
    roots = _takes_of_root(root)
    places = ", ".join(["%s"] * len(roots))
    ids = _ids(_DOWN.format(places=places), [*map(_db, roots), job.owner_id, MAX_LINKS, MAX_VIDEOS])
    return list(VideoJob.objects.filter(pk__in={*ids, job.pk}).select_related("model", "image").order_by("created_at"))


def _takes_of_root(root: VideoJob) -> list[UUID]:
    """The beginning and its repetitions: the same words, picture and model."""
    related = Q(pk=root.pk) | Q(parent=root.pk)
    if root.parent_id:
        related |= Q(pk=root.parent_id) | Q(parent=root.parent_id)
    same = VideoJob.objects.visible().filter(
        related, owner=root.owner_id, continues=None, prompt=root.prompt, image=root.image_id, model=root.model_id
    )
    return [root.pk, *(pk for pk in same.values_list("pk", flat=True)[:MAX_LINKS] if pk != root.pk)]


def _ids(question: str, values: list[Any]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        return [pk if isinstance(pk, UUID) else UUID(pk) for (pk,) in cursor.fetchall()]


def _db(pk: UUID) -> Any:
    """As this database keeps ids."""
    return VideoJob._meta.pk.get_db_prep_value(pk, connection)  # noqa: SLF001 (documented, whatever its name)


class _Family:
    """All videos of a chain with every take, by whom they continue."""

    def __init__(self, jobs: list[VideoJob]) -> None:
        self._by_id = {job.pk: job for job in jobs}
        self._next: dict[UUID, list[VideoJob]] = defaultdict(list)
        self._first: list[VideoJob] = []
        for job in jobs:
            if job.continues_id in self._by_id:
                self._next[job.continues_id].append(job)
            else:
                self._first.append(job)
        self._depths: dict[UUID, int] = {}

    def takes(self, job: VideoJob) -> list[VideoJob]:
        return self._next[job.continues_id] if job.continues_id in self._by_id else self._first

    def before(self, job: VideoJob) -> list[VideoJob]:
        """From the first one to `job`."""
        path = [self._by_id[job.pk]]
        while path[0].continues_id in self._by_id and len(path) < MAX_LINKS:
            path.insert(0, self._by_id[path[0].continues_id])
        return path

    def after(self, job: VideoJob) -> VideoJob | None:
        own = self._next[job.pk]
        others = [following for take in self.takes(job) for following in self._next[take.pk]]
        return max(own or others, key=self._worth, default=None)

    def _worth(self, job: VideoJob) -> tuple[int, bool, float]:
        return self._depth(job), job.status == Status.SUCCEEDED, job.created_at.timestamp()

    def _depth(self, job: VideoJob) -> int:
        if job.pk not in self._depths:
            self._depths[job.pk] = 1 + max((self._depth(following) for following in self._next[job.pk]), default=0)
        return self._depths[job.pk]
