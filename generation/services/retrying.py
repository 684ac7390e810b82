"""When a delivery that failed is tried again."""

import random
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone

# After the first try, the second, ...: about three days in all.
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
LONGEST = PAUSES[-1]
JITTER = 0.2


def next_try(tries: int, *, retry_after: str = "") -> datetime | None:
    """When to try again after `tries` failures; None: give up. A receiver's Retry-After can only put it off."""
    if tries > len(PAUSES):
        return None
    # Thousands of deliveries that failed together must not come back together.
    pause = PAUSES[tries - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 (no secret)
    return timezone.now() + max(pause, min(_asked(retry_after), LONGEST))


def _asked(retry_after: str) -> timedelta:
    """Retry-After as seconds or as a date (RFC 9110, 10.2.3); zero for anything else."""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return timedelta(seconds=int(retry_after))
    try:
        moment = parsedate_to_datetime(retry_after)
        return max(timedelta(), moment - timezone.now())
    except (ValueError, TypeError):
        return timedelta()
