"""What every page needs."""

from django.conf import settings
from django.http import HttpRequest

from generation.pages.shell import texts_version
from gpu import queries


def site(_request: HttpRequest) -> dict[str, object]:
    # Called by the templates that show it, and only for staff: nobody else's page pays for the look.
    alarms = queries.open_alarms
    return {
        "staff_alarms": alarms,
        "demo": settings.DEMO,
        "signup_open": settings.SIGNUP_OPEN,
        "texts_version": texts_version,
    }
