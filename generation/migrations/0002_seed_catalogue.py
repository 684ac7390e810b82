"""The two ways to make a video that need no account: Wan 2.2 on SwarmUI and the motion preview on the CPU."""

from django.db import migrations

# Names as SwarmUI lists them; the values are those of reference/swarmui-api.md 4.6.
WAN = {
    "slug": "wan-2-2",
    "name": "Wan 2.2 (GPU)",
    "summary": "Wan 2.2 I2V A14B with LightX2V: real motion in 4 steps, on a GPU.",
    "provider": "swarmui",
    "enabled": True,
    "position": 10,
    "rating": "general",
    "licence_name": "Apache 2.0",
    "licence_url": "https://huggingface.co/Wan-AI/Wan2.2-I2V-A14B",
    "commercial_use": True,
    "high_noise_model": "Wan/wan2.2_i2v_high_noise_14B_fp8_scaled",
    "low_noise_model": "Wan/wan2.2_i2v_low_noise_14B_fp8_scaled",
    "swap_percent": 0.5,
    "loras": [
        {"name": "Wan/wan22_lightning_i2v_high", "weight": 1, "stage": "high"},
        {"name": "Wan/wan22_lightning_i2v_low", "weight": 1, "stage": "low"},
    ],
    "architecture": "wan-2_2-image2video-14b",
    "sizes": ["832x480", "480x832", "640x640", "1280x720", "720x1280", "960x960"],
    "min_side": 256,
    "max_side": 1280,
    "max_pixels": 1280 * 720,
    "default_frames": 81,
    "min_frames": 5,
    "max_frames": 121,
    "frames_step": 4,
    "default_fps": 16,
    "min_fps": 8,
    "max_fps": 30,
    "default_steps": 4,
    "min_steps": 2,
    "max_steps": 40,
    "default_cfg": 1.0,
    "min_cfg": 1.0,
    "max_cfg": 10.0,
    "typical_seconds": 71,
}
PREVIEW = {
    "slug": "motion-preview",
    "name": "Motion preview (CPU)",
    "summary": "Moves the camera over the picture. It does not imagine motion; it needs no GPU.",
    "provider": "preview",
    "enabled": True,
    "position": 20,
    "rating": "general",
    "licence_name": "MIT (part of this project)",
    "licence_url": "https://opensource.org/license/mit",
    "commercial_use": True,
    "sizes": ["832x480", "480x832", "640x640", "1280x720", "720x1280", "960x960"],
    "min_side": 64,
    "max_side": 1920,
    "max_pixels": 1920 * 1080,
    "default_frames": 81,
    "min_frames": 1,
    "max_frames": 240,
    "frames_step": 1,
    "default_fps": 16,
    "min_fps": 4,
    "max_fps": 60,
    "default_steps": 1,
    "min_steps": 1,
    "max_steps": 100,
    "default_cfg": 1.0,
    "min_cfg": 0.0,
    "max_cfg": 30.0,
    "typical_seconds": 4,
}


def seed(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    for row in (WAN, PREVIEW):
        model.objects.get_or_create(slug=row["slug"], defaults=row)


def unseed(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    # A row that jobs refer to stays: taking the migration back must not take people's videos.
    model.objects.filter(slug__in=[WAN["slug"], PREVIEW["slug"]], jobs=None).delete()


class Migration(migrations.Migration):
    dependencies = [("generation", "0001_initial")]
    operations = [migrations.RunPython(seed, unseed)]
