"""What is done every minute beside the rounds, and also when they hang: alarms, their notices, points of the plot."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu import providers
from gpu.models import FleetStatus, Instance
from gpu.services import alarm_notices, alarms, audit, bills, charges, samples
from i2v_site.sentences import Sentence

LEDGER_EVERY = timedelta(days=1)
NOT_ADDING_UP = Sentence(gettext_noop("The ledger does not add up in %(count)s places. %(subject)s: %(message)s"))


def look() -> None:
    """Raise and clear alarms, ring for notices that are due, write the minute's sample, read the bills that are due.

    Safe to run twice.
    """
    now = timezone.now()
    charges.close_the_gone()
    add_up(now)
    alarms.check(now)
    alarm_notices.ring_due()
    if settings.VASTAI_API_KEY or Instance.objects.rented().alive().exists():
        samples.record(now, waiting=providers.demand().waiting)
        samples.forget_old(now)
    if settings.VASTAI_API_KEY:
        bills.check(now)


def add_up(now: datetime) -> None:
    """Once a day: whether the ledger adds up. What is wrong is kept for the alarm until a later day finds it right."""
    due = Q(ledger_checked_at=None) | Q(ledger_checked_at__lte=now - LEDGER_EVERY)
    if FleetStatus.objects.get_or_create(pk=1)[0] and FleetStatus.objects.filter(due, pk=1).update(
        ledger_checked_at=now
    ):
        problems = audit.check_ledger()
        words = ""
        if problems:
            first = problems[0]
            words = NOT_ADDING_UP(count=len(problems), subject=first.subject, message=first.message)
        FleetStatus.objects.filter(pk=1).update(ledger_trouble=words[:300])
