"""The database itself refuses to change a ledger entry; only the account of a person may go from it.

SQLite makes a table anew when a column of it changes, and its triggers are gone then: a later migration of this table
has to make them again. Deleting is refused by PostgreSQL alone; on SQLite it is how tests empty a table.
"""

from django.db import migrations

FINAL = ("id", "book", "subject", "instance_id", "kind", "usd", "at", "key", "note")

SQLITE = [
    f"""
    CREATE TRIGGER ledger_entries_are_final BEFORE UPDATE ON gpu_ledgerentry
    WHEN {" OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in FINAL)}
      OR (NEW.person_id IS NOT OLD.person_id AND NEW.person_id IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END
    """,
]
POSTGRES = [
    f"""
    CREATE FUNCTION ledger_entries_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'DELETE' OR {" OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in FINAL)}
        OR (NEW.person_id IS DISTINCT FROM OLD.person_id AND NEW.person_id IS NOT NULL)
      THEN RAISE EXCEPTION 'ledger entries are never changed' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER ledger_entries_are_final BEFORE UPDATE OR DELETE ON gpu_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION ledger_entries_are_final()
    """,
]
UNDO = {
    "sqlite": ["DROP TRIGGER IF EXISTS ledger_entries_are_final"],
    "postgresql": [
        "DROP TRIGGER IF EXISTS ledger_entries_are_final ON gpu_ledgerentry",
        "DROP FUNCTION IF EXISTS ledger_entries_are_final()",
    ],
}
DO = {"sqlite": SQLITE, "postgresql": POSTGRES}


def add(apps, schema_editor):
    for statement in DO.get(schema_editor.connection.vendor, []):
        schema_editor.execute(statement)


def remove(apps, schema_editor):
    for statement in UNDO.get(schema_editor.connection.vendor, []):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("gpu", "0008_money_of_everything")]
    operations = [migrations.RunPython(add, remove)]
