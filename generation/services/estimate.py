"""What a video will take and cost, each with a range, from what such videos took and cost here before."""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.utils.translation import gettext_noop

from generation.models import Provider, Status, VideoJob, VideoModel
from generation.services import history, overhead
from generation.services.history import Seconds, Sized, Work, usual, work_of
from generation.services.prices import price_of
from gpu.services import config, gpus

__all__ = [
    "Estimate",
    "Work",
    "estimate_for",
    "estimate_job",
    "lanes",
    "queue_seconds",
    "reference_seconds",
    "render_seconds",
    "unfinished",
    "usual",
    "work_of",
]

HOUR_S = 3600
ZERO = Decimal(0)
PLACES = Decimal("0.0001")
CLOUD_LANES = 1000  # the cloud has no queue of ours

OWN_SERVER = gettext_noop("your own server")
FREE = "free"
FIXED_PRICE = "fal.ai's price"
RENTED = gettext_noop("a rented GPU")


class Chosen(Sized, Protocol):
    """Settings after a model's defaults and limits: `jobs.Settings`, or a job."""

    @property
    def fps(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Dollars:
    """`basis`: "free", "price" (of the provider), "history" (of ended machines) or "catalogue" (nobody knows yet)."""

    usual: Decimal
    low: Decimal
    high: Decimal
    basis: str
    paid_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds and US dollars. The upper end of the dollars is what a submit promises: nobody is charged more.

    `basis` is that of the seconds: "history" (`samples` videos measured here) or "catalogue" (the operator's figure).
    `wait_seconds` is the time before it starts: the queue, and a machine that has to come.
    """

    seconds: float
    seconds_low: float
    seconds_high: float
    wait_seconds: float = 0.0
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    basis: str
    usd_basis: str
    samples: int
    paid_for: str  # for people: "your own server", "a rented GPU", ...

    @property
    def total_seconds(self) -> float:
        return self.wait_seconds + self.seconds

    def after(self, wait_seconds: float) -> "Estimate":
        return replace(self, wait_seconds=round(wait_seconds, 1))

    def as_json(self) -> dict[str, Any]:
        """What VideoJob.estimate keeps and the API answers; dollars as numbers of four places."""
        numbers = {name: float(getattr(self, name)) for name in ("usd", "usd_low", "usd_high")}
        times = {name: getattr(self, name) for name in ("seconds", "seconds_low", "seconds_high", "wait_seconds")}
        words = {name: getattr(self, name) for name in ("basis", "usd_basis", "samples", "paid_for")}
        return times | numbers | words


def estimate_for(model: VideoModel, chosen: Chosen, *, servers: gpus.Now | None = None) -> Estimate:
    """Seconds and dollars of a video with these settings, without the wait. Quick: no query for what is remembered.

    A model for SwarmUI costs two queries, unless `servers` (`gpus.now()`) is given.
    """
    work = work_of(model, chosen)
    if model.provider == Provider.SWARMUI:
        servers = servers or gpus.now()
        seconds = history.foretell(model, work, servers.gpus)
        dollars = _rented(seconds, servers)
    else:
        seconds = history.foretell(model, work, frozenset())
        dollars = _priced(model, chosen, work)
    return Estimate(
        seconds=round(seconds.usual, 1),
        seconds_low=round(seconds.low, 1),
        seconds_high=round(seconds.high, 1),
        usd=dollars.usual.quantize(PLACES),
        usd_low=dollars.low.quantize(PLACES),
        usd_high=dollars.high.quantize(PLACES, ROUND_CEILING),
        basis=seconds.basis,
        usd_basis=dollars.basis,
        samples=seconds.samples,
        paid_for=dollars.paid_for,
    )


def _priced(model: VideoModel, chosen: Chosen, work: Work) -> Dollars:
    if model.provider == Provider.PREVIEW:
        return Dollars(ZERO, ZERO, ZERO, "free", FREE)
    usd = price_of(model, width=work.width, height=work.height, frames=chosen.frames, fps=chosen.fps)
    return Dollars(usd, usd, usd, "price", FIXED_PRICE)


def _rented(seconds: Seconds, servers: gpus.Now) -> Dollars:
    if servers.own:
        return Dollars(ZERO, ZERO, ZERO, "free", OWN_SERVER)
    known = overhead.usual()
    price, top_price = _hourly(servers, known)
    high = _cost(seconds.high * (1 + known.share_high), top_price)
    if not servers.ready:
        # The only video of a machine pays for its boot and for the time until it is given back.
        high = max(high, _cost(known.boot_s + seconds.high + servers.idle_s, top_price))
    return Dollars(
        usual=_cost(seconds.usual * (1 + known.share), price),
        low=min(_cost(seconds.low, price), high),
        high=high,
        basis="history" if known.machines else "catalogue",
        paid_for=RENTED,
    )


def _hourly(servers: gpus.Now, known: overhead.Usual) -> tuple[Decimal, Decimal]:
    """Dollars an hour of the machine that will render: usually, and at most."""
    prices = [machine.usd_per_hour for machine in servers.ready or servers.coming]
    if prices:
        return sum(prices, ZERO) / len(prices), max(prices)
    return known.usd_per_hour or servers.max_usd_per_hour, servers.max_usd_per_hour


def _cost(seconds: float, usd_per_hour: Decimal) -> Decimal:
    return Decimal(str(seconds)) * usd_per_hour / HOUR_S


def estimate_job(*, owner: User, request: Any) -> Estimate:
    """What this JobRequest would take if it were submitted now. Raises what `submit_job` raises for a bad request."""
    from generation.services import jobs  # which asks this module at every submit

    model = jobs.choose_model(owner=owner, slug=request.model)
    found = estimate_for(model, jobs.check_settings(model, request))
    return found.after(queue_seconds(unfinished().get(model.provider, 0), found.seconds, lanes(model)))


def unfinished() -> dict[str, int]:
    """Videos that wait to be made or are rendered, by provider; nobody waits behind a queue that is paused."""
    waiting = Q(status=Status.QUEUED, cancel_at=None, owner__preferences__queue_paused_at=None)
    rows = VideoJob.objects.filter(Q(status=Status.RENDERING) | waiting)
    return dict(rows.values_list("model__provider").annotate(Count("pk")).order_by())


def queue_seconds(before: int, seconds: float, lanes: int) -> float:
    """The wait behind `before` videos that take `seconds` each, on so many lanes; none while one is free."""
    return max(0, before - lanes + 1) * seconds / lanes


def render_seconds(model: VideoModel, work: Work) -> tuple[float, str]:
    """Seconds of rendering on whatever GPU, and their basis; without a query for what is remembered."""
    found = history.foretell(model, work, frozenset())
    return found.usual, found.basis


def reference_seconds(job: VideoJob, seconds: float) -> float:
    """What a video with the model's defaults would have taken where this one took `seconds`."""
    if not job.width or not job.height:
        return seconds
    return seconds * usual(job.model).units / work_of(job.model, job).units


def lanes(model: VideoModel) -> int:
    """Videos that are rendered at the same time; a second seat on a GPU waits, it does not render."""
    if model.provider == Provider.FAL:
        return CLOUD_LANES
    return settings.PREVIEW_PROCESSES if model.provider == Provider.PREVIEW else max(1, len(config.endpoints()))
