"""People who send videos and a market of hosts, for a week of simulated time that follows from its seed.

Seconds count from Monday 00:00 UTC. The offers have the fields, units and prices of the contract's sections 2 and 8.3;
what a host really does (bandwidth, speed, failures) is not what it advertises.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from gpu.services.fleet_values import Assumptions, MarketOffer

WEEK_S = 7 * 24 * 3600.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Video:
    at_s: float
    work: float  # 1.0 is the reference video


# People


def videos(seed: int) -> list[Video]:
    """Sessions of a few videos by day, fewer in the evening, hardly any at night or on the weekend; and bursts."""
    dice = random.Random(f"people-{seed}")
    times = [at for start in _sessions(dice) for at in _session(dice, start)]
    times += [at for start in _burst_starts(dice) for at in _burst(dice, start)]
    return [Video(at, dice.lognormvariate(-0.08, 0.4)) for at in sorted(times) if at < WEEK_S]


def _sessions_per_hour(at_s: float) -> float:
    day, hour = int(at_s // 86400), at_s % 86400 / HOUR_S
    if day >= 5:
        return 0.5 if 10 <= hour < 23 else 0.05
    if 9 <= hour < 18:
        return 2.2
    return 1.0 if 18 <= hour < 23 else 0.08


def _sessions(dice: random.Random) -> Iterator[float]:
    at, most = 0.0, 2.2
    while at < WEEK_S:
        at += dice.expovariate(most) * HOUR_S
        if dice.random() < _sessions_per_hour(at) / most:
            yield at


def _session(dice: random.Random, at: float) -> Iterator[float]:
    yield at
    while dice.random() < 0.68:
        at += dice.uniform(40, 420)
        yield at


def _burst_starts(dice: random.Random) -> Iterator[float]:
    for day in range(7):
        for _ in range(2 if day < 5 else dice.randint(0, 1)):
            yield day * 86400 + dice.uniform(9, 18) * HOUR_S


def _burst(dice: random.Random, at: float) -> Iterator[float]:
    for _ in range(dice.randint(8, 40)):
        at += dice.expovariate(1 / 15)
        yield at


# The market


@dataclass(frozen=True, slots=True)
class Host:
    """What a physical machine offers, and what it is like to rent."""

    offer: MarketOffer
    mbps: float
    start_s: float
    seconds_per_video: float
    failure_rate: float


_GPUS = (("RTX 3090", 0.22, 24576), ("RTX 4090", 0.40, 24564), ("RTX 5090", 0.75, 32607), ("A100 SXM4", 1.0, 81920))
_PLACES = ("Texas, US", "Oregon, US", "Quebec, CA", "Sofia, BG", "Oslo, NO", "Vilnius, LT", "Osaka, JP")


def market(seed: int, hosts: int = 48) -> list[Host]:
    """Hosts of every quality; some slow, some unverified, some that promise more than they hold."""
    dice = random.Random(f"market-{seed}")
    return [_host(dice, number) for number in range(hosts)]


def _host(dice: random.Random, number: int) -> Host:
    gpu, usual_usd, ram = dice.choices(_GPUS, weights=(3, 6, 2, 1))[0]
    down = dice.choice([240.0, 610.0, 934.0, 1800.0, 3200.0, 6100.0])
    seconds = Assumptions().seconds_by_gpu[gpu]
    bad = dice.random() < 0.15
    found = MarketOffer(
        id=31415000 + number,
        machine_id=24000 + number,
        gpu_name=gpu,
        gpu_ram=float(ram),
        cuda_max_good=dice.choice([12.4, 12.8, 12.8, 13.0]),
        disk_space=dice.uniform(40, 900),
        inet_down=down,
        inet_down_cost=dice.choice([0.0, 0.0013, 0.0025, 0.005, 0.02]),
        inet_up_cost=dice.choice([0.0, 0.005, 0.02]),
        storage_cost=dice.uniform(0.1, 0.2),
        dph_base=round(usual_usd * dice.uniform(0.8, 1.6), 4),
        reliability=1 - dice.uniform(0.001, 0.07),
        verification=dice.choices(["verified", "unverified"], weights=(5, 1))[0],
        rentable=True,
        geolocation=dice.choice(_PLACES),
        duration=90 * 86400.0,
        direct_port_count=dice.randint(0, 250) if dice.random() < 0.1 else 249,
    )
    speed = seconds * dice.uniform(0.93, 1.2)
    mbps = down * dice.uniform(0.4, 0.9)
    return Host(found, mbps, dice.uniform(90, 260), speed, 0.5 if bad else 0.04)
