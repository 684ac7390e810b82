"""What a machine went through, one line per change, in words for people and with what it had cost by then."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from gpu.models import Instance, InstanceEvent


def note(instance: Instance, kind: str, message: str, *, actor: User | None = None, **data: Any) -> InstanceEvent:
    """Add a line to the timeline."""
    facts = {"spent_usd": str(instance.spent_usd), "state": instance.state} | data
    return InstanceEvent.objects.create(
        instance=instance, at=timezone.now(), kind=kind, message=message[:300], data=facts, actor=actor
    )


def note_once(instance: Instance, kind: str, message: str) -> None:
    """Add a line unless it would say the same as the last one of its kind."""
    last = instance.events.filter(kind=kind).order_by("at", "pk").last()
    if last is None or last.message != message[:300]:
        note(instance, kind, message)
