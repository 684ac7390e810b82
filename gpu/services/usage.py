"""How fast the machine was that made a video."""

from django.db import transaction

from gpu.models import Host, Instance
from gpu.services.hosts import average


def remember_video(url: str, *, reference_seconds: float) -> None:
    """Let the host's memory know what the reference video would have taken on it."""
    instance = Instance.objects.rented().filter(url=url).exclude(host=None).order_by("-created_at").first()
    if instance is None or instance.host_id is None:
        return
    with transaction.atomic():
        host = Host.objects.select_for_update().get(pk=instance.host_id)
        host.seconds_per_video = average(host.seconds_per_video, reference_seconds)
        host.save(update_fields=["seconds_per_video"])
