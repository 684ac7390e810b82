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
from generation.models.rights import AuditEntry, Blocked, Erasure, Fingerprint, Report
from generation.models.studio import Batch, Clip, ClipPart, ShareLink, Tag

__all__ = [
    "TERMINAL",
    "UNFINISHED",
    "ApiToken",
    "Attempt",
    "AuditEntry",
    "Batch",
    "Blocked",
    "Clip",
    "ClipPart",
    "Delivery",
    "DeliveryTry",
    "Erasure",
    "Fingerprint",
    "Heartbeat",
    "IdempotencyKey",
    "Notice",
    "Preferences",
    "Preset",
    "PreviewFrame",
    "PriceUnit",
    "Provider",
    "Rating",
    "Report",
    "ShareLink",
    "SourceImage",
    "Status",
    "Tag",
    "VideoJob",
    "VideoJobQuerySet",
    "VideoModel",
    "VideoModelQuerySet",
    "WebhookEndpoint",
]
