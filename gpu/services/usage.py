"""Which rented machine made a video, and how fast it was."""

from uuid import UUID

from django.db import transaction

from gpu.models import Host, Instance
from gpu.services.hosts import average


def machine_at(url: str) -> UUID | None:
    """The rented machine at `url`, the last one that had this address; None for any other server."""
    machines = Instance.objects.rented().filter(url=url).order_by("-created_at")
    return machines.values_list("pk", flat=True).first() if url else None


def remember_video(url: str, *, reference_seconds: float) -> None:
    """Let the host's memory know what the reference video would have taken on it."""
    instance = Instance.objects.rented().filter(url=url).exclude(host=None).order_by("-created_at").first()
    if instance is None or instance.host_id is None:
        return
    with transaction.atomic():
        host = Host.objects.select_for_update().get(pk=instance.host_id)
        host.seconds_per_video = average(host.seconds_per_video, reference_seconds)
        host.save(update_fields=["seconds_per_video"])
