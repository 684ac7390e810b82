"""What the fleet means for somebody who waits for a GPU."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu.models import GpuProvider, Instance, InstanceState
from gpu.services import config

S = InstanceState
_COMING = (S.PROVISIONING, S.BOOTING, S.CREATING, S.REQUESTED)
_WORDS = {
    S.REQUESTED: gettext_noop("A GPU is being rented"),
    S.CREATING: gettext_noop("A GPU is being rented"),
    S.BOOTING: gettext_noop("The rented GPU is booting"),
    S.PROVISIONING: gettext_noop("The rented GPU is loading its models"),
}
TO_RENT = gettext_noop("Waiting for a GPU to be rented")
USUAL_BOOT = timedelta(minutes=8)


@dataclass(frozen=True, slots=True)
class Outlook:
    """`servers`: how many render now. Without one, `message` says what is on its way or missing; times are seconds."""

    servers: int
    message: str = ""
    ready_in_s: float | None = None


def can_render() -> bool:
    """Whether a video for SwarmUI has anywhere to go: a server, or the leave to rent one."""
    return bool(config.endpoints()) or may_rent() or Instance.objects.rented().filter(state__in=_COMING).exists()


def may_rent() -> bool:
    row = config.load()
    return bool(settings.VASTAI_API_KEY and row.gpu_provider == GpuProvider.VASTAI and row.renting and row.max_machines)


def outlook() -> Outlook:
    """What to tell people whose videos wait for SwarmUI."""
    servers = len(config.endpoints())
    if servers:
        return Outlook(servers)
    coming = {row.state: row for row in Instance.objects.rented().filter(state__in=_COMING).select_related("host")}
    for state in _COMING:
        if state in coming:
            return Outlook(0, _WORDS[state], _ready_in(coming[state]))
    if may_rent():
        return Outlook(0, TO_RENT, USUAL_BOOT.total_seconds())
    return Outlook(0, gettext_noop("Waiting for a GPU: no server is configured and renting is off"))


def _ready_in(instance: Instance) -> float:
    usual = instance.host.boot_seconds if instance.host and instance.host.boot_seconds else USUAL_BOOT.total_seconds()
    gone = (timezone.now() - (instance.sent_at or instance.created_at)).total_seconds()
    # An overdue machine is not ready at once: say "soon", not zero.
    return max(15.0, usual - gone)
