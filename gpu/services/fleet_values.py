"""What the fleet's decisions are made from and made of: frozen values without a database, a clock or a network.

Money is US dollars, times are aware datetimes, and the units stand in the names. An offer's fields are named and
measured as vast.ai does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from zoneinfo import ZoneInfo

LARGEST = 1e9


class MachineKind(StrEnum):
    """Only what is rented from vast.ai is ever drained or destroyed."""

    MANUAL = "manual"
    VASTAI = "vastai"


class MachineState(StrEnum):
    """The life of a machine, in order; the last four are ways for it to end."""

    REQUESTED = "requested"
    CREATING = "creating"
    BOOTING = "booting"
    PROVISIONING = "provisioning"
    READY = "ready"
    DRAINING = "draining"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    LOST = "lost"
    FAILED = "failed"


STARTING = frozenset({MachineState.REQUESTED, MachineState.CREATING, MachineState.BOOTING, MachineState.PROVISIONING})
OVER = frozenset({MachineState.DESTROYED, MachineState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The hours of the day in which machines may run. `off_at` before `on_from` runs through midnight."""

    on_from: time | None = None
    off_at: time | None = None
    zone: str = "UTC"

    def is_on(self, now: datetime) -> bool:
        """Whether `now` lies in the hours; without both ends, or with equal ones, it always does."""
        if self.on_from is None or self.off_at is None or self.on_from == self.off_at:
            return True
        clock = now.astimezone(ZoneInfo(self.zone)).time()
        if self.on_from < self.off_at:
            return self.on_from <= clock < self.off_at
        return clock >= self.on_from or clock < self.off_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows. Empty collections allow everything of their kind."""

    renting: bool = False
    min_machines: int = 0  # rented ahead of demand while the schedule is on
    max_machines: int = 1
    keep_warm: bool = False  # the last machine stays while the schedule is on; none is rented ahead
    gpu_names: frozenset[str] = frozenset()
    min_vram_gb: float = 24
    regions: frozenset[str] = frozenset()  # two-letter country codes
    verified_only: bool = True
    min_reliability: float = 0.95
    min_download_mbps: float = 500
    min_cuda: float = 12.8
    disk_gb: float = 60
    max_price_usd_per_hour: float = 1.0  # GPU and storage
    idle_minutes: float = 15  # the longest that a machine is kept without work
    patience_minutes: float = 0  # how long the first video may wait for company before a machine is rented for it
    max_lifetime_minutes: float = 480
    lease_minutes: float = 10
    schedule: Schedule = field(default_factory=Schedule)
    daily_cap_usd: float = 10  # machines and cloud calls together
    monthly_cap_usd: float | None = None
    hard_cap_factor: float = 1.0  # at this multiple of a cap everything is given back
    machine_cap_usd: float | None = None  # what one machine may cost in its life
    soft_cap_percent: float = 80  # of its cap, where a machine gets no new work
    min_credit_usd: float = 5

    def numbers(self) -> tuple[float, ...]:
        """Everything that must be finite and not negative."""
        return (
            self.min_machines, self.max_machines, self.min_vram_gb, self.min_reliability, self.min_download_mbps,
            self.min_cuda, self.disk_gb, self.max_price_usd_per_hour, self.idle_minutes, self.patience_minutes,
            self.max_lifetime_minutes, self.lease_minutes, self.daily_cap_usd, self.monthly_cap_usd or 0,
            self.hard_cap_factor, self.min_credit_usd, self.machine_cap_usd or 0, self.soft_cap_percent,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as our rows know it. A state or kind that is none of ours is data: nothing is concluded from it."""

    id: str
    kind: str = MachineKind.VASTAI
    state: str
    created_at: datetime
    ready_at: datetime | None = None
    idle_since: datetime | None = None
    lease_until: datetime | None = None
    max_until: datetime | None = None  # the end of its lifetime: a wall, not a wish
    extended_until: datetime | None = None  # a person asked to keep it until then, within max_until and the caps
    machine_id: int | None = None  # the physical machine at vast.ai
    jobs_on_it: int = 0
    usd_per_hour: float = 0.0  # the GPU
    storage_usd_per_hour: float = 0.0
    traffic_usd: float = 0.0  # what fetching image and models on it costs
    spent_usd: float = 0.0
    seconds_per_video: float | None = None  # for the reference video
    boot_estimate_s: float | None = None

    @property
    def burn_usd_per_hour(self) -> float:
        return self.usd_per_hour + self.storage_usd_per_hour

    def numbers(self) -> tuple[float, ...]:
        optional = (self.seconds_per_video or 0, self.boot_estimate_s or 0)
        return (
            self.jobs_on_it,
            self.usd_per_hour,
            self.storage_usd_per_hour,
            self.traffic_usd,
            self.spent_usd,
            *optional,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The videos that ask for a GPU. `seconds_per_video` is on the reference GPU; None takes the assumption."""

    waiting: int = 0
    running: int = 0
    seconds_per_video: float | None = None
    oldest_wait_s: float = 0.0
    next_job_s: float | None = None  # expected time to the next video; None: nobody knows
    jobs_at: Mapping[str, int] = field(default_factory=dict)  # unfinished videos by the address they were sent to

    def numbers(self) -> tuple[float, ...]:
        return (self.waiting, self.running, self.seconds_per_video or 0, self.oldest_wait_s, self.next_job_s or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What machines and cloud calls have cost, and what the open ones may still cost on top of it."""

    today_usd: float = 0.0
    month_usd: float = 0.0
    reserved_usd: float = 0.0
    cloud_reserved_usd: float = 0.0  # the part of it that is promised to cloud calls
    credit_usd: float | None = None  # at vast.ai, which pays for machines alone; None: unknown

    def numbers(self) -> tuple[float, ...]:
        return (self.today_usd, self.month_usd, self.reserved_usd, self.cloud_reserved_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """What we saw of one physical machine. The averages are None before they were seen."""

    machine_id: int
    boots: int = 0  # that ended in a ready machine
    failures: int = 0
    boot_seconds: float | None = None  # from the request to ready, downloads included
    download_mbps: float | None = None
    seconds_per_video: float | None = None  # for the reference video
    avoid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is taken for granted where nothing was seen. Defaults: Wan 2.2 in 4 steps at 480p, 81 frames."""

    image_gb: float = 15.0
    models_gb: float = 26.2
    upload_gb_per_video: float = 0.004
    videos_per_rental: float = 30.0
    seconds_per_video: float = 95.0  # on the reference GPU
    seconds_by_gpu: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                "RTX 3090": 190.0,
                "RTX 3090 Ti": 170.0,
                "RTX 4090": 95.0,
                "RTX 4090D": 108.0,
                "RTX 5090": 66.0,
                "L40S": 105.0,
                "A100 PCIE": 110.0,
                "A100 SXM4": 100.0,
                "H100 SXM": 55.0,
            }
        )
    )
    unknown_gpu_factor: float = 2.0  # a GPU nobody measured is taken to be this much slower
    start_minutes: float = 3.0  # of a boot, what is not downloading
    advertised_speed_share: float = 0.6  # of the advertised bandwidth, what a download gets
    failure_rate: float = 0.08
    boot_deadline_minutes: float = 20.0
    seats_per_machine: int = 2

    @property
    def download_gb(self) -> float:
        return self.image_gb + self.models_gb


class Offer(Protocol):
    """An offer, in the names and units of vast.ai's search; None where the answer left a field out."""

    @property
    def id(self) -> int: ...
    @property
    def machine_id(self) -> int: ...
    @property
    def gpu_name(self) -> str: ...
    @property
    def num_gpus(self) -> int: ...
    @property
    def gpu_ram(self) -> float | None: ...  # MB
    @property
    def cuda_max_good(self) -> float | None: ...
    @property
    def disk_space(self) -> float | None: ...  # GB
    @property
    def inet_down(self) -> float | None: ...  # Mbps
    @property
    def inet_down_cost(self) -> float | None: ...  # $ per GB
    @property
    def inet_up_cost(self) -> float | None: ...  # $ per GB
    @property
    def storage_cost(self) -> float | None: ...  # $ per GB and month of 30 days
    @property
    def dph_base(self) -> float | None: ...  # $ per hour, GPU only
    @property
    def reliability(self) -> float | None: ...  # 0..1
    @property
    def verification(self) -> str | None: ...
    @property
    def rentable(self) -> bool | None: ...
    @property
    def geolocation(self) -> str | None: ...  # "City or state, CC"
    @property
    def duration(self) -> float | None: ...  # s until the host gets the machine back
    @property
    def direct_port_count(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOffer:
    """An `Offer` as a plain value."""

    id: int
    machine_id: int
    gpu_name: str
    num_gpus: int = 1
    gpu_ram: float | None = None
    cuda_max_good: float | None = None
    disk_space: float | None = None
    inet_down: float | None = None
    inet_down_cost: float | None = None
    inet_up_cost: float | None = None
    storage_cost: float | None = None
    dph_base: float | None = None
    reliability: float | None = None
    verification: str | None = None
    rentable: bool | None = None
    geolocation: str | None = None
    duration: float | None = None
    direct_port_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """Rent this offer for at most `lifetime`; `reserve_usd` covers that, the lease after it and the traffic."""

    offer: Offer
    reason: str
    reserve_usd: float
    lifetime: timedelta
    usd_per_hour: float  # the GPU
    storage_usd_per_hour: float
    traffic_usd: float
    seconds_per_video: float
    boot_estimate_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    machine: Machine
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Keep the machine and move the end of its lease."""

    machine: Machine
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Give the machine no new work; its lease ends at `until`, finished or not."""

    machine: Machine
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    machine: Machine
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A machine is wanted and none is rented now."""

    reason: str


Decision = Rent | Keep | Extend | Drain | Destroy | Wait


def usable(*numbers: float | None) -> bool:
    """Whether all of them are there, not negative, and not beyond anything that can be counted or dated."""
    return all(number is not None and math.isfinite(number) and 0 <= number <= LARGEST for number in numbers)
