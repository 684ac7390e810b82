"""What this app stores about one person: for who takes their data along, or leaves."""

from django.db.models import Model

from gpu.models import InstanceEvent, LedgerEntry, PersonBudget

# Name, model, and the column that names the person.
TABLES: tuple[tuple[str, type[Model], str], ...] = (
    ("budget", PersonBudget, "person"),
    ("money", LedgerEntry, "person"),
    ("what_i_did_with_machines", InstanceEvent, "actor"),
)


def entries_of(person_id: int) -> int:
    """How many entries of the ledger name the person; they stay, and lose the name with the account."""
    return LedgerEntry.objects.filter(person=person_id).count()
