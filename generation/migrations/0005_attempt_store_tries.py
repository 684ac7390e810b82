from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0004_rights_statement")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="store_tries",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often a worker began to fetch the result."
            ),
        ),
    ]
