"""Finding one's videos among ten thousand: filters, pages by key, tags, and what a batch came to."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, F, Prefetch, Q, QuerySet, Sum
from django.utils import timezone

from generation import queries
from generation.models import UNFINISHED, Batch, Provider, Status, Tag, VideoJob

MAX_WORDS = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which videos; what is left empty does not matter. `since` is included, `until` is not."""

    words: str = ""
    statuses: Collection[str] = ()
    model: str = ""
    since: datetime | None = None
    until: datetime | None = None
    favourite: bool | None = None
    tags: tuple[str, ...] = ()
    batch: UUID | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last video of a page: the next one begins behind it."""

    created_at: datetime
    pk: UUID


def midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def midnight_after(day: date) -> datetime | None:
    """None behind the last day that there is."""
    return midnight(day + timedelta(days=1)) if day < date.max else None


def matching(user: User, wanted: Wanted) -> QuerySet[VideoJob]:
    """The person's videos that fit, in no order."""
    rows = VideoJob.objects.owned_by(user).filter(_plain(wanted))
    for name in wanted.tags:
        rows = rows.filter(pk__in=_tagged(user, Q(tag__name=name)))
    for word in wanted.words.split()[:MAX_WORDS]:
        rows = rows.filter(_has(user, word))
    return rows


def _plain(wanted: Wanted) -> Q:
    fits = Q(status__in=wanted.statuses) if wanted.statuses else Q()
    if wanted.favourite is not None:
        fits &= Q(favourite_at__isnull=not wanted.favourite)
    if wanted.draft:
        fits &= Q(model__provider=Provider.PREVIEW) | Q(steps__lt=F("model__default_steps"))
    lookups = {
        "model__slug": wanted.model,
        "created_at__gte": wanted.since,
        "created_at__lt": wanted.until,
        "batch": wanted.batch,
    }
    return fits & Q(**{lookup: value for lookup, value in lookups.items() if value})


def _has(user: User, word: str) -> Q:
    found = Q(pk__in=_tagged(user, _any("tag__name", word)))
    return found | _any("prompt", word) | _any("alt_text", word)


def _any(column: str, word: str) -> Q:
    # SQLite ignores the case of ASCII letters only; the spellings of a word that people really use make up for it.
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    found = Q()
    for spelling in spellings:
        found |= Q(**{f"{column}__icontains": spelling})
    return found


def _tagged(user: User, which: Q) -> Any:
    """Ids of videos with such tags. Not correlated: the database looks for them once, not for every video."""
    return VideoJob.tags.through.objects.filter(which, tag__owner=user).values("videojob_id")


def page_of(
    user: User, wanted: Wanted, *, size: int, after: Cursor | None = None, oldest: bool = False
) -> tuple[list[VideoJob], Cursor | None]:
    """`size` videos behind `after`, with what cards show of them, and where the next page begins."""
    rows, order = matching(user, wanted), ("created_at", "pk") if oldest else ("-created_at", "-pk")
    if after:
        rows = rows.filter(_behind(after, oldest=oldest))
    # The ids first: joined with the models, the database would sort whole rows, and begins at the wrong table.
    ids = list(rows.order_by(*order).values_list("pk", flat=True)[: size + 1])
    page = own(user, ids[:size])
    more = page and len(ids) > size
    return page, Cursor(page[-1].created_at, page[-1].pk) if more else None


def _behind(after: Cursor, *, oldest: bool) -> Q:
    way = "gt" if oldest else "lt"
    # The first part alone is what an index can be used for.
    reached = Q(**{f"created_at__{way}e": after.created_at})
    return reached & (Q(**{f"created_at__{way}": after.created_at}) | Q(**{f"pk__{way}": after.pk}))


def with_tags(rows: QuerySet[VideoJob]) -> QuerySet[VideoJob]:
    return rows.prefetch_related(Prefetch("tags", Tag.objects.order_by("name")))


def own(user: User, ids: Iterable[UUID]) -> list[VideoJob]:
    """Those of `ids` that are the person's, in the order of `ids`."""
    wanted = list(dict.fromkeys(ids))
    found = {row.pk: row for row in with_tags(queries.jobs_of(user).filter(pk__in=wanted))}
    return [found[pk] for pk in wanted if pk in found]


def tag_names(user: User) -> list[str]:
    return list(Tag.objects.filter(owner=user).values_list("name", flat=True))


@dataclass(frozen=True, slots=True)
class TagUse:
    """A tag, and on how many videos it is."""

    pk: int
    name: str
    videos: int


def tags_with_counts(user: User) -> list[TagUse]:
    used = Count("jobs", filter=Q(jobs__deleted_at=None))
    rows = Tag.objects.filter(owner=user).annotate(videos=used).order_by("name")
    return [TagUse(row.pk, row.name, row.videos) for row in rows]


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What became of videos that were asked for together; dollars."""

    batch: Batch
    counts: Sequence[tuple[str, int]]  # state and how many, in the order in which a video goes through them
    usd: Decimal
    is_final: bool

    @property
    def videos(self) -> int:
        return sum(count for _, count in self.counts)

    @property
    def unfinished(self) -> int:
        return sum(count for status, count in self.counts if status in UNFINISHED)

    @property
    def failed(self) -> int:
        return dict(self.counts).get(Status.FAILED, 0)


def batch_head(user: User, pk: UUID) -> BatchHead | None:
    """None when the person has no such batch."""
    batch = Batch.objects.filter(owner=user, pk=pk).first()
    if batch is None:
        return None
    rows = VideoJob.objects.owned_by(user).filter(batch=batch).values("status")
    sums = {
        row["status"]: row
        for row in rows.annotate(n=Count("pk"), usd=Sum("cost_usd"), open=Count("pk", filter=Q(cost_is_final=False)))
    }
    counts = [(str(status), sums[status]["n"]) for status in Status if status in sums]
    usd = sum((row["usd"] for row in sums.values()), Decimal(0))
    return BatchHead(batch, counts, usd, is_final=not any(row["open"] for row in sums.values()))
