"""What a finished video is expected to cost on an offer, and why an offer is not taken. Pure.

The parts follow vast.ai's bill: the GPU by the second while the container runs, storage from creation to the end,
traffic by the GB in both directions. What a boot costs is shared by the videos that a rental is expected to make.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_noop

from gpu.services.fleet_values import Assumptions, HostMemory, Offer, Policy, usable
from i2v_site.sentences import Sentence

VRAM_MARGIN = 0.92  # a card reports what it can use, which is less than what stands on its box
MONTH_H = 720
PRIOR_BOOTS = 4  # the assumed failure rate weighs as much as this many boots seen
# What speaks against an offer. Each also stands behind "most often because".
NO_NUMBER = Sentence(gettext_noop("%(name)s is not a usable number"))
NOUGHT = Sentence(gettext_noop("%(name)s is zero"))
MANY_GPUS = Sentence(gettext_noop("it has %(count)s GPUs, one is used"))
OTHER_GPU = Sentence(gettext_noop("%(gpu)s is not among the GPUs allowed"))
OTHER_REGION = Sentence(gettext_noop("%(place)s is not among the regions allowed"))
TOO_DEAR = Sentence(gettext_noop("$%(usd)s an hour is above $%(most)s"))
AVOIDED = Sentence(gettext_noop("its host failed and is avoided until %(until)s"))
NOT_SAID = Sentence(gettext_noop("its %(what)s is unknown"))
TOO_SMALL = Sentence(gettext_noop("its %(what)s, %(value)s, is below %(least)s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """US dollars per finished video."""

    gpu: float
    storage: float
    traffic: float
    boot: float
    download: float
    risk: float

    @property
    def total(self) -> float:
        return self.gpu + self.storage + self.traffic + self.boot + self.download + self.risk


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredOffer:
    """An offer with its expected cost; `excluded` says every reason against it, and `parts` is None for bad numbers."""

    offer: Offer
    excluded: tuple[str, ...]
    parts: Parts | None
    usd_per_hour: float = 0.0  # GPU and storage
    storage_usd_per_hour: float = 0.0
    traffic_usd: float = 0.0  # of one boot
    upload_usd_per_video: float = 0.0
    seconds_per_video: float = 0.0
    boot_s: float = 0.0  # from the request to ready, downloads included
    failure_risk: float = 0.0
    remembered: bool = False

    @property
    def usd_per_video(self) -> float:
        return self.parts.total if self.parts else float("inf")


def score(
    offer: Offer, policy: Policy, host: HostMemory | None, assumptions: Assumptions, now: datetime
) -> ScoredOffer:
    """The expected cost of a video on the offer, with what its host did before, and what speaks against it."""
    broken = _broken_numbers(offer)
    if broken:
        return ScoredOffer(offer=offer, excluded=broken, parts=None)
    host = _believable(host)
    seconds = _seconds_per_video(offer, host, assumptions)
    download_s = _download_s(offer, host, assumptions)
    boot_s = host.boot_seconds if host and host.boot_seconds else download_s + assumptions.start_minutes * 60
    gpu_usd, storage_usd = offer.dph_base or 0, (offer.storage_cost or 0) * policy.disk_gb / MONTH_H
    traffic_usd = assumptions.download_gb * (offer.inet_down_cost or 0)
    risk = _failure_risk(offer, host, assumptions)
    videos = max(assumptions.videos_per_rental, 1.0)
    boot = gpu_usd * max(boot_s - download_s, 0) / 3600 / videos
    download = gpu_usd * min(download_s, boot_s) / 3600 / videos
    upload_usd = assumptions.upload_gb_per_video * (offer.inet_up_cost or 0)
    parts = Parts(
        gpu=gpu_usd * seconds / 3600,
        storage=storage_usd * (seconds + boot_s / videos) / 3600,
        traffic=traffic_usd / videos + upload_usd,
        boot=boot,
        download=download,
        # Each failed boot before the one that works costs a boot.
        risk=risk / (1 - risk) * (boot + download + traffic_usd / videos),
    )
    if not usable(parts.total, gpu_usd + storage_usd):
        return ScoredOffer(offer=offer, excluded=(gettext_noop("its cost is out of range"),), parts=None)
    return ScoredOffer(
        offer=offer,
        excluded=tuple(_objections(offer, policy, host, gpu_usd + storage_usd, now)),
        parts=parts,
        usd_per_hour=gpu_usd + storage_usd,
        storage_usd_per_hour=storage_usd,
        traffic_usd=traffic_usd,
        upload_usd_per_video=upload_usd,
        seconds_per_video=seconds,
        boot_s=boot_s,
        failure_risk=risk,
        remembered=host is not None,
    )


def rank(
    offers: Iterable[Offer],
    policy: Policy,
    hosts: Mapping[int, HostMemory],
    assumptions: Assumptions,
    now: datetime,
) -> list[ScoredOffer]:
    """All offers: those that may be taken by rising cost of a video, then those that may not, with the reasons."""
    scored = [score(offer, policy, hosts.get(offer.machine_id), assumptions, now) for offer in offers]
    return sorted(scored, key=_order)


def _order(scored: ScoredOffer) -> tuple[bool, float, float, int]:
    return (bool(scored.excluded), scored.usd_per_video, scored.usd_per_hour, scored.offer.id)


def _broken_numbers(offer: Offer) -> tuple[str, ...]:
    """The prices and sizes without which nothing can be said about the cost."""
    needed = {
        "dph_base": offer.dph_base,
        "storage_cost": offer.storage_cost,
        "inet_down": offer.inet_down,
        "inet_down_cost": offer.inet_down_cost,
        "inet_up_cost": offer.inet_up_cost,
    }
    broken = [NO_NUMBER(name=name) for name, value in needed.items() if not usable(value)]
    # A market gives nothing away: a price of zero is a field that was not filled in.
    broken += [NOUGHT(name=name) for name in ("dph_base", "inet_down") if needed[name] == 0]
    return tuple(broken)


def _objections(
    offer: Offer, policy: Policy, host: HostMemory | None, usd_per_hour: float, now: datetime
) -> Iterable[str]:
    """Everything the policy holds against an offer. The market's own filters are not always applied."""
    if offer.rentable is not True:
        yield gettext_noop("it is not rentable")
    if offer.num_gpus != 1:
        yield MANY_GPUS(count=offer.num_gpus)
    if policy.gpu_names and offer.gpu_name not in policy.gpu_names:
        yield OTHER_GPU(gpu=offer.gpu_name)
    if policy.regions and _country(offer) not in policy.regions:
        yield OTHER_REGION(place=_country(offer) or gettext_noop("its unknown place"))
    if policy.verified_only and offer.verification != "verified":
        yield gettext_noop("it is not verified")
    if usd_per_hour > policy.max_price_usd_per_hour:
        yield TOO_DEAR(usd=f"{usd_per_hour:.3f}", most=f"{policy.max_price_usd_per_hour:.3f}")
    yield from _too_small(offer, policy)
    if host and host.avoid_until and host.avoid_until > now:
        yield AVOIDED(until=f"{host.avoid_until:%Y-%m-%d %H:%M}")


def _too_small(offer: Offer, policy: Policy) -> Iterable[str]:
    minutes = policy.max_lifetime_minutes + policy.lease_minutes
    floors = (
        ("VRAM", offer.gpu_ram, policy.min_vram_gb * 1024 * VRAM_MARGIN, "MB"),
        (gettext_noop("reliability"), offer.reliability, policy.min_reliability, ""),
        (gettext_noop("download speed"), offer.inet_down, policy.min_download_mbps, "Mbps"),
        ("CUDA", offer.cuda_max_good, policy.min_cuda, ""),
        (gettext_noop("disk"), offer.disk_space, policy.disk_gb, "GB"),
        (gettext_noop("time until the host wants it back"), offer.duration, minutes * 60, "s"),
        (gettext_noop("number of open ports"), offer.direct_port_count, 1, ""),
    )
    for name, value, floor, unit in floors:
        if value is None or not usable(value):
            yield NOT_SAID(what=name)
        elif value < floor:
            yield TOO_SMALL(what=name, value=f"{value:g} {unit}".rstrip(), least=f"{floor:g}")


def _country(offer: Offer) -> str:
    return (offer.geolocation or "").rpartition(",")[2].strip().upper()


def _believable(host: HostMemory | None) -> HostMemory | None:
    """The memory of a host, without what cannot have been measured."""
    if host is None or not usable(host.boots, host.failures):
        return None
    return HostMemory(
        machine_id=host.machine_id,
        boots=host.boots,
        failures=host.failures,
        boot_seconds=_positive(host.boot_seconds),
        download_mbps=_positive(host.download_mbps),
        seconds_per_video=_positive(host.seconds_per_video),
        avoid_until=host.avoid_until,
    )


def _positive(number: float | None) -> float | None:
    return number if usable(number) and number else None


def _seconds_per_video(offer: Offer, host: HostMemory | None, assumptions: Assumptions) -> float:
    if host and host.seconds_per_video:
        return host.seconds_per_video
    unknown = assumptions.seconds_per_video * assumptions.unknown_gpu_factor
    return assumptions.seconds_by_gpu.get(offer.gpu_name, unknown)


def _download_s(offer: Offer, host: HostMemory | None, assumptions: Assumptions) -> float:
    advertised = (offer.inet_down or 0) * assumptions.advertised_speed_share
    mbps = host.download_mbps if host and host.download_mbps else advertised
    return assumptions.download_gb * 8000 / mbps


def _failure_risk(offer: Offer, host: HostMemory | None, assumptions: Assumptions) -> float:
    """The share of boots that fail: the assumption, moved by the host's reliability and by what was seen of it."""
    unreliable = 1 - min(offer.reliability, 1.0) if offer.reliability is not None and usable(offer.reliability) else 0.5
    prior = min(assumptions.failure_rate + unreliable, 0.9)
    boots, failures = (host.boots, host.failures) if host else (0, 0)
    return min((prior * PRIOR_BOOTS + failures) / (PRIOR_BOOTS + boots + failures), 0.95)
