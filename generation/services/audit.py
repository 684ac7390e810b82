"""Who did what about rights, reports and checks. Entries hold no prompt and no address of a person."""

from typing import Any

from generation.models import AuditEntry


def note(action: str, subject: str, *, actor: str = "", **details: Any) -> AuditEntry:
    """Write one entry; call it in the transaction of what it tells. `actor` is a user name, empty: the platform."""
    return AuditEntry.objects.create(actor=actor[:150], action=action, subject=subject, details=details)
