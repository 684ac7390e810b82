"""What was spent, with the videos, models and people that it was spent on: reads that join the books with jobs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.utils.translation import gettext_lazy

from generation.models import Attempt, VideoJob, VideoModel
from gpu import queries_spend as books
from gpu.months import Month
from gpu.queries_spend import ZERO, MachineMoney, PersonMoney, exact

BATCH = 500
GONE = gettext_lazy("Deleted videos")
NOBODY = gettext_lazy("Deleted accounts")


@dataclass(frozen=True, slots=True)
class ModelSum:
    """What videos of one model were charged, or what calls of it have cost. `slug` is empty for deleted videos."""

    slug: str
    name: str
    videos: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class PersonSpend:
    """One person's month."""

    month: Month
    days: dict[date, Decimal]
    models: list[ModelSum]

    @property
    def usd(self) -> Decimal:
        return sum(self.days.values(), ZERO)


@dataclass(frozen=True, slots=True)
class VideoMoney:
    """One video and what was charged for it in the month; `job` is None once its row is gone."""

    job_id: UUID
    job: VideoJob | None
    usd: Decimal
    at: datetime

    @property
    def operator_usd(self) -> Decimal:
        """What it has cost above what was promised; it stays with the operator."""
        return max(ZERO, self.job.direct_usd + self.job.share_usd - self.job.cost_usd) if self.job else ZERO


@dataclass(frozen=True, slots=True)
class Promise:
    """A video that money is put aside for, until its end is known."""

    job: VideoJob
    usd: Decimal


# --- one person -------------------------------------------------------------------------------------------------------


def person_spend(person: User, month: Month) -> PersonSpend:
    account = books.account_of(person.pk)
    days = books.by_day([account], month)[account]
    return PersonSpend(month, days, _by_model(books.charges(month, person.pk)))


def _by_model(entries: QuerySet[Any]) -> list[ModelSum]:
    of_job = VideoJob.objects.filter(pk=OuterRef("subject")).values("model")
    rows = entries.annotate(model=Subquery(of_job)).values("model")
    sums = list(rows.annotate(usd=Sum("usd"), videos=Count("subject", distinct=True)))
    known = VideoModel.objects.in_bulk([row["model"] for row in sums if row["model"]])
    found = [_model_sum(known.get(row["model"]), row["videos"], exact(row["usd"])) for row in sums]
    return sorted(found, key=lambda row: (-row.usd, row.name))


def _model_sum(model: VideoModel | None, videos: int, usd: Decimal) -> ModelSum:
    return ModelSum(model.slug, model.name, videos, usd) if model else ModelSum("", str(GONE), videos, usd)


def videos_of(person: User, rows: Sequence[dict[str, Any]]) -> list[VideoMoney]:
    """Rows of `gpu.queries_spend.charged_videos` with their jobs, in one query."""
    jobs = {job.pk: job for job in _own(person, [row["subject"] for row in rows])}
    return [VideoMoney(row["subject"], jobs.get(row["subject"]), exact(row["usd"]), row["at"]) for row in rows]


def all_videos_of(person: User, month: Month) -> Iterator[VideoMoney]:
    """Every video that was charged in the month, read as it is asked for."""
    rows = books.charged_videos(person.pk, month).iterator(BATCH)
    while part := list(islice(rows, BATCH)):
        yield from videos_of(person, part)


def promises_of(person: User) -> list[Promise]:
    """Videos in the making, and ended ones whose cost is still being found out; the newest first."""
    usd = books.open_promises(person.pk)
    jobs = {job.pk: job for job in _own(person, list(usd))}
    return [Promise(jobs[pk], usd[pk]) for pk in usd if pk in jobs]


_SHOWN = (
    *("prompt", "status", "created_at", "deleted_at", "model__slug", "model__name"),
    *("direct_usd", "share_usd", "cost_usd", "cost_is_final"),
)


def _own(person: User, ids: Iterable[UUID]) -> QuerySet[VideoJob]:
    # Deleted ones too: they were paid for. Never somebody else's, whatever the books say.
    rows = VideoJob.objects.filter(owner=person, pk__in=list(ids)).select_related("model")
    return rows.only(*_SHOWN)


# --- the site, for staff ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    machine_usd: Decimal
    cloud_usd: Decimal

    @property
    def usd(self) -> Decimal:
        return self.machine_usd + self.cloud_usd


@dataclass(frozen=True, slots=True)
class PersonRow:
    name: str
    money: PersonMoney


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A machine with the videos made on it. What no video used up directly is boot, download, idle time and storage."""

    money: MachineMoney
    videos: int
    direct_usd: Decimal

    @property
    def overhead_usd(self) -> Decimal:
        return max(ZERO, self.money.cost_usd - self.direct_usd)

    @property
    def overhead(self) -> Decimal | None:
        """Share of its cost, 0 to 1; None when it cost nothing."""
        return self.overhead_usd / self.money.cost_usd if self.money.cost_usd > 0 else None


@dataclass(frozen=True, slots=True)
class SiteSpend:
    """The whole site's month. What people were charged is a share of the other two, never added to them."""

    month: Month
    days: list[Day]
    people: list[PersonMoney]
    machines: list[MachineRow]
    cloud: list[ModelSum]

    @property
    def machine_usd(self) -> Decimal:
        return sum((day.machine_usd for day in self.days), ZERO)

    @property
    def cloud_usd(self) -> Decimal:
        return sum((day.cloud_usd for day in self.days), ZERO)

    @property
    def usd(self) -> Decimal:
        return self.machine_usd + self.cloud_usd

    @property
    def charged_usd(self) -> Decimal:
        return sum((row.usd for row in self.people), ZERO)

    @property
    def not_charged_usd(self) -> Decimal:
        """What the site paid and nobody was charged; below zero while a bill is behind its videos."""
        return self.usd - self.charged_usd

    @property
    def idle(self) -> Decimal | None:
        """Share of what the month's machines have cost that no video used directly; None without a machine."""
        cost = sum((row.money.cost_usd for row in self.machines), ZERO)
        return sum((row.overhead_usd for row in self.machines), ZERO) / cost if cost > 0 else None


def site_spend(month: Month) -> SiteSpend:
    return SiteSpend(month, site_days(month), books.people(month), machines(month), cloud_models(month))


def site_days(month: Month) -> list[Day]:
    """The days on which money moved."""
    days = books.by_day(["machine", "cloud"], month)
    moved = sorted(days["machine"].keys() | days["cloud"].keys())
    return [Day(day, days["machine"].get(day, ZERO), days["cloud"].get(day, ZERO)) for day in moved]


def cloud_models(month: Month) -> list[ModelSum]:
    return _by_model(books.cloud_calls(month))


def named(people: Sequence[PersonMoney]) -> list[PersonRow]:
    """With user names, in one query."""
    known = User.objects.in_bulk([row.person_id for row in people if row.person_id])
    return [PersonRow(_name(known, row.person_id), row) for row in people]


def _name(known: dict[int, User], person_id: int | None) -> str:
    return known[person_id].get_username() if person_id in known else str(NOBODY)


def machines(month: Month) -> list[MachineRow]:
    """The month's machines with what was made on them, the newest first; three queries."""
    rows = books.machines(month)
    stored = Attempt.objects.filter(
        machine__in=[row.instance.pk for row in rows], outcome=Attempt.Outcome.STORED
    ).order_by()
    made = stored.values("machine").annotate(videos=Count("job", distinct=True), usd=Sum("job__direct_usd"))
    found = {row["machine"]: (row["videos"], exact(row["usd"])) for row in made}
    return [MachineRow(row, *found.get(row.instance.pk, (0, ZERO))) for row in rows]
