"""The clock of the platform: what django-q looks at every minute."""

from django.db import migrations

TASKS = {
    "worker heartbeat": ("generation.tasks.heartbeat", "I", 1),
    "ring for rows nobody holds": ("generation.tasks.sweep", "I", 1),
    "clean up files and old keys": ("generation.tasks.clean_up", "H", None),
}


def add(apps, schema_editor):
    schedule = apps.get_model("django_q", "Schedule")
    for name, (func, kind, minutes) in TASKS.items():
        schedule.objects.get_or_create(
            name=name, defaults={"func": func, "schedule_type": kind, "minutes": minutes, "repeats": -1}
        )


def remove(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name__in=TASKS).delete()


class Migration(migrations.Migration):
    dependencies = [("generation", "0002_seed_catalogue"), ("django_q", "0018_task_success_index")]
    operations = [migrations.RunPython(add, remove)]
