"""The demonstration's market: what must be put right when it closes."""

from gpu.models import Instance, InstanceState
from gpu.services import ledger, timeline

S = InstanceState
DEPLOYMENT = "demo"
_ALIVE = (S.REQUESTED, S.CREATING, S.BOOTING, S.PROVISIONING, S.READY, S.DRAINING, S.DESTROYING)


def close_market() -> None:
    """The simulated machines ended with their simulator: none of them may be given a video again."""
    for instance in Instance.objects.rented().filter(state__in=_ALIVE, label__startswith=f"i2v/{DEPLOYMENT}/"):
        if instance.move(*_ALIVE, to=S.LOST, end_reason="The pretend market was closed."):
            ledger.release(instance=instance)
            timeline.note(instance, "lost", "The pretend market was closed.")
