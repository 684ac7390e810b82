"""What can be rented now, seen through our policy and our memory of hosts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _

from gpu import providers
from gpu.clients.vastai_errors import SearchQuota, VastError
from gpu.clients.vastai_offers import Offer as FoundOffer
from gpu.clients.vastai_offers import OfferQuery
from gpu.errors import NoOffer
from gpu.models import FleetStatus, GpuConfig, GpuProvider, Host, Instance
from gpu.services import config, offers
from gpu.services.fleet import DEFAULTS
from gpu.services.fleet_values import HostMemory, MarketOffer, Offer, Policy, Rent, Schedule
from gpu.services.offers import ScoredOffer
from i2v_site.sentences import translated

# vast.ai counts the day's searches, and prices move slowly.
FRESH = timedelta(seconds=60)


def policy_of(row: GpuConfig) -> Policy:
    """The operator's configuration as the fleet's decisions know it."""
    return Policy(
        renting=row.renting and row.gpu_provider == GpuProvider.VASTAI,
        min_machines=row.min_machines,
        max_machines=row.max_machines,
        gpu_names=frozenset(map(str, row.gpu_names)),
        min_vram_gb=row.min_vram_gb,
        regions=frozenset(str(name).upper() for name in row.regions),
        verified_only=row.verified_only,
        min_reliability=row.min_reliability,
        min_download_mbps=row.min_download_mbps,
        min_cuda=row.min_cuda,
        disk_gb=row.disk_gb,
        max_price_usd_per_hour=float(row.max_price_usd_per_hour),
        idle_minutes=row.idle_minutes,
        max_lifetime_minutes=row.max_lifetime_minutes,
        lease_minutes=row.lease_minutes,
        schedule=Schedule(on_from=row.on_from, off_at=row.off_at),
        daily_cap_usd=float(row.daily_cap_usd),
        monthly_cap_usd=float(row.monthly_cap_usd),
        machine_cap_usd=None if row.machine_cap_usd is None else float(row.machine_cap_usd),
        soft_cap_percent=row.soft_cap_percent,
        min_credit_usd=float(row.min_credit_usd),
    )


def find(policy: Policy, *, fresh: bool = False) -> list[Offer]:
    """The offers of the market, remembered for a minute. Raises VastError; SearchQuota until the quota is new."""
    now = timezone.now()
    if policy.max_price_usd_per_hour <= 0:
        return []
    status = FleetStatus.objects.filter(pk=1).first()
    if status and status.no_search_until and status.no_search_until > now:
        words = _("The day's searches are used up, or vast.ai refused the last order.")
        raise SearchQuota(words, status.no_search_until)
    query = _query(policy)
    key = f"gpu.offers:{hash(query)}"
    known = cache.get(key)
    if known is not None and not fresh and abs(now - known[0]) < FRESH:
        return list(known[1])
    try:
        found: list[Offer] = [market_offer(one) for one in providers.vast().search_offers(query).offers]
    except SearchQuota as exc:
        until = exc.reset_at or _midnight_after(now)
        FleetStatus.objects.filter(pk=1).update(no_search_until=until)
        raise
    cache.set(key, (now, found), FRESH.total_seconds())
    return found


def choose(*, offer_id: int | None, reason: str) -> Rent:
    """The offer that a person asked for, or the cheapest per expected video. Raises NoOffer."""
    policy = policy_of(config.load())
    try:
        ranked = rank(policy, find(policy))
    except VastError as exc:
        raise NoOffer(_("vast.ai shows no offers now: %(exc)s") % {"exc": exc}) from exc
    # The market goes on showing for a while what was just taken.
    alive = Instance.objects.rented().alive()
    taken = set(alive.values_list("host__machine_id", flat=True))
    ranked = [one for one in ranked if one.offer.machine_id not in taken]
    if offer_id is not None:
        ranked = [one for one in ranked if one.offer.id == offer_id]
    if not ranked:
        raise NoOffer(_("This offer is gone.") if offer_id else _("No machine on the market fits the policy now."))
    if ranked[0].excluded:
        why = translated(ranked[0].excluded[0])
        raise NoOffer(_("This offer may not be taken: %(excluded)s.") % {"excluded": why})
    return rent_of(ranked[0], policy, reason)


def rank(policy: Policy, found: list[Offer]) -> list[ScoredOffer]:
    """All offers with their scores, the one to take first."""
    return offers.rank(found, policy, memories(), DEFAULTS, timezone.now())


def rent_of(scored: ScoredOffer, policy: Policy, reason: str) -> Rent:
    """Renting this offer for as long as the policy lets a machine live, and its own cap pays for. Raises NoOffer."""
    lifetime = timedelta(minutes=policy.max_lifetime_minutes)
    if policy.machine_cap_usd is not None and scored.usd_per_hour > 0:
        paid_h = (policy.machine_cap_usd - scored.traffic_usd) / scored.usd_per_hour - policy.lease_minutes / 60
        lifetime = min(lifetime, timedelta(hours=paid_h))
        if lifetime.total_seconds() <= 2 * scored.boot_s:
            raise NoOffer(
                _("The cap of $%(machine_cap_usd)s a machine is too low for this one.")
                % {"machine_cap_usd": f"{policy.machine_cap_usd:.2f}"}
            )
    hours = lifetime.total_seconds() / 3600
    return Rent(
        offer=scored.offer,
        reason=reason,
        reserve_usd=scored.traffic_usd + scored.usd_per_hour * hours,
        lifetime=lifetime,
        usd_per_hour=scored.usd_per_hour - scored.storage_usd_per_hour,
        storage_usd_per_hour=scored.storage_usd_per_hour,
        traffic_usd=scored.traffic_usd,
        seconds_per_video=scored.seconds_per_video,
        boot_estimate_s=scored.boot_s,
    )


def memories() -> dict[int, HostMemory]:
    names = ("machine_id", "boots", "failures", "boot_seconds", "download_mbps", "seconds_per_video", "avoid_until")
    return {row["machine_id"]: HostMemory(**row) for row in Host.objects.values(*names)}


def host_of(machine_id: int) -> Host:
    return Host.objects.get_or_create(machine_id=machine_id)[0]


def market_offer(found: FoundOffer) -> MarketOffer:
    """An offer as our scoring reads it."""
    return MarketOffer(
        id=found.id,
        machine_id=found.machine_id,
        gpu_name=found.gpu_name,
        num_gpus=found.num_gpus,
        gpu_ram=found.gpu_ram_mb,
        cuda_max_good=found.cuda,
        disk_space=found.disk_gb,
        inet_down=found.inet_down_mbps,
        inet_down_cost=found.inet_down_usd_per_gb,
        inet_up_cost=found.inet_up_usd_per_gb,
        storage_cost=found.storage_usd_per_gb_month,
        dph_base=found.gpu_usd_per_hour,
        reliability=found.reliability,
        verification="verified" if found.is_verified else "unverified",
        rentable=found.is_rentable,
        geolocation=found.geolocation,
        duration=found.duration_s,
        direct_port_count=found.direct_ports,
    )


def _query(policy: Policy) -> OfferQuery:
    wanted: dict[str, Any] = {
        "max_usd_per_hour": policy.max_price_usd_per_hour,
        "disk_gb": float(policy.disk_gb),
        "gpu_names": tuple(sorted(policy.gpu_names)),
        "min_vram_gb": float(policy.min_vram_gb),
        "regions": tuple(sorted(policy.regions)),
        "verified_only": policy.verified_only,
        "min_reliability": policy.min_reliability,
        "min_inet_down_mbps": float(policy.min_download_mbps),
        "min_cuda": policy.min_cuda,
        # The portal, SwarmUI, the dead-man switch and ssh.
        "min_direct_ports": 4,
        "min_duration_s": (policy.max_lifetime_minutes + policy.lease_minutes) * 60,
    }
    return OfferQuery(**wanted)


def _midnight_after(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
