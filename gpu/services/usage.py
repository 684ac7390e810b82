"""What a video took and cost on a rented machine."""

from decimal import Decimal

from django.db import transaction

from gpu.models import Host, Instance
from gpu.services.hosts import average

SECONDS_PER_HOUR = 3600


def cost_of(url: str, *, seconds: float) -> Decimal:
    """US dollars of `seconds` on the rented machine at `url`; nothing for any other server."""
    instance = Instance.objects.rented().filter(url=url).order_by("-created_at").first() if url else None
    if instance is None:
        return Decimal(0)
    return (instance.usd_per_hour * Decimal(str(seconds)) / SECONDS_PER_HOUR).quantize(Decimal("0.0001"))


def remember_video(url: str, *, reference_seconds: float) -> None:
    """Let the host's memory know what the reference video would have taken on it."""
    instance = Instance.objects.rented().filter(url=url).exclude(host=None).order_by("-created_at").first()
    if instance is None or instance.host_id is None:
        return
    with transaction.atomic():
        host = Host.objects.select_for_update().get(pk=instance.host_id)
        host.seconds_per_video = average(host.seconds_per_video, reference_seconds)
        host.save(update_fields=["seconds_per_video"])
