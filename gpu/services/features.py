"""What the SwarmUI servers can do besides rendering, by the names that they give it themselves."""

from gpu.models import GpuConfig, Instance, InstanceState
from gpu.services import config

FRAMES_BETWEEN = "frameinterps"  # ComfyUI-Frame-Interpolation is installed there


def known() -> dict[str, frozenset[str] | None]:
    """The features of every server that may be given work, by address; None: nobody knows now.

    Asks a server that was typed in by hand, for at most two seconds and at most every five.
    """
    url = GpuConfig.objects.filter(pk=1).values_list("swarmui_url", flat=True).first()
    if url:
        return {url: config.features_of(url)}
    ready = Instance.objects.rented().filter(state=InstanceState.READY)
    return {address: frozenset(told) for address, told in ready.values_list("url", "features")}


def offered(feature: str) -> bool:
    """Whether a server has it; while none is rented, whether the last one had it: the next has the same image."""
    found = known()
    if found:
        return any(told and feature in told for told in found.values())
    last = Instance.objects.rented().exclude(ready_at=None).order_by("-ready_at").values_list("features", flat=True)
    return feature in (last.first() or [])
