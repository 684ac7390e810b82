"""What can be rented, and our own judgement of it: vast.ai does not always apply the filters of a search."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu.clients.vastai_answer import number, plain_text, snapshot, whole

PAGE_SIZE = 64  # at most so many offers come back, whatever `limit` says
HOURS_PER_MONTH = 720
# Cards report the memory that can be used: a 24 GB card has 23,034 to 24,576 MB.
VRAM_MARGIN = 0.93
_COUNTRY = re.compile(r"(?:^|[\s,])([A-Za-z]{2})\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One offer, on demand. Rates are dollars, for the disk that the search asked for."""

    id: int
    machine_id: int
    host_id: int
    gpu_name: str
    num_gpus: int
    gpu_ram_mb: int  # of one GPU
    usd_per_hour: float  # GPU and disk while it runs
    gpu_usd_per_hour: float
    storage_usd_per_gb_month: float
    storage_usd_per_hour: float
    inet_down_usd_per_gb: float
    inet_up_usd_per_gb: float
    inet_down_mbps: float
    inet_up_mbps: float
    disk_gb: float
    reliability: float  # 0 to 1
    is_verified: bool
    cuda: float | None
    compute_cap: int | None  # 890 is 8.9
    dlperf: float
    direct_ports: int
    duration_s: float  # the host wants the machine back after that
    country: str  # two letters, "" when unknown
    geolocation: str
    is_datacenter: bool
    is_rentable: bool  # on demand, free, and of vast.ai's own market
    raw: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferQuery:
    """What is wanted. Empty tuples and zeros ask for nothing."""

    max_usd_per_hour: float
    disk_gb: float
    gpu_names: tuple[str, ...] = ()
    num_gpus: int = 1
    min_vram_gb: float = 24.0
    regions: tuple[str, ...] = ()  # two-letter country codes
    verified_only: bool = True
    min_reliability: float = 0.0
    min_inet_down_mbps: float = 0.0
    min_cuda: float = 0.0
    min_direct_ports: int = 1
    min_duration_s: float = 0.0
    exclude_machines: frozenset[int] = frozenset()
    max_pages: int = 2  # of 64, cheapest first; a page takes six seconds, and a day has a quota

    @property
    def min_vram_mb(self) -> float:
        return self.min_vram_gb * 1024 * VRAM_MARGIN

    def body(self) -> dict[str, Any]:
        """The search as vast.ai understands it."""
        filters: dict[str, dict[str, Any]] = {
            "rentable": {"eq": True},
            "external": {"eq": False},
            "num_gpus": {"eq": self.num_gpus},
            "gpu_ram": {"gte": self.min_vram_mb},
            "dph_total": {"lte": self.max_usd_per_hour},
            "disk_space": {"gte": self.disk_gb},
            "direct_port_count": {"gte": self.min_direct_ports},
            "duration": {"gte": self.min_duration_s},
            "reliability": {"gte": self.min_reliability},
            "inet_down": {"gte": self.min_inet_down_mbps},
        }
        if self.min_cuda:
            filters["cuda_max_good"] = {"gte": self.min_cuda}
        if self.verified_only:
            filters["verified"] = {"eq": True}
        if self.gpu_names:
            filters["gpu_name"] = {"in": [name.replace("_", " ") for name in self.gpu_names]}
        if self.regions:
            filters["geolocation"] = {"in": [region.upper() for region in self.regions]}
        control = {"type": "on-demand", "order": [["dph_total", "asc"]], "limit": PAGE_SIZE}
        return filters | control | {"allocated_storage": self.disk_gb}

    def objections(self, offer: Offer) -> list[str]:
        """Why an offer is not what is wanted, as short words; empty when it is."""
        checks = {
            "not rentable": offer.is_rentable,
            "price": offer.usd_per_hour <= self.max_usd_per_hour,
            "gpu": not self.gpu_names or _gpu(offer.gpu_name) in {_gpu(name) for name in self.gpu_names},
            "gpu count": offer.num_gpus == self.num_gpus,
            "vram": offer.gpu_ram_mb >= self.min_vram_mb,
            "disk": offer.disk_gb >= self.disk_gb,
            "not verified": offer.is_verified or not self.verified_only,
            "reliability": offer.reliability >= self.min_reliability,
            "download speed": offer.inet_down_mbps >= self.min_inet_down_mbps,
            "cuda": not self.min_cuda or (offer.cuda is not None and offer.cuda >= self.min_cuda),
            "ports": offer.direct_ports >= self.min_direct_ports,
            "duration": offer.duration_s >= self.min_duration_s,
            "region": not self.regions or offer.country in {region.upper() for region in self.regions},
            "avoided machine": offer.machine_id not in self.exclude_machines,
        }
        return [word for word, passed in checks.items() if not passed]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search brought: the offers that pass our own check, cheapest first, and why others do not.

    An offer without a usable price, id or size counts under "unreadable".
    """

    offers: tuple[Offer, ...]
    seen: int
    refused: Mapping[str, int]


class Sieve:
    """Collects pages of offers. vast.ai repeats offers between pages and may ignore filters."""

    def __init__(self, query: OfferQuery) -> None:
        self._query = query
        self._known: dict[int, float] = {}
        self._passed: list[Offer] = []
        self._refused: Counter[str] = Counter()

    def add(self, page: list[Any]) -> bool:
        """Whether the page had an offer that earlier pages did not have."""
        before = len(self._known)
        for raw in page:
            self._judge(raw)
        return len(self._known) > before

    def _judge(self, raw: Any) -> None:
        offer = parse_offer(raw, disk_gb=self._query.disk_gb)
        if offer is None:
            self._refused["unreadable"] += 1
        elif offer.id not in self._known:
            self._known[offer.id] = number(raw.get("dph_total")) or 0.0
            objections = self._query.objections(offer)
            self._refused.update(objections)
            if not objections:
                self._passed.append(offer)

    @property
    def last_price(self) -> float:
        """Of all offers so far, as vast.ai counts it."""
        return max(self._known.values(), default=0.0)

    def result(self) -> SearchResult:
        cheapest_first = sorted(self._passed, key=lambda offer: (offer.usd_per_hour, offer.id))
        return SearchResult(tuple(cheapest_first), len(self._known), dict(self._refused))


def parse_offer(raw: object, *, disk_gb: float) -> Offer | None:
    """An offer; None when it has no id, no size or no price that can be relied on."""
    if not isinstance(raw, dict):
        return None
    ids = [whole(raw.get(key)) for key in ("id", "machine_id", "num_gpus")]
    sizes = [_positive(raw.get(key)) for key in ("gpu_ram", "disk_space", "inet_down")]
    prices = [_positive(raw.get(key)) for key in ("dph_total", "dph_base")]
    rates = [_at_least_zero(raw.get(key)) for key in ("storage_cost", "inet_down_cost", "inet_up_cost")]
    if not all(ids) or None in (*sizes, *prices, *rates):
        return None
    offer_id, machine_id, num_gpus = (each or 0 for each in ids)
    gpu_ram_mb, disk_space, inet_down = (each or 0.0 for each in sizes)
    dph_total, dph_base = (each or 0.0 for each in prices)
    storage, inet_down_cost, inet_up_cost = (each or 0.0 for each in rates)
    storage_per_hour = storage * disk_gb / HOURS_PER_MONTH
    geolocation = plain_text(raw.get("geolocation"), 80)
    country = _COUNTRY.search(geolocation)
    return Offer(
        id=offer_id,
        machine_id=machine_id,
        host_id=whole(raw.get("host_id")) or 0,
        gpu_name=plain_text(raw.get("gpu_name"), 60),
        num_gpus=num_gpus,
        gpu_ram_mb=int(gpu_ram_mb),
        # allocated_storage may have been ignored: then dph_total holds too small a disk.
        usd_per_hour=max(dph_total, dph_base + storage_per_hour),
        gpu_usd_per_hour=dph_base,
        storage_usd_per_gb_month=storage,
        storage_usd_per_hour=storage_per_hour,
        inet_down_usd_per_gb=inet_down_cost,
        inet_up_usd_per_gb=inet_up_cost,
        inet_down_mbps=inet_down,
        inet_up_mbps=number(raw.get("inet_up")) or 0.0,
        disk_gb=disk_space,
        reliability=_share(raw),
        is_verified=raw.get("verification") == "verified",
        cuda=number(raw.get("cuda_max_good")),
        compute_cap=whole(raw.get("compute_cap")),
        dlperf=number(raw.get("dlperf")) or 0.0,
        direct_ports=whole(raw.get("direct_port_count")) or 0,
        duration_s=number(raw.get("duration")) or 0.0,
        country=country.group(1).upper() if country else "",
        geolocation=geolocation,
        is_datacenter=raw.get("hosting_type") == 1,
        is_rentable=_rentable(raw),
        raw=snapshot(raw),
    )


def _rentable(raw: dict[str, Any]) -> bool:
    taken = any(raw.get(key) is True for key in ("rented", "external", "is_bid"))
    return raw.get("rentable") is True and not taken


def _share(raw: dict[str, Any]) -> float:
    """Both spellings are in use; outside 0 to 1 it says nothing."""
    found = number(raw.get("reliability", raw.get("reliability2")))
    return found if found is not None and 0 <= found <= 1 else 0.0


def _positive(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def _at_least_zero(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found >= 0 else None


def _gpu(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
