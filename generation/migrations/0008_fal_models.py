"""fal.ai's image-to-video models that people use most, with the prices and settings that fal's pages name.

Facts are from fal.ai/models/<endpoint>/llms.txt and fal.ai/pricing, read on the day in `price_seen_on`. Where a page does
not say it, a value is an assumption, named here: the speed (24 frames a second) and the sizes of the models that take
neither, every `typical_seconds`, and how much of a prompt a model reads where no limit is given.
"""

from datetime import date
from decimal import Decimal

from django.db import migrations

SEEN = date(2026, 11, 23)
TERMS = {"licence_url": "https://fal.ai/terms", "rating": "general", "commercial_use": True, "enabled": True}
WAN_LICENCE = TERMS | {
    "licence_name": "Apache 2.0; fal.ai's terms",
    "licence_url": "https://huggingface.co/Wan-AI/Wan2.2-I2V-A14B",
}
WIDE = ["832x480", "480x832", "640x640", "1280x720", "720x1280", "960x960"]
HD = ["1280x720", "720x1280", "960x960"]
# The models below take steps and a scale of their own or none at all: one value, which is not sent.
NO_STEPS = {"default_steps": 1, "min_steps": 1, "max_steps": 1, "default_cfg": 1.0, "min_cfg": 1.0, "max_cfg": 1.0}
FPS_24 = {"default_fps": 24, "min_fps": 24, "max_fps": 24}
TIERS = {"480": "480p", "580": "580p", "720": "720p"}
ASPECTS = {"field": "aspect_ratio", "choices": ["16:9", "9:16", "1:1"], "else": "auto"}

WAN = WAN_LICENCE | {
    "slug": "fal-wan-2-2",
    "name": "Wan 2.2 (fal.ai)",
    "summary": "Wan 2.2 A14B in the cloud: the model of the GPU row with all its steps, at once.",
    "position": 110,
    "family": "wan-2-2",
    "endpoint": "fal-ai/wan/v2.2-a14b/image-to-video",
    "parameters": {
        "image": "image_url",
        "prompt": "prompt",
        "negative_prompt": "negative_prompt",
        "seed": "seed",
        "frames": "num_frames",
        "fps": "frames_per_second",
        "steps": "num_inference_steps",
        "cfg_scale": "guidance_scale",
        "resolution": {"field": "resolution", "tiers": TIERS},
        "aspect_ratio": ASPECTS,
        "fixed": {"num_interpolated_frames": 0, "enable_prompt_expansion": False, "enable_safety_checker": True},
        "priced_at_fps": 16,
    },
    "price_usd": Decimal("0.08"),
    "price_unit": "second",
    "price_by_resolution": {"480p": "0.04", "580p": "0.06", "720p": "0.08"},
    "prompt_reads_chars": 2000,
    "sizes": WIDE,
    "min_side": 480,
    "max_side": 1280,
    "max_pixels": 1280 * 720,
    "default_frames": 81,
    "min_frames": 17,
    "max_frames": 161,
    "frames_step": 1,
    "default_fps": 16,
    "min_fps": 4,
    "max_fps": 60,
    "default_steps": 27,
    "min_steps": 2,
    "max_steps": 40,
    "default_cfg": 3.5,
    "min_cfg": 1.0,
    "max_cfg": 10.0,
    "typical_seconds": 90,
}
TURBO = (
    WAN_LICENCE
    | NO_STEPS
    | {
        "slug": "fal-wan-2-2-turbo",
        "name": "Wan 2.2 Turbo (fal.ai)",
        "summary": "Wan 2.2 A14B distilled to a few steps, in the cloud: five seconds for one price.",
        "position": 111,
        "family": "wan-2-2",
        "endpoint": "fal-ai/wan/v2.2-a14b/image-to-video/turbo",
        "parameters": {
            "image": "image_url",
            "prompt": "prompt",
            "seed": "seed",
            "resolution": {"field": "resolution", "tiers": TIERS},
            "aspect_ratio": ASPECTS,
            "fixed": {"enable_prompt_expansion": False, "enable_safety_checker": True},
        },
        "price_usd": Decimal("0.10"),
        "price_unit": "video",
        "price_by_resolution": {"480p": "0.05", "580p": "0.075", "720p": "0.10"},
        "prompt_reads_chars": 2000,
        "sizes": WIDE,
        "min_side": 480,
        "max_side": 1280,
        "max_pixels": 1280 * 720,
        "default_frames": 81,
        "min_frames": 81,
        "max_frames": 81,
        "frames_step": 1,
        "frame_choices": [81],
        "default_fps": 16,
        "min_fps": 16,
        "max_fps": 16,
        "typical_seconds": 30,
    }
)
KLING = (
    TERMS
    | NO_STEPS
    | FPS_24
    | {
        "slug": "fal-kling-2-5-turbo",
        "name": "Kling 2.5 Turbo Standard (fal.ai)",
        "summary": "Fluid motion and exact prompts, 720p, 5 or 10 seconds. It takes no seed.",
        "licence_name": "fal.ai's terms; Kuaishou's model",
        "position": 120,
        "family": "kling",
        "endpoint": "fal-ai/kling-video/v2.5-turbo/standard/image-to-video",
        "parameters": {
            "image": "image_url",
            "prompt": "prompt",
            "negative_prompt": "negative_prompt",
            "seconds": {"field": "duration", "choices": [5, 10], "as": "text"},
            "fixed": {"cfg_scale": 0.5},
        },
        "price_usd": Decimal("0.042"),
        "price_unit": "second",
        "prompt_reads_chars": 2500,
        "sizes": HD,
        "min_side": 512,
        "max_side": 1280,
        "max_pixels": 1280 * 720,
        "default_frames": 121,
        "min_frames": 121,
        "max_frames": 241,
        "frame_choices": [121, 241],
        "default_negative_prompt": "blur, distort, and low quality",
        "typical_seconds": 120,
    }
)
HAILUO = (
    TERMS
    | NO_STEPS
    | FPS_24
    | {
        "slug": "fal-hailuo-02",
        "name": "MiniMax Hailuo 02 Standard (fal.ai)",
        "summary": "Strong physics and faces, 768p or 512p, 6 or 10 seconds. It takes no seed.",
        "licence_name": "fal.ai's terms; MiniMax's model",
        "position": 130,
        "family": "hailuo",
        "endpoint": "fal-ai/minimax/hailuo-02/standard/image-to-video",
        "parameters": {
            "image": "image_url",
            "prompt": "prompt",
            "seconds": {"field": "duration", "choices": [6, 10], "as": "text"},
            "resolution": {"field": "resolution", "tiers": {"512": "512P", "768": "768P"}},
            "fixed": {"prompt_optimizer": False},
        },
        "price_usd": Decimal("0.045"),
        "price_unit": "second",
        "price_by_resolution": {"512p": "0.017", "768p": "0.045"},
        "prompt_reads_chars": 2000,
        "sizes": ["1360x768", "768x1360", "1024x1024", "912x512", "512x912"],
        "min_side": 512,
        "max_side": 1376,
        "max_pixels": 1376 * 768,
        "default_frames": 145,
        "min_frames": 145,
        "max_frames": 241,
        "frame_choices": [145, 241],
        "typical_seconds": 150,
    }
)
SEEDANCE = (
    TERMS
    | NO_STEPS
    | FPS_24
    | {
        "slug": "fal-seedance-1-pro-fast",
        "name": "Seedance 1.0 Pro Fast (fal.ai)",
        "summary": "ByteDance's fast model: 480p to 1080p, 2 to 12 seconds; paid by the pixels of all frames.",
        "licence_name": "fal.ai's terms; ByteDance's model",
        "position": 140,
        "family": "seedance",
        "endpoint": "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
        "parameters": {
            "image": "image_url",
            "prompt": "prompt",
            "seed": "seed",
            "seconds": {"field": "duration", "choices": list(range(2, 13)), "as": "text"},
            "resolution": {"field": "resolution", "tiers": {"480": "480p", "720": "720p", "1080": "1080p"}},
            "aspect_ratio": {
                "field": "aspect_ratio",
                "choices": ["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"],
                "else": "auto",
            },
            "fixed": {"camera_fixed": False, "enable_safety_checker": True},
        },
        # A million of its tokens cost a dollar; a token is 1,024 pixels of any frame.
        "price_usd": Decimal("0.000977"),
        "price_unit": "megapixel",
        "prompt_reads_chars": 2000,
        "sizes": ["1280x720", "720x1280", "960x960", "864x480", "480x864", "1920x1088", "1088x1920"],
        "min_side": 480,
        "max_side": 1920,
        "max_pixels": 1920 * 1088,
        "default_frames": 121,
        "min_frames": 49,
        "max_frames": 289,
        "frame_choices": [49, 73, 97, 121, 145, 169, 193, 217, 241, 265, 289],
        "typical_seconds": 60,
    }
)
WAN_25 = (
    TERMS
    | NO_STEPS
    | FPS_24
    | {
        "slug": "fal-wan-2-5",
        "name": "Wan 2.5 preview (fal.ai)",
        "summary": "The newer Wan, 480p to 1080p, 5 or 10 seconds. It reads 800 characters of a prompt.",
        "licence_name": "fal.ai's terms; Alibaba's model",
        "position": 115,
        "family": "wan-2-5",
        "endpoint": "fal-ai/wan-25-preview/image-to-video",
        "parameters": {
            "image": "image_url",
            "prompt": "prompt",
            "negative_prompt": "negative_prompt",
            "seed": "seed",
            "seconds": {"field": "duration", "choices": [5, 10], "as": "text"},
            "resolution": {"field": "resolution", "tiers": {"480": "480p", "720": "720p", "1080": "1080p"}},
            "fixed": {"enable_prompt_expansion": False, "enable_safety_checker": True},
        },
        "price_usd": Decimal("0.10"),
        "price_unit": "second",
        "price_by_resolution": {"480p": "0.05", "720p": "0.10", "1080p": "0.15"},
        "prompt_reads_chars": 800,
        "sizes": ["832x480", "480x832", "640x640", "1280x720", "720x1280", "960x960", "1920x1088", "1088x1920"],
        "min_side": 480,
        "max_side": 1920,
        "max_pixels": 1920 * 1088,
        "default_frames": 121,
        "min_frames": 121,
        "max_frames": 241,
        "frame_choices": [121, 241],
        "typical_seconds": 120,
    }
)
LTX = TERMS | {
    "slug": "fal-ltx-2",
    "name": "LTX-2 19B (fal.ai)",
    "summary": "Lightricks' open model: any size and length, paid by the pixels of all frames.",
    "licence_name": "LTX-2 Community License; fal.ai's terms",
    "licence_url": "https://huggingface.co/Lightricks/LTX-2",
    "position": 150,
    "family": "ltx-2",
    "endpoint": "fal-ai/ltx-2-19b/image-to-video",
    "parameters": {
        "image": "image_url",
        "prompt": "prompt",
        "negative_prompt": "negative_prompt",
        "seed": "seed",
        "frames": "num_frames",
        "fps": "fps",
        "steps": "num_inference_steps",
        "cfg_scale": "guidance_scale",
        "size": {"field": "video_size"},
        "fixed": {"generate_audio": False, "enable_prompt_expansion": False, "enable_safety_checker": True},
    },
    "price_usd": Decimal("0.0018"),
    "price_unit": "megapixel",
    "prompt_reads_chars": 2000,
    "sizes": ["1280x704", "704x1280", "960x960", "832x480", "480x832", "1920x1088", "1088x1920"],
    "min_side": 256,
    "max_side": 1920,
    "max_pixels": 1920 * 1088,
    "default_frames": 121,
    "min_frames": 9,
    "max_frames": 481,
    "frames_step": 8,
    "default_fps": 25,
    "min_fps": 8,
    "max_fps": 60,
    "default_steps": 40,
    "min_steps": 8,
    "max_steps": 50,
    "default_cfg": 3.0,
    "min_cfg": 1.0,
    "max_cfg": 10.0,
    "typical_seconds": 60,
}
ROWS = (WAN, TURBO, WAN_25, KLING, HAILUO, SEEDANCE, LTX)


def seed(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    for row in ROWS:
        values = row | {"provider": "fal", "price_seen_on": SEEN}
        model.objects.get_or_create(slug=row["slug"], defaults=values)
    model.objects.filter(slug="wan-2-2", family="").update(family="wan-2-2", prompt_reads_chars=2000)


def unseed(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    # A row that jobs refer to stays: taking the migration back must not take people's videos.
    model.objects.filter(slug__in=[row["slug"] for row in ROWS], jobs=None).delete()
    model.objects.filter(slug="wan-2-2", family="wan-2-2").update(family="", prompt_reads_chars=None)


class Migration(migrations.Migration):
    dependencies = [("generation", "0007_money_and_notices")]
    operations = [migrations.RunPython(seed, unseed)]
