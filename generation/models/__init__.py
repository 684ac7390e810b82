"""What people ask for, what they keep, and what they are told."""

from generation.models.catalogue import PriceUnit, Provider, Rating, VideoModel, VideoModelQuerySet
from generation.models.jobs import (
    TERMINAL,
    UNFINISHED,
    Attempt,
    PreviewFrame,
    SourceImage,
    Status,
    VideoJob,
    VideoJobQuerySet,
)
from generation.models.notices import Delivery, DeliveryTry, Notice, WebhookEndpoint
from generation.models.people import ApiToken, Heartbeat, IdempotencyKey, Preferences, Preset

__all__ = [
    "TERMINAL",
    "UNFINISHED",
    "ApiToken",
    "Attempt",
    "Delivery",
    "DeliveryTry",
    "Heartbeat",
    "IdempotencyKey",
    "Notice",
    "Preferences",
    "Preset",
    "PreviewFrame",
    "PriceUnit",
    "Provider",
    "Rating",
    "SourceImage",
    "Status",
    "VideoJob",
    "VideoJobQuerySet",
    "VideoModel",
    "VideoModelQuerySet",
    "WebhookEndpoint",
]
