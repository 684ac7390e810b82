"""What kind of GPU renders, and at what price: by machine, now, and as a rule."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from gpu.models import GpuConfig, Instance, InstanceState

S = InstanceState
_COMING = (S.REQUESTED, S.CREATING, S.BOOTING, S.PROVISIONING)
REMEMBERED = 20  # ended machines that say what a machine usually costs


@dataclass(frozen=True, slots=True)
class Machine:
    """A rented machine: its price running, and what it has cost in all (by vast.ai's bill when that is known)."""

    id: UUID
    gpu: str
    usd_per_hour: Decimal
    spent_usd: Decimal


@dataclass(frozen=True, slots=True)
class Now:
    """Who would render for SwarmUI now. `own`: the address typed in by hand, which costs nothing here."""

    own: str
    ready: tuple[Machine, ...]
    coming: tuple[Machine, ...]
    max_usd_per_hour: Decimal  # the most that a machine may cost when one has to be rented
    idle_s: float  # how long a machine is kept without work

    @property
    def gpus(self) -> frozenset[str]:
        """Names of the GPUs that would render; the address stands for the one behind it. Empty: nobody can tell."""
        return frozenset({self.own} if self.own else {machine.gpu for machine in self.ready or self.coming})


def now() -> Now:
    """The state of the servers, in two queries."""
    config = GpuConfig.objects.filter(pk=1).first() or GpuConfig()
    rented = Instance.objects.rented().filter(state__in=(S.READY, *_COMING))
    machines = [] if config.swarmui_url else [(row.state, _machine(row)) for row in rented]
    return Now(
        own=config.swarmui_url,
        ready=tuple(machine for state, machine in machines if state == S.READY),
        coming=tuple(machine for state, machine in machines if state != S.READY),
        max_usd_per_hour=Decimal(config.max_price_usd_per_hour),
        idle_s=config.idle_minutes * 60.0,
    )


def names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The GPU of each machine, in one query; none for an empty list."""
    wanted = set(ids)
    return dict(Instance.objects.filter(pk__in=wanted).values_list("pk", "gpu_name")) if wanted else {}


def lately_ended() -> list[Machine]:
    """Machines that are over and have cost something, the newest first."""
    rows = Instance.objects.rented().over().filter(spent_usd__gt=0, usd_per_hour__gt=0)
    return [_machine(row) for row in rows.order_by("-ended_at")[:REMEMBERED]]


def _machine(row: Instance) -> Machine:
    spent = row.spent_usd if row.charged_usd is None else row.charged_usd
    return Machine(row.pk, row.gpu_name, row.usd_per_hour, spent)
