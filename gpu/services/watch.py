"""What is done every minute beside the rounds, and also when they hang: alarms, their notices, points of the plot."""

from django.conf import settings
from django.utils import timezone

from gpu import providers
from gpu.models import Instance
from gpu.services import alarm_notices, alarms, samples


def look() -> None:
    """Raise and clear alarms, ring for notices that are due, write the minute's sample. Safe to run twice."""
    now = timezone.now()
    alarms.check(now)
    alarm_notices.ring_due()
    if settings.VASTAI_API_KEY or Instance.objects.rented().alive().exists():
        samples.record(now, waiting=providers.demand().waiting)
        samples.forget_old(now)
