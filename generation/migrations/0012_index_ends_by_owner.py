from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """What of a person's ended lately is asked for by every page that connects again."""

    dependencies = [
        ("generation", "0011_end_pictures"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="videojob",
            index=models.Index(fields=["owner", "-finished_at"], name="job_owner_finished"),
        ),
    ]
