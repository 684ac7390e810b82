"""The files of the Wan 2.2 row of the catalogue, where SwarmUI looks for them. Sizes and sums come with the upload."""

from django.db import migrations

WAN = "wan-2-2"
# Folder below SwarmUI's Models, and name (reference/swarmui-api.md 4.6 and 9.2). diffusion_models: the two are bare backbones.
# Text encoder and VAE would be fetched from elsewhere at the first video if they were missing.
FILES = (
    ("diffusion_models/Wan", "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"),
    ("diffusion_models/Wan", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"),
    ("Lora/Wan", "wan22_lightning_i2v_high.safetensors"),
    ("Lora/Wan", "wan22_lightning_i2v_low.safetensors"),
    ("text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
    ("VAE/Wan", "wan_2.1_vae.safetensors"),
)


def seed(apps, schema_editor):
    model = apps.get_model("gpu", "ModelFile")
    for folder, name in FILES:
        values = {"folder": folder, "r2_key": f"models/{folder}/{name}", "needed_by": [WAN]}
        model.objects.get_or_create(name=name, defaults=values)


def unseed(apps, schema_editor):
    # What was uploaded stays known: the bucket is paid for.
    names = [name for _, name in FILES]
    apps.get_model("gpu", "ModelFile").objects.filter(name__in=names, uploaded_at=None).delete()


class Migration(migrations.Migration):
    dependencies = [("gpu", "0005_reconcile_schedule")]
    operations = [migrations.RunPython(seed, unseed)]
