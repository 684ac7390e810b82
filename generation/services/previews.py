"""Preview frames of videos in the making: pictures from a provider, encoded again by us before anybody sees them."""

import asyncio
import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from generation.models import PreviewFrame, Status, VideoJob
from generation.services import preview_frames

log = logging.getLogger(__name__)

EVERY_S = 3.0  # a newer frame of the same job waits so long
MAX_BYTES = 8 * 1024 * 1024


class Previews:
    """Takes frames as they come, drops what it has no time for, and writes the rest to PreviewFrame rows."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._busy: asyncio.Task[None] | None = None
        self._shown: dict[Any, float] = {}

    def offer(self, job_id: Any, picture: bytes) -> None:
        """Show `picture` for this job unless one was shown just now or another is being encoded."""
        now = time.monotonic()
        idle = self._busy is None or self._busy.done()
        if idle and len(picture) <= MAX_BYTES and now - self._shown.get(job_id, 0.0) >= EVERY_S:
            self._shown = {job: at for job, at in self._shown.items() if now - at < EVERY_S} | {job_id: now}
            self._busy = asyncio.create_task(self._show(job_id, picture))

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _show(self, job_id: Any, picture: bytes) -> None:
        if self._pool is None:
            # One process: frames are a courtesy and must not take a core from the renders.
            self._pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=preview_frames.limit, initargs=(os.getpid(),)
            )
        try:
            jpeg = await asyncio.get_running_loop().run_in_executor(self._pool, preview_frames.encode, picture)
            await sync_to_async(_save)(job_id, jpeg)
        except BrokenProcessPool:
            self._pool = None
        except preview_frames.NotAPicture:
            log.warning("job %s: a preview frame could not be read", job_id)


def _save(job_id: Any, jpeg: bytes) -> None:
    # The job may have ended while the frame was encoded; a frame without a render would stay for ever.
    if VideoJob.objects.filter(pk=job_id, status=Status.RENDERING).exists():
        PreviewFrame.objects.update_or_create(job_id=job_id, defaults={"jpeg": jpeg, "updated_at": timezone.now()})
