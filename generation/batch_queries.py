"""Batches with what became of their videos."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, QuerySet, Sum

from generation.models import UNFINISHED, Batch, VideoJob
from gpu.services.booking import near


@dataclass(slots=True)
class Tally:
    """How many videos of a batch have each status (deleted ones are not counted), and what all have cost."""

    by_status: dict[str, int] = field(default_factory=dict)
    cost_usd: Decimal = Decimal(0)

    @property
    def count(self) -> int:
        return sum(self.by_status.values())

    @property
    def unfinished(self) -> int:
        return sum(self.by_status.get(status, 0) for status in UNFINISHED)


def batches_of(user: User) -> QuerySet[Batch]:
    return Batch.objects.filter(owner=user)


def tallies_of(batches: Sequence[Batch]) -> dict[UUID, Tally]:
    """One query for all of them."""
    found = {batch.pk: Tally() for batch in batches}
    rows = VideoJob.objects.visible().filter(batch__in=found).order_by()
    for pk, status, count, usd in rows.values_list("batch", "status").annotate(Count("pk"), Sum("cost_usd")):
        found[pk].by_status[status] = count
        found[pk].cost_usd += near(usd or Decimal(0))
    return found
