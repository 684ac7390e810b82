"""When the next video is expected, from when the last ones were sent. Pure."""

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

LEAST_GAPS = 5


def expected_gap_s(submitted: Sequence[datetime], now: datetime, *, remembered: int = 300) -> float | None:
    """Seconds from now to the next video, or None when too little was seen to say.

    `submitted` rises. Of the last `remembered` pauses, those that were longer than the present one say how much longer
    they took, and the median of that is the answer: people come in sessions and bursts, so a mean rate says little.
    """
    seen = submitted[: bisect_right(submitted, now)][-remembered:]
    if len(seen) <= LEAST_GAPS:
        return None
    quiet_s = (now - seen[-1]).total_seconds()
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(seen)]
    left = [pause - quiet_s for pause in pauses if pause > quiet_s]
    # A silence longer than nearly all before: whoever waits has waited in vain so far.
    return statistics.median(left) if len(left) >= LEAST_GAPS else max(quiet_s, 1.0)
