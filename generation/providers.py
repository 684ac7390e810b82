"""The only place where settings and rows become an engine."""

import asyncio

from django.conf import settings

from generation.engines.base import Engine
from generation.engines.fal import FalEngine
from generation.engines.fal import Timing as FalTiming
from generation.engines.fal_client import FalClient, Hosts
from generation.engines.preview import PreviewEngine
from generation.engines.swarmui import SwarmEngine, Timing
from generation.models import Provider
from gpu.services import config
from i2v_site.crashpoints import crashpoint

# A picture is megabytes while it is sent: so many at once, however many renders are in flight.
UPLOADS_AT_ONCE = 8
# Uploads and results at fal.ai are gone after a day.
FAL_FILES_LAST_S = 86_400


def engine_for(provider: str, endpoint: str = "") -> Engine:
    """A new engine; `endpoint` is the SwarmUI server's address. The caller closes it. ValueError: no key for fal.ai."""
    if provider == Provider.PREVIEW:
        return PreviewEngine(settings.SPOOL_DIR, processes=settings.PREVIEW_PROCESSES)
    if provider == Provider.FAL:
        return FalEngine(
            settings.FAL_KEY,
            hosts=fal_hosts(),
            result_max_bytes=settings.RESULT_MAX_BYTES,
            uploads=asyncio.Semaphore(UPLOADS_AT_ONCE),
            timing=FalTiming(outcome_s=settings.FAL_OUTCOME_MINUTES * 60),
            mark=crashpoint,
        )
    server = config.endpoint_of(endpoint)
    return SwarmEngine(
        endpoint,
        authorization=server.authorization,
        allow_private=server.allowed,
        result_max_bytes=settings.RESULT_MAX_BYTES,
        uploads=asyncio.Semaphore(UPLOADS_AT_ONCE),
        timing=Timing(absent_after_s=settings.SWARMUI_ABSENT_SECONDS),
    )


def fal_client() -> FalClient:
    """The account at fal.ai, for what is no render. The caller closes it. ValueError: no key."""
    return FalClient(settings.FAL_KEY, hosts=fal_hosts(), expire_s=FAL_FILES_LAST_S)


def fal_hosts() -> Hosts:
    """Where fal.ai is, or the stand-in for it."""
    return Hosts(
        queue_url=settings.FAL_QUEUE_URL.rstrip("/"),
        rest_url=settings.FAL_REST_URL.rstrip("/"),
        api_url=settings.FAL_API_URL.rstrip("/"),
        private_hosts=frozenset(settings.FAL_PRIVATE_HOSTS),
    )
