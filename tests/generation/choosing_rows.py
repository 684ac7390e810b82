"""The scene of a choice: a GPU that has to be rented first, and the same model in the cloud, ready now."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.utils import timezone
from pytest_django import Settings

from generation.models import PriceUnit, Provider, VideoModel
from gpu.models import Book, DayTotal, GpuConfig, GpuProvider, Instance, InstanceState
from gpu.services import booking
from tests import factories


def cloud_model(**values: Any) -> VideoModel:
    """A row of fal.ai in Wan's family: $0.40 for a video, of five or ten seconds."""
    defaults: dict[str, Any] = {
        "slug": "wan-cloud",
        "name": "Wan 2.2 on fal.ai",
        "summary": "The same model, run by fal.ai.",
        "provider": Provider.FAL,
        "enabled": True,
        "position": 50,
        "rating": "general",
        "licence_name": "fal.ai's terms",
        "licence_url": "https://fal.ai/terms",
        "endpoint": "fal-ai/wan/v2.2-a14b/image-to-video/turbo",
        "parameters": {"image": "image_url", "prompt": "prompt"},
        "price_usd": Decimal("0.40"),
        "price_unit": PriceUnit.VIDEO,
        "family": "wan-test",
        "sizes": ["832x480", "480x832"],
        "default_frames": 81,
        "min_frames": 81,
        "max_frames": 161,
        "frame_choices": [81, 161],
        "min_fps": 16,
        "max_fps": 16,
        "max_steps": 4,
        "min_steps": 4,
        "max_cfg": 1.0,
        "typical_seconds": 40,
    }
    return VideoModel.objects.create(**defaults | values)


def cold_gpu(settings: Settings) -> VideoModel:
    """Wan on the GPU may run, once a machine has been rented."""
    settings.VASTAI_API_KEY = "a-key"
    _configure(gpu_provider=GpuProvider.VASTAI, renting=True, swarmui_url="")
    VideoModel.objects.filter(slug="wan-2-2").update(family="wan-test")
    return factories.wan_model()


def cold_gpu_and_cloud(settings: Settings) -> tuple[VideoModel, VideoModel]:
    settings.FAL_KEY = "a-key"
    return cold_gpu(settings), cloud_model()


def cap(person_id: int, usd: str, *, spent: str = "0") -> None:
    """A daily cap for everybody, of which this person has spent some."""
    _configure(person_daily_cap_usd=Decimal(usd))
    account, today = booking.account_of(Book.PERSON, person_id), booking.day_of(timezone.now())
    DayTotal.objects.create(account=account, day=today, spent_usd=Decimal(spent))


def machine(**values: Any) -> Instance:
    defaults = {
        "state": InstanceState.READY,
        "usd_per_hour": Decimal("0.5"),
        "gpu_name": "RTX 4090",
        "url": "https://gpu.example:7801",
    }
    return Instance.objects.create(
        label=f"test-{uuid4().hex[:8]}", created_at=timezone.now() - timedelta(hours=1), **defaults | values
    )


def _configure(**values: Any) -> None:
    GpuConfig.objects.update_or_create(pk=1, defaults=values)
