"""The clock of the fleet: every minute, whatever else happens."""

from django.db import migrations

NAME = "look after rented machines"


def add(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.get_or_create(
        name=NAME, defaults={"func": "gpu.tasks.reconcile", "schedule_type": "I", "minutes": 1, "repeats": -1}
    )


def remove(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("gpu", "0004_alarms_and_samples"), ("django_q", "0018_task_success_index")]
    operations = [migrations.RunPython(add, remove)]
