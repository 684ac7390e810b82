"""The clock of what people are told: what is due is rung for every minute, what is old is forgotten."""

from django.db import migrations

TASKS = {
    "ring for notices that are due": ("generation.tasks.tell_people", "I", 1),
    "forget old notices": ("generation.tasks.forget_notices", "H", None),
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
    dependencies = [("generation", "0008_fal_models"), ("django_q", "0018_task_success_index")]
    operations = [migrations.RunPython(add, remove)]
