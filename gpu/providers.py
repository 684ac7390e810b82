"""The only place where settings and rows become clients."""

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from gpu.clients.swarmui import SwarmClient
from gpu.clients.vastai import VastClient
from gpu.errors import RentingOff
from gpu.services.fleet_values import Demand


def vast() -> VastClient:
    """The account at vast.ai; one client per process. Raises RentingOff when there is no key."""
    if not settings.VASTAI_API_KEY:
        raise RentingOff(_("There is no vast.ai key: the operator sets VASTAI_API_KEY."))
    return _vast(settings.VASTAI_URL, settings.VASTAI_API_KEY)


@lru_cache(maxsize=8)
def _vast(url: str, key: str) -> VastClient:
    return VastClient(url, key)


def machine_swarm(url: str, *, secret: str, allowed: frozenset[str], timeout_s: float) -> SwarmClient:
    """SwarmUI on a machine of ours. `allowed`: its host:port as vast.ai's record of it says."""
    return SwarmClient(url, authorization=f"Bearer {secret}", allow_private=allowed, call_timeout_s=timeout_s)


def demand() -> Demand:
    """The work that waits, from whoever knows it."""
    if not settings.FLEET_DEMAND:
        return Demand()
    ask: Callable[[], Demand] = import_string(settings.FLEET_DEMAND)
    return ask()
