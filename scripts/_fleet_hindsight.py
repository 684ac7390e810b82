"""The best that a fleet could have done, knowing the whole week before it began.

Dynamic programming on a grid of one minute over (machines on, work that waits). A machine costs its hourly price, and
each boot its traffic and its minutes; machines are booted ahead of time, so nobody waits for a boot, nothing fails, and
the cheapest host of the market is always free. Waiting has a price per minute of work; it is searched so that people
wait as long on average as under the policy that is compared. The schedule found is then replayed video by video,
because the grid lets machines share a video, and the replay says cost and waits.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu.services.fleet_values import Assumptions, Policy
from gpu.services.offers import rank
from tests.simulators.fleet_market import WEEK_S, Host, Video
from tests.simulators.fleet_week import MONDAY

MACHINES = 4
UNITS_PER_MINUTE = 2
LARGEST = 400  # units of work that wait at most
MINUTES = int(WEEK_S // 60) + 120  # the last videos are rendered after the week

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Best:
    """The one kind of machine that hindsight rents."""

    usd_per_minute: float
    usd_per_boot: float
    seconds_per_video: float


def best_host(hosts: Sequence[Host], policy: Policy) -> Best:
    """The host on which a video really costs least, of those that the policy allows."""
    assumed = Assumptions()
    allowed = {
        one.offer.id: one for one in rank([h.offer for h in hosts], policy, {}, assumed, MONDAY) if not one.excluded
    }
    found = []
    for host in hosts:
        scored = allowed.get(host.offer.id)
        if scored is None:
            continue
        gpu_s = assumed.models_gb * 8000 / host.mbps + host.start_s
        gpu_usd = scored.usd_per_hour - scored.storage_usd_per_hour
        boot_usd = gpu_usd * gpu_s / 3600 + scored.traffic_usd
        found.append(Best(scored.usd_per_hour / 60, boot_usd, host.seconds_per_video))
    return min(found, key=lambda one: one.usd_per_minute * one.seconds_per_video / 60 + one.usd_per_boot / 8)


def hindsight(people: Sequence[Video], best: Best, mean_wait_s: float) -> tuple[float, list[float], int, float]:
    """Dollars, waits in seconds, boots and hours of the cheapest schedule with at most this mean wait."""
    arriving = _work(people, best)
    dear, cheap = 0.1, 1e-5
    answer = _replay(people, best, _schedule(arriving, best, dear))
    for _ in range(7):
        price = (dear * cheap) ** 0.5
        tried = _replay(people, best, _schedule(arriving, best, price))
        if statistics.mean(tried[1]) <= mean_wait_s:
            dear = price
            answer = min(answer, tried, key=lambda one: one[0])
        else:
            cheap = price
    return answer


def _work(people: Sequence[Video], best: Best) -> NDArray[np.int64]:
    """Units of work that arrive in each minute; what rounding leaves over is carried on."""
    exact = np.zeros(MINUTES)
    for video in people:
        exact[int(video.at_s // 60)] += video.work * best.seconds_per_video / 60 * UNITS_PER_MINUTE
    return np.diff(np.floor(np.cumsum(exact)), prepend=0).astype(np.int64)


def _schedule(arriving: NDArray[np.int64], best: Best, usd_per_waiting_minute: float) -> list[int]:
    """The number of machines in each minute that costs least, waiting included."""
    on = np.arange(MACHINES + 1)
    backlog = np.arange(LARGEST + 1)
    boots = best.usd_per_boot * np.maximum(on[None, :] - on[:, None], 0)  # from, to
    value = np.repeat(backlog[None, :] * 1.0, MACHINES + 1, axis=0)  # work left at the end is worse than any machine
    choice = np.zeros((MINUTES, MACHINES + 1, LARGEST + 1), dtype=np.uint8)
    for minute in range(MINUTES - 1, -1, -1):
        ahead = np.empty_like(value)
        for count in on:
            left = np.clip(backlog + arriving[minute] - count * UNITS_PER_MINUTE, 0, LARGEST)
            waiting = usd_per_waiting_minute * left / UNITS_PER_MINUTE
            ahead[count] = count * best.usd_per_minute + waiting + value[count, left]
        options = boots[:, :, None] + ahead[None, :, :]
        choice[minute] = options.argmin(axis=1)
        value = options.min(axis=1)
    return _forward(arriving, choice)


def _forward(arriving: NDArray[np.int64], choice: NDArray[np.uint8]) -> list[int]:
    count = left = 0
    counts = []
    for minute in range(MINUTES):
        count = int(choice[minute, count, left])
        left = int(np.clip(left + arriving[minute] - count * UNITS_PER_MINUTE, 0, LARGEST))
        counts.append(count)
    return counts


def _replay(people: Sequence[Video], best: Best, counts: list[int]) -> tuple[float, list[float], int, float]:
    """Whole videos on whole machines, the oldest first; a machine finishes what it began, and the last finishes all."""
    free_s = [0.0] * MACHINES
    waits: list[float] = []
    used = boots = before = 0
    queue = list(people)
    for minute in range(MINUTES + 24 * 60):
        now_s = minute * 60.0
        planned = counts[minute] if minute < MINUTES else 0
        busy = sum(free > now_s for free in free_s)
        overdue = minute >= MINUTES or (planned == 0 and bool(queue) and queue[0].at_s < now_s and before > 0)
        count = max(planned, busy, int(overdue and bool(queue)))
        boots += max(count - before, 0)
        used, before = used + count, count
        for _ in range(len(queue)):
            server = min(range(MACHINES), key=lambda one: (max(free_s[one], now_s), one))
            start = max(free_s[server], queue[0].at_s, now_s)
            open_now = sum(free > start for free in free_s) < count
            if start >= now_s + 60 or not open_now:
                break
            video = queue.pop(0)
            waits.append(start - video.at_s)
            free_s[server] = start + video.work * best.seconds_per_video
        if not queue and count == 0 and minute >= MINUTES:
            break
    return used * best.usd_per_minute + boots * best.usd_per_boot, waits, boots, used / 60
