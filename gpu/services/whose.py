"""Which rented machine stands behind an address."""

from uuid import UUID

from gpu.models import Instance


def machine_at(url: str) -> UUID | None:
    """The rented machine that is at `url` now; None for any other server."""
    alive = Instance.objects.rented().alive().filter(url=url).order_by("-created_at") if url else None
    return alive.values_list("pk", flat=True).first() if alive is not None else None
