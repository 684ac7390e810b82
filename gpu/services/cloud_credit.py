"""The floor of the account at fal.ai: what is known of it is what fal.ai says when it is used up."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from gpu.errors import CapReached
from gpu.models import FleetStatus

# After this long one call may try again; when it fails, it says so again.
REFUSED_FOR = timedelta(minutes=15)
ALARM_FOR = timedelta(hours=1)


def told_empty(message: str) -> None:
    """fal.ai refused a call for lack of money."""
    FleetStatus.objects.get_or_create(pk=1)
    FleetStatus.objects.filter(pk=1).update(cloud_trouble=message[:300], cloud_trouble_at=timezone.now())


def told_fine() -> None:
    """fal.ai took a call and its money: there is some."""
    FleetStatus.objects.filter(pk=1).exclude(cloud_trouble="").update(cloud_trouble="", cloud_trouble_at=None)


def trouble(now: datetime | None = None, *, within: timedelta = ALARM_FOR) -> str:
    """What fal.ai said lately; "" when it takes calls, or has not said anything for a while."""
    row = FleetStatus.objects.filter(pk=1).only("cloud_trouble", "cloud_trouble_at").first()
    if row is None or row.cloud_trouble_at is None or (now or timezone.now()) - row.cloud_trouble_at >= within:
        return ""
    return row.cloud_trouble


def check() -> None:
    """Raises CapReached while fal.ai is known to take no calls for lack of money."""
    if trouble(within=REFUSED_FOR):
        raise CapReached(
            _(
                "The operator's account at fal.ai is used up, so no cloud video can be made now. "
                "Choose a model that runs on a GPU here, or ask the operator to add credit."
            )
        )
