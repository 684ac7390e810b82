"""One row a minute about the fleet, for the plot."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum

from gpu.models import FleetSample, Instance, InstanceState

KEPT = timedelta(days=35)


def record(now: datetime, *, waiting: int) -> None:
    """Write this minute's sample, over an earlier one of the same minute. `waiting` counts videos without a GPU."""
    rented = Instance.objects.rented()
    counted = rented.alive().aggregate(machines=Count("pk"), ready=Count("pk", filter=Q(state=InstanceState.READY)))
    spent = rented.aggregate(usd=Sum("spent_usd"))["usd"] or Decimal(0)
    FleetSample.objects.update_or_create(
        at=now.replace(second=0, microsecond=0), defaults=counted | {"waiting": waiting, "spend_usd": spent}
    )


def forget_old(now: datetime) -> int:
    """Delete the samples that no plot shows any more; returns how many."""
    return FleetSample.objects.filter(at__lt=now - KEPT).delete()[0]
