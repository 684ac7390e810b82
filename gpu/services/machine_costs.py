"""Reads of what rented machines have cost, for whoever shares it among the videos that they made."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from gpu.models import Instance
from gpu.services.true_cost import MachineCost

# vast.ai books by the day and late; what it has not told after this long, it does not tell any more.
BILL_WAIT = timedelta(days=5)


def machine_cost(machine_id: UUID) -> MachineCost | None:
    """One machine; None for an id that is none of ours."""
    row = Instance.objects.rented().filter(pk=machine_id).first()
    return cost_of(row) if row else None


def machine_costs(machine_ids: Iterable[UUID]) -> dict[UUID, MachineCost]:
    """Several machines in one query."""
    return {row.pk: cost_of(row) for row in Instance.objects.rented().filter(pk__in=set(machine_ids))}


def machines_over(since: datetime, unfinished: Iterable[UUID] = ()) -> list[MachineCost]:
    """Machines that are over, the oldest end first: those that ended since a moment, and those of `unfinished`."""
    wanted = Q(ended_at__gte=since) | Q(pk__in=set(unfinished))
    return [cost_of(row) for row in Instance.objects.rented().over().filter(wanted).order_by("ended_at", "pk")]


def cost_of(row: Instance) -> MachineCost:
    return MachineCost(
        machine_id=row.pk,
        gpu_name=row.gpu_name,
        usd_per_hour=row.usd_per_hour,
        spent_usd=row.spent_usd,
        over=row.is_over,
        billed=row.is_over and (row.vast_id is None or row.bill_settled),
        ended_at=row.ended_at,
    )
