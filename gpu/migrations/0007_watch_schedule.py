"""Alarms and the points of the plot, every minute."""

from django.db import migrations

NAME = "watch the fleet"


def add(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.get_or_create(
        name=NAME, defaults={"func": "gpu.tasks.watch", "schedule_type": "I", "minutes": 1, "repeats": -1}
    )


def remove(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("gpu", "0006_seed_model_files"), ("django_q", "0018_task_success_index")]
    operations = [migrations.RunPython(add, remove)]
