"""States and how many videos are in them."""

from django import template
from django.utils.translation import gettext as _

from generation.models import Status

register = template.Library()


@register.filter
def state_count(status: str, count: int) -> str:
    """ "3 done"."""
    words = {
        Status.QUEUED: _("%(count)d queued"),
        Status.RENDERING: _("%(count)d rendering"),
        Status.STORING: _("%(count)d storing"),
        Status.SUCCEEDED: _("%(count)d done"),
        Status.FAILED: _("%(count)d failed"),
        Status.CANCELLED: _("%(count)d cancelled"),
    }
    return words[Status(status)] % {"count": count}
