"""Machines as people and the fleet ask for them: the intent comes first, what vast.ai is told comes later."""

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu.errors import MachineOver, NoOffer, RentingOff, TooManyMachines
from gpu.models import GpuConfig, GpuProvider, Instance, InstanceKind, InstanceState
from gpu.services import config, ledger, market, timeline
from gpu.services.fleet_values import Rent
from gpu.services.identity import label_of, lease_key_of, secret_of
from i2v_site.crashpoints import crashpoint
from i2v_site.queue import ring
from i2v_site.sentences import Sentence

__all__ = [
    "destroy",
    "drain",
    "extend_lease",
    "intend",
    "lease_key_of",
    "request_machine",
    "secret_of",
    "to_destroying",
]

S = InstanceState
WANTED = (S.REQUESTED, S.CREATING, S.BOOTING, S.PROVISIONING, S.READY)
ASKED_FOR = Sentence(gettext_noop("Asked for: %(reason)s Up to $%(usd)s are set aside for it."))
KEPT = Sentence(gettext_noop("Kept until %(until)s UTC."))
FINISHING = Sentence(gettext_noop("Finishing its work: %(reason)s"))
NOT_RENTED = Sentence(gettext_noop("Not rented: %(reason)s"))
GOING_BACK = Sentence(gettext_noop("Being given back: %(reason)s"))


# --- asking for one -------------------------------------------------------------------------------------------------
def request_machine(*, offer_id: int | None = None, reason: str, actor: User | None = None) -> Instance:
    """Ask for a machine: this offer, or the one with the least expected cost of a video. It is rented a moment later.

    Raises RentingOff, NoOffer, TooManyMachines, CapReached.
    """
    _check_switch(config.load())
    return intend(rent=market.choose(offer_id=offer_id, reason=reason), actor=actor)


def intend(*, rent: Rent, actor: User | None = None) -> Instance:
    """Commit the intent with its money, and ring for it to be carried out.

    Raises RentingOff, NoOffer, TooManyMachines, CapReached.
    """
    now = timezone.now()
    pk = uuid.uuid4()
    with transaction.atomic():
        config.load()
        policy = GpuConfig.objects.select_for_update().get(pk=1)
        _check_room(policy, rent)
        instance = Instance.objects.create(
            pk=pk,
            label=label_of(pk),
            offer_id=rent.offer.id,
            offer=_remembered(rent),
            gpu_name=rent.offer.gpu_name[:60],
            host=market.host_of(rent.offer.machine_id),
            reason=rent.reason[:300],
            usd_per_hour=_usd(rent.usd_per_hour + rent.storage_usd_per_hour),
            storage_usd_per_hour=_usd(rent.storage_usd_per_hour),
            inet_usd_per_gb=_usd(rent.offer.inet_down_cost or 0),
            created_at=now,
            state_since=now,
            lease_until=now + timedelta(minutes=policy.lease_minutes),
            max_until=now + rent.lifetime,
        )
        usd_per_hour = instance.usd_per_hour
        worst = ledger.worst_case(
            usd_per_hour=usd_per_hour, inet_usd_per_gb=instance.inet_usd_per_gb, lifetime=rent.lifetime
        )
        ledger.reserve(instance=instance, usd=max(worst, _usd(rent.reserve_usd)))
        timeline.note(
            instance,
            "requested",
            ASKED_FOR(reason=rent.reason, usd=f"{instance.reserved_usd:.2f}"),
            actor=actor,
        )
        ring("gpu.tasks.reconcile")
    crashpoint("vast.intent.committed")
    return instance


def _check_switch(policy: GpuConfig) -> None:
    if not policy.renting or policy.gpu_provider != GpuProvider.VASTAI:
        raise RentingOff(_("Renting is switched off in the GPU configuration."))


def _check_room(policy: GpuConfig, rent: Rent) -> None:
    _check_switch(policy)
    alive = Instance.objects.alive().rented()
    if alive.count() >= policy.max_machines:
        raise TooManyMachines(_("No more than %(count)s machines may run at a time.") % {"count": policy.max_machines})
    if alive.filter(offer_id=rent.offer.id, state__in=(S.REQUESTED, S.CREATING)).exists():
        raise NoOffer(_("This offer is being rented already."))


def _remembered(rent: Rent) -> dict[str, Any]:
    """The offer as it was taken, and what was expected of it."""
    names = ("id", "machine_id", "gpu_name", "gpu_ram", "inet_down", "inet_down_cost", "reliability", "geolocation")
    return {name: getattr(rent.offer, name) for name in names} | {
        "traffic_usd": rent.traffic_usd,
        "seconds_per_video": rent.seconds_per_video,
        "boot_estimate_s": rent.boot_estimate_s,
        "reserve_usd": rent.reserve_usd,
    }


def _usd(value: float) -> Decimal:
    return Decimal(str(round(value, 5)))


# --- what people do with one ----------------------------------------------------------------------------------------
def extend_lease(*, instance: Instance, actor: User | None = None) -> Instance:
    """Keep the machine for another lease, never past the end of its life. Raises MachineOver."""
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        if row.state not in WANTED:
            raise MachineOver(_("This machine is being given back."))
        lease = timedelta(minutes=config.load().lease_minutes)
        until = max(timezone.now(), row.lease_until or timezone.now()) + lease
        until = min(until, row.max_until or until)
        row.lease_until = row.extended_until = until
        row.save(update_fields=["lease_until", "extended_until"])
        timeline.note(row, "lease", KEPT(until=f"{until:%H:%M}"), actor=actor)
    return row


def drain(*, instance: Instance, reason: str, actor: User | None = None) -> Instance:
    """Give it no new work; it goes back when its videos are done. Before it is ready: at once. Raises MachineOver."""
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        if row.state == S.DRAINING:
            return row
        if row.state in WANTED and row.state != S.READY:
            return destroy(instance=row, reason=reason, actor=actor)
        if not row.move(S.READY, to=S.DRAINING, end_reason=reason[:300]):
            raise MachineOver(_("This machine is being given back."))
        timeline.note(row, "draining", FINISHING(reason=reason), actor=actor)
        ring("gpu.tasks.reconcile")
    return row


def destroy(*, instance: Instance, reason: str, actor: User | None = None) -> Instance:
    """Give it back now, with what is on it. vast.ai is asked until the machine is gone. Raises MachineOver."""
    with transaction.atomic():
        row = Instance.objects.select_for_update().get(pk=instance.pk)
        if row.state == S.DESTROYING:
            return row
        if not to_destroying(row, reason=reason, actor=actor):
            raise MachineOver(_("This machine has been given back."))
        ring("gpu.tasks.reconcile")
    return row


def to_destroying(instance: Instance, *, reason: str, actor: User | None = None) -> bool:
    """The decision to give it back, committed; False when it is over or somebody else decided already."""
    if instance.kind != InstanceKind.VASTAI:
        return False
    with transaction.atomic():
        # Nothing was sent: there is nothing to give back.
        if instance.move(S.REQUESTED, to=S.FAILED, end_reason=reason[:300]):
            ledger.release(instance=instance)
            timeline.note(instance, "failed", NOT_RENTED(reason=reason), actor=actor)
            return True
        alive = (S.CREATING, S.BOOTING, S.PROVISIONING, S.READY, S.DRAINING)
        if not instance.move(*alive, to=S.DESTROYING, end_reason=reason[:300], next_try_at=None, absent_lists=0):
            return False
        timeline.note(instance, "destroying", GOING_BACK(reason=reason), actor=actor)
    crashpoint("vast.destroying.committed")
    return True
