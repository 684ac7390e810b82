"""What people are told about machines and money: reads that span models, in a number of queries that does not grow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Prefetch
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu.models import (
    INSTANCE_OVER,
    Alarm,
    FleetSample,
    FleetStatus,
    GpuConfig,
    Instance,
    InstanceEvent,
    InstanceKind,
    InstanceQuerySet,
    InstanceState,
)
from gpu.services import caps, ledger

PLOT_POINTS = 240
HISTORY_ROWS = 25


@dataclass(frozen=True, slots=True)
class Spending:
    """Of machines and cloud calls, in US dollars; days and months are those of UTC."""

    today_usd: Decimal
    month_usd: Decimal
    reserved_usd: Decimal
    daily_cap_usd: Decimal
    monthly_cap_usd: Decimal
    credit_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a machine's way to ready. `state` is done, now, next or failed."""

    name: str
    state: str
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MachineView:
    """A machine with everything that its card shows."""

    instance: Instance
    stages: list[Stage]
    events: list[InstanceEvent]
    cost_usd: Decimal
    age_s: float
    ready_in_s: float | None  # from the history of its host, or from its offer's score
    boot_basis: str  # "this host" or "its offer"; "" without an estimate

    @property
    def is_starting(self) -> bool:
        return self.instance.state in _STARTING

    @property
    def download(self) -> str:
        """ "14.2 of 26.2 GB at 210 MB/s"; "" before anything is known of it."""
        return _download_words(self.instance)

    @property
    def boot_s(self) -> float | None:
        """From the request to ready; None when it never was."""
        ready_at = self.instance.ready_at
        return (ready_at - self.instance.created_at).total_seconds() if ready_at else None

    @property
    def can_extend(self) -> bool:
        return self.instance.kind == InstanceKind.VASTAI and self.instance.state in _LIVING

    @property
    def can_drain(self) -> bool:
        return self.instance.kind == InstanceKind.VASTAI and self.instance.state == InstanceState.READY

    @property
    def can_destroy(self) -> bool:
        return self.instance.kind == InstanceKind.VASTAI and self.instance.state not in (
            *INSTANCE_OVER,
            InstanceState.DESTROYING,
        )


_STARTING = (InstanceState.REQUESTED, InstanceState.CREATING, InstanceState.BOOTING, InstanceState.PROVISIONING)
_LIVING = (*_STARTING, InstanceState.READY)


# --- which machines -------------------------------------------------------------------------------------------------


def instances() -> InstanceQuerySet:
    """All machines, newest first, with their hosts and timelines at hand."""
    events = Prefetch("events", InstanceEvent.objects.select_related("actor"))
    return Instance.objects.select_related("host").prefetch_related(events)


def machines_alive(now: datetime | None = None) -> list[MachineView]:
    return views_of(instances().alive(), now)


def history(*, limit: int = HISTORY_ROWS, now: datetime | None = None) -> list[MachineView]:
    """The machines that are over, those that ended last first."""
    over = instances().over().order_by("-ended_at", "-created_at")
    return views_of(over[:limit], now)


def views_of(rows: Iterable[Instance], now: datetime | None = None) -> list[MachineView]:
    now = now or timezone.now()
    return [_view(instance, now) for instance in rows]


def find(pk: UUID) -> Instance | None:
    return instances().filter(pk=pk).first()


def vast_id_in_use() -> int | None:
    """vast.ai's number of the machine that renders, or of the one that will be ready first; None without one."""
    rows = Instance.objects.rented().alive().exclude(vast_id=None).order_by("created_at")
    found = list(rows.values_list("state", "vast_id"))
    order = (InstanceState.READY, InstanceState.PROVISIONING, InstanceState.BOOTING, InstanceState.DRAINING)
    ranked = sorted(
        (order.index(InstanceState(state)), place, vast_id)
        for place, (state, vast_id) in enumerate(found)
        if state in order
    )
    return ranked[0][2] if ranked else None


# --- one machine ----------------------------------------------------------------------------------------------------


def _view(instance: Instance, now: datetime) -> MachineView:
    events = list(instance.events.all())
    estimate_s, basis = _boot_estimate(instance)
    age_s = ((instance.ended_at or now) - instance.created_at).total_seconds()
    starting = instance.state in _STARTING and estimate_s is not None
    return MachineView(
        instance=instance,
        stages=stages_of(instance, events),
        events=events,
        cost_usd=instance.spent_usd if instance.state in INSTANCE_OVER else ledger.cost(instance, now),
        age_s=age_s,
        ready_in_s=max(0.0, estimate_s - age_s) if starting and estimate_s is not None else None,
        boot_basis=basis if starting else "",
    )


def _boot_estimate(instance: Instance) -> tuple[float | None, str]:
    if instance.host and instance.host.boot_seconds:
        return instance.host.boot_seconds, _("this host")
    guess = instance.offer.get("boot_estimate_s") if isinstance(instance.offer, dict) else None
    return (float(guess), _("its offer")) if isinstance(guess, int | float) and guess > 0 else (None, "")


# What the way to ready looks like, whatever a machine calls its steps.
_STAGES = (
    gettext_noop("Requested"),
    gettext_noop("Rented"),
    gettext_noop("Booting"),
    gettext_noop("Downloading"),
    gettext_noop("Starting"),
    gettext_noop("Loading"),
    gettext_noop("Ready"),
)
_PLACE_BY_STATE = {
    InstanceState.REQUESTED: 0,
    InstanceState.CREATING: 1,
    InstanceState.BOOTING: 2,
    InstanceState.PROVISIONING: 3,
    InstanceState.READY: 6,
}


def stages_of(instance: Instance, events: Sequence[InstanceEvent]) -> list[Stage]:
    """The seven steps from requested to ready, with when each was reached and what the present one does."""
    place = _place(instance)
    times = _times(instance, events)
    stages = []
    for number, name in enumerate(_STAGES):
        ended_here = number == place and instance.state not in _LIVING and place < 6
        state = "failed" if ended_here else "done" if number < place else "now" if number == place else "next"
        if number == place == 6:
            state = "done"
        detail = _download_words(instance) if number == 3 and place >= 3 else ""
        stages.append(Stage(name, state, times.get(name) if number <= place else None, detail))
    return stages


def _place(instance: Instance) -> int:
    """How far the machine came; one that is over, or on its way out, stands where it was."""
    known = _PLACE_BY_STATE.get(InstanceState(instance.state))
    if known is None:
        if instance.ready_at:
            return 6
        known = 3 if instance.running_at else 2 if instance.vast_id else 1 if instance.sent_at else 0
    return _provisioning_place(instance) if known == 3 else known


def _provisioning_place(instance: Instance) -> int:
    """SwarmUI starts beside the download; what counts is what is still missing."""
    if instance.step != "done":
        return 3
    # The last look at SwarmUI: its backend is there and loads its models, or not yet.
    said = instance.trouble.casefold()
    return 5 if "load" in said or "lacks" in said else 4


def _times(instance: Instance, events: Sequence[InstanceEvent]) -> dict[str, datetime | None]:
    """When each step began: from the row, and for what it does not hold from the timeline's own words."""
    said: dict[str, datetime] = {}
    for event in events:
        said.setdefault("downloaded" if event.message.startswith("Done") else event.kind, event.at)
    return {
        "Requested": instance.created_at,
        "Rented": instance.sent_at,
        "Booting": said.get("rented"),
        "Downloading": said.get("provisioning") or instance.running_at,
        "Starting": said.get("downloaded"),
        "Ready": instance.ready_at,
    }


def _download_words(instance: Instance) -> str:
    """ "14.2 of 26.2 GB at 210 MB/s"; the speed only while it counts."""
    if not instance.bytes_total:
        return ""
    numbers = {
        "done": number_format(instance.bytes_done / 1e9, 1),
        "total": number_format(instance.bytes_total / 1e9, 1),
        "speed": round(instance.download_mbps / 8) if instance.download_mbps else 0,
    }
    busy = instance.state == InstanceState.PROVISIONING and instance.bytes_done < instance.bytes_total
    if busy and instance.download_mbps:
        return _("%(done)s of %(total)s GB at %(speed)s MB/s") % numbers
    return _("%(done)s of %(total)s GB") % numbers


# --- money, alarms, the plot ------------------------------------------------------------------------------------------


def spending(now: datetime | None = None) -> Spending:
    now = now or timezone.now()
    today, month = caps.spent(caps.SITE_ACCOUNTS, now)
    policy = GpuConfig.objects.filter(pk=1).first() or GpuConfig()
    status = fleet_status()
    return Spending(
        today_usd=today,
        month_usd=month,
        reserved_usd=ledger.reserved(),
        daily_cap_usd=Decimal(policy.daily_cap_usd),
        monthly_cap_usd=Decimal(policy.monthly_cap_usd),
        credit_usd=status.credit_usd,
    )


def fleet_status() -> FleetStatus:
    """The row, or an empty one that is not stored."""
    return FleetStatus.objects.filter(pk=1).first() or FleetStatus(pk=1)


def open_alarms() -> list[Alarm]:
    return list(Alarm.objects.filter(cleared_at=None).order_by("-raised_at")[:20])


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    machines: int
    waiting: int
    spent_usd: float  # since the start of the plot


def plot_series(*, hours: int, now: datetime | None = None) -> list[Point]:
    """The samples of the last hours, at most PLOT_POINTS of them, evenly thinned; peaks of a thinned stretch stay."""
    since = (now or timezone.now()) - timedelta(hours=hours)
    rows = list(
        FleetSample.objects.filter(at__gte=since).order_by("at").values_list("at", "machines", "waiting", "spend_usd")
    )
    if not rows:
        return []
    step = -(-len(rows) // PLOT_POINTS)
    base = rows[0][3]
    stretches = [rows[start : start + step] for start in range(0, len(rows), step)]
    return [
        Point(
            at=stretch[-1][0],
            machines=max(row[1] for row in stretch),
            waiting=max(row[2] for row in stretch),
            spent_usd=float(stretch[-1][3] - base),
        )
        for stretch in stretches
    ]
