"""Rings for the fleet when something in it moves, or when a video waits that has nowhere to go."""

from generation.models import Provider, VideoJob
from gpu.services import outlook, reconcile
from i2v_site.queue import ring


def ring_if_needed() -> None:
    """Ask a worker to look at the fleet now. A ring too many does no harm: only one look runs at a time."""
    if reconcile.fleet_in_flux() or reconcile.round_is_due() or (_waiting() and outlook.may_rent()):
        ring("gpu.tasks.reconcile")


def _waiting() -> bool:
    return VideoJob.objects.waiting().filter(model__provider=Provider.SWARMUI, image__isnull=False).exists()
