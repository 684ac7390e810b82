"""The market as staff see it: every offer with its score, what the score is made of, and what speaks against it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from gpu.clients.vastai_errors import VastError
from gpu.errors import NoOffer
from gpu.models import Host
from gpu.services import config, market
from gpu.services.offers import Parts, ScoredOffer


@dataclass(frozen=True, slots=True)
class HostNote:
    """What we remember of an offer's host."""

    boots: int
    failures: int
    boot_seconds: float | None
    download_mbps: float | None
    avoid_until: datetime | None


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One line of the table. Money is US dollars."""

    scored: ScoredOffer
    host: HostNote | None

    @property
    def offer_id(self) -> int:
        return self.scored.offer.id

    @property
    def machine_id(self) -> int:
        return self.scored.offer.machine_id

    @property
    def gpu_name(self) -> str:
        return self.scored.offer.gpu_name

    @property
    def vram_gb(self) -> float | None:
        return self.scored.offer.gpu_ram and round(self.scored.offer.gpu_ram / 1024, 1)

    @property
    def country(self) -> str:
        return (self.scored.offer.geolocation or "").rpartition(",")[2].strip().upper()[:2]

    @property
    def reliability(self) -> float | None:
        return self.scored.offer.reliability

    @property
    def download_mbps(self) -> float | None:
        return self.scored.offer.inet_down

    @property
    def usd_per_hour(self) -> float:
        return self.scored.usd_per_hour

    @property
    def usd_per_video(self) -> float | None:
        value = self.scored.usd_per_video
        return value if math.isfinite(value) else None

    @property
    def parts(self) -> Parts | None:
        return self.scored.parts

    @property
    def seconds_per_video(self) -> float:
        return self.scored.seconds_per_video

    @property
    def boot_s(self) -> float:
        return self.scored.boot_s

    @property
    def remembered(self) -> bool:
        return self.scored.remembered

    @property
    def excluded(self) -> tuple[str, ...]:
        return self.scored.excluded


def look() -> list[OfferRow]:
    """All offers that the market shows for our policy, best first. Raises RentingOff, NoOffer."""
    policy = market.policy_of(config.load())
    try:
        ranked = market.rank(policy, market.find(policy))
    except VastError as exc:
        raise NoOffer(_("vast.ai shows no offers now: %(exc)s") % {"exc": exc}) from exc
    hosts = {
        row.machine_id: row for row in Host.objects.filter(machine_id__in={one.offer.machine_id for one in ranked})
    }
    return [OfferRow(one, _note(hosts.get(one.offer.machine_id))) for one in ranked]


def matching(
    rows: Iterable[OfferRow],
    *,
    gpu_name: str = "",
    country: str = "",
    max_usd_per_hour: float | None = None,
    allowed: bool | None = None,
) -> list[OfferRow]:
    """The rows that fit every filter given; `allowed` parts those that the policy takes from the others."""
    return [
        row
        for row in rows
        if (not gpu_name or row.gpu_name == gpu_name)
        and (not country or row.country == country.upper())
        and (max_usd_per_hour is None or row.usd_per_hour <= max_usd_per_hour)
        and (allowed is None or allowed is not bool(row.excluded))
    ]


def _note(host: Host | None) -> HostNote | None:
    if host is None:
        return None
    return HostNote(host.boots, host.failures, host.boot_seconds, host.download_mbps, host.avoid_until)
