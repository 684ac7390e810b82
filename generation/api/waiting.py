"""`Prefer: wait=N` (RFC 7240): hold the answer for a while, until the job is over."""

import re
import threading
import time
from uuid import UUID

from rest_framework.request import Request

from generation.models import VideoJob

MAX_WAIT_S = 60
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 0.5
# Each waiter occupies a thread of the web process; the rest must stay free for everybody else.
_places = threading.BoundedSemaphore(8)
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


def wanted_s(request: Request) -> int:
    """Seconds that the caller would wait, at most MAX_WAIT_S; 0 when the header is missing or makes no sense."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), MAX_WAIT_S) if found else 0


def until_over(job_id: UUID, *, seconds: int) -> bool:
    """Wait until the job is over. True: waited as asked. False: too many wait already, answer at once.

    Asks one small question a few times a second, outside any transaction.
    """
    if not _places.acquire(blocking=False):
        return False
    try:
        deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_S
        while VideoJob.objects.unfinished().filter(pk=job_id).exists():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE_S)
        return True
    finally:
        _places.release()
