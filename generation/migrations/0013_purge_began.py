from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0012_index_ends_by_owner")]

    operations = [
        migrations.AddField(
            model_name="videojob",
            name="purge_began_at",
            field=models.DateTimeField(
                blank=True, help_text="Since when its files go; from then on it cannot be brought back.", null=True
            ),
        )
    ]
