"""The only place where settings and rows become an engine."""

import asyncio

from django.conf import settings

from generation.engines.base import Engine
from generation.engines.preview import PreviewEngine
from generation.engines.swarmui import SwarmEngine, Timing
from generation.models import Provider
from gpu.services import config

# A picture is megabytes while it is sent: so many at once, however many renders are in flight.
UPLOADS_AT_ONCE = 8


def engine_for(provider: str, endpoint: str = "") -> Engine:
    """A new engine; `endpoint` is the SwarmUI server's address. The caller closes it."""
    if provider == Provider.PREVIEW:
        return PreviewEngine(settings.SPOOL_DIR, processes=settings.PREVIEW_PROCESSES)
    server = config.endpoint_of(endpoint)
    return SwarmEngine(
        endpoint,
        authorization=server.authorization,
        allow_private=server.allowed,
        result_max_bytes=settings.RESULT_MAX_BYTES,
        uploads=asyncio.Semaphore(UPLOADS_AT_ONCE),
        timing=Timing(absent_after_s=settings.SWARMUI_ABSENT_SECONDS),
    )
