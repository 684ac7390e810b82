"""Rows and pictures for tests, with only what a test cares about spelled out."""

import io
import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import F
from PIL import Image

from generation.models import Attempt, SourceImage, VideoJob, VideoModel
from generation.services.deleting import UNDO_SECONDS


def person(username: str, **values: Any) -> User:
    return User.objects.create_user(username, f"{username}@example.com", "correct horse", **values)


def png(width: int = 128, height: int = 96, *, image_format: str = "PNG") -> bytes:
    """A small real picture with a gradient, so that movement in it can be measured."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    out = io.BytesIO()
    picture.save(out, image_format)
    return out.getvalue()


def plain_png(width: int, height: int, colour: str) -> bytes:
    """A picture of one colour, to be known again in a video."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def source_image(owner: User, *, width: int = 128, height: int = 96, **values: Any) -> SourceImage:
    key = f"in/{uuid.uuid4()}.png"
    content = png(width, height)
    default_storage.save(key, ContentFile(content))
    defaults: dict[str, Any] = {
        "key": key,
        "sha256": uuid.uuid4().hex * 2,
        "content_type": "image/png",
        "width": width,
        "height": height,
        "size_bytes": len(content),
        "name": "picture.png",
    }
    return SourceImage.objects.create(owner=owner, **defaults | values)


def preview_model() -> VideoModel:
    return VideoModel.objects.get(slug="motion-preview")


def wan_model() -> VideoModel:
    return VideoModel.objects.get(slug="wan-2-2")


def job(owner: User, **values: Any) -> VideoJob:
    defaults: dict[str, Any] = {
        "model": values.get("model") or preview_model(),
        "prompt": "slow zoom in",
        "width": 128,
        "height": 96,
        "frames": 17,
        "fps": 16,
        "steps": 1,
        "cfg_scale": 1.0,
        "seed": 7,
    }
    if "image" not in values and "image_url" not in values:
        defaults["image"] = source_image(owner)
    return VideoJob.objects.create(owner=owner, **defaults | values)


def attempt(of: VideoJob, **values: Any) -> Attempt:
    defaults: dict[str, Any] = {
        "number": of.attempts.count() + 1,
        "nonce": uuid.uuid4().hex,
        "engine": of.model.provider,
    }
    return Attempt.objects.create(job=of, **defaults | values)


def end_grace() -> None:
    """Every deleted video was deleted so long ago that it may be purged."""
    VideoJob.objects.update(deleted_at=F("deleted_at") - timedelta(seconds=UNDO_SECONDS))
