"""What vast.ai's list says about our machines: adopted, followed, failed, gone. Only a complete one proves absence."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop

from gpu.clients.vastai_messages import Listing, Status
from gpu.clients.vastai_messages import Machine as Record
from gpu.models import Instance, InstanceQuerySet, InstanceState
from gpu.services import hosts, ledger, machines, timeline
from gpu.services.identity import deployment_in
from gpu.services.renting import claim_contract
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

Rows = InstanceQuerySet
S = InstanceState
# A machine that was never seen may still be on its way into the list for so long after create.
LOOKUP = timedelta(minutes=5)
# So many complete lists in a row have to lack a machine.
LISTS = 2
# Two lists closer together than this may both come from the same stale copy.
LISTS_APART = timedelta(seconds=30)
# vast.ai lost sight of the host: so long it may come back.
SILENT = timedelta(seconds=30)
# How much dearer than its offer a machine may turn out.
DEARER = Decimal("1.05")

FOUND = Sentence(gettext_noop("Found at vast.ai as %(number)s, rented for $%(usd)s an hour."))
STATUS = Sentence(gettext_noop("vast.ai: %(status)s."))
STATUS_SAYING = Sentence(gettext_noop("vast.ai: %(status)s. %(said)s"))
TOO_DEAR = Sentence(gettext_noop("It costs $%(usd)s an hour; $%(agreed)s were offered."))
SIGHT_LOST = Sentence(gettext_noop("vast.ai has lost sight of it (%(status)s)."))
NO_BOOT = Sentence(gettext_noop("It did not boot in %(minutes)s minutes."))
NOT_READY = Sentence(gettext_noop("It was not ready after %(minutes)s minutes."))
NOT_READY_SAYING = Sentence(gettext_noop("It was not ready after %(minutes)s minutes. %(trouble)s"))
NEVER_SHOWN = gettext_noop("vast.ai said that it was rented out to us, and never showed it.")
AT_COST = Sentence(gettext_noop("%(message)s It cost $%(usd)s."))
# What `Record.failure` says: the clients know no Django and cannot mark their own texts.
FAILURES = (
    Sentence(gettext_noop("The machine is %(status)s.")),
    Sentence(gettext_noop("The host gave up. %(said)s")),
    gettext_noop("The host gave up."),
)


@dataclass(slots=True)
class Sorted:
    """A listing, told apart by whose machine each is."""

    ours: dict[Any, Record] = field(default_factory=dict)  # by the row's key
    strays: list[Record] = field(default_factory=list)  # our label, no living row
    strangers: list[dict[str, Any]] = field(default_factory=list)  # not ours to touch


def sort(listing: Listing, rows: Iterable[Instance]) -> Sorted:
    """Which machine is which row's. A label is believed before a number, and one row stands for one machine."""
    by_label = {row.label: row for row in rows}
    by_contract = {row.vast_id: row for row in by_label.values() if row.vast_id is not None}
    found = Sorted()
    for record in sorted(listing.machines, key=lambda one: one.id):
        row = by_label.get(record.label)
        if row is None and deployment_in(record.label) is None:
            # vast.ai may have lost the label; the number was in its own answer to us.
            row = by_contract.get(record.id)
        if row is not None and row.vast_id in (None, record.id) and row.pk not in found.ours:
            found.ours[row.pk] = record
        elif deployment_in(record.label) == settings.DEPLOYMENT:
            found.strays.append(record)
        else:
            found.strangers.append(_stranger(record))
    return found


def still_strays(strays: Iterable[Record]) -> list[Record]:
    """Those that no living row stands for by now: a row may have been committed since the rows were read."""
    found = list(strays)
    rows = Instance.objects.alive().filter(label__in=[one.label for one in found])
    known = dict(rows.values_list("label", "vast_id"))
    return [one for one in found if one.label not in known or known[one.label] not in (None, one.id)]


def _stranger(record: Record) -> dict[str, Any]:
    usd = record.usd_per_hour
    return {
        "id": record.id,
        "label": record.label[:200],
        "deployment": deployment_in(record.label) or "",
        "gpu_name": record.gpu_name,
        "usd_per_hour": str(usd) if usd is not None else "",
        "status": record.status_text,
    }


# --- seen -----------------------------------------------------------------------------------------------------------
def seen(row: Instance, record: Record, now: datetime) -> None:
    """The machine is in the list: take over what vast.ai says of it, and what follows from that."""
    if row.vast_id is None and not claim_contract(row, record.id):
        return
    crashpoint("vast.seen.claimed")
    before = row.seen_at
    _take_over(row, record, now)
    if row.move(S.CREATING, to=S.BOOTING, trouble=""):
        timeline.note(row, "rented", FOUND(number=record.id, usd=f"{row.usd_per_hour:.3f}"))
    if row.state not in (S.BOOTING, S.PROVISIONING, S.READY, S.DRAINING):
        return
    if trouble := _verdict(row, record, now):
        hosts.failed(row, reason=trouble, now=now)
        machines.to_destroying(row, reason=trouble)
    elif record.is_up and row.running_at is None:
        # It may have begun to run right after the last look, and it bills from then on.
        since = before or row.sent_at
        if row.move(S.BOOTING, to=S.PROVISIONING, running_at=since, trouble=""):
            words = gettext_noop("Its container runs. Models are downloaded and SwarmUI starts.")
            timeline.note(row, "provisioning", words)


def _take_over(row: Instance, record: Record, now: datetime) -> None:
    values: dict[str, Any] = {"seen_at": now, "absent_lists": 0, "gpu_use_percent": record.gpu_util}
    if "agreed_usd_per_hour" not in row.offer:
        values |= _contract_terms(row, record)
    if record.status_text != row.vast_status or row.seen_at is None:
        values["vast_status"] = record.status_text
        timeline.note(row, "status", _said(record), vast_status=record.status_text, at=now.isoformat())
    Instance.objects.filter(pk=row.pk).update(**values)
    for name, value in values.items():
        setattr(row, name, value)


def _said(record: Record) -> str:
    status = record.status_text or gettext_noop("not reported yet")
    words = STATUS_SAYING(status=status, said=record.message) if record.message else STATUS(status=status)
    return words.strip()


def _contract_terms(row: Instance, record: Record) -> dict[str, Any]:
    """The prices of the contract do not change; those of the offer may have, before it was taken."""
    terms = {
        "usd_per_hour": record.usd_per_hour,
        "storage_usd_per_hour": record.storage_usd_per_hour,
        "inet_usd_per_gb": record.inet_down_usd_per_gb,
        "gpu_name": record.gpu_name,
    }
    known = {name: value for name, value in terms.items() if value}
    known["offer"] = row.offer | {"agreed_usd_per_hour": str(row.usd_per_hour)}
    return known


def _verdict(row: Instance, record: Record, now: datetime) -> str:
    """Why the machine has to go; empty while it may be of use."""
    agreed = Decimal(row.offer.get("agreed_usd_per_hour") or row.usd_per_hour)
    if row.usd_per_hour > agreed * DEARER:
        return TOO_DEAR(usd=f"{row.usd_per_hour:.3f}", agreed=f"{agreed:.3f}")
    failure = record.failure()
    if failure and not failure.look_again:
        return failure.text[:250]
    # After it has run, a status that is missing is silence of the host too.
    silent = failure is not None or (record.status is Status.NONE and row.running_at is not None)
    if not silent:
        return ""
    since = row.events.filter(kind="status").order_by("at", "pk").values_list("data__at", flat=True).last()
    if since and now - datetime.fromisoformat(since) < SILENT:
        return ""
    return SIGHT_LOST(status=record.status_text or gettext_noop("no status"))


# --- not seen -------------------------------------------------------------------------------------------------------
def absent(row: Instance, now: datetime) -> None:
    """A complete list lacks the machine. One proves nothing."""
    if row.state == S.REQUESTED:
        return
    Instance.objects.filter(pk=row.pk).update(absent_lists=F("absent_lists") + 1)
    row.absent_lists += 1
    last = row.seen_at or row.sent_at or row.created_at
    if row.absent_lists < LISTS or now - last < (LISTS_APART if row.seen_at else LOOKUP):
        return
    if row.state == S.DESTROYING:
        if row.vast_id is None:
            _end(row, S.FAILED, gettext_noop("It was given up before it was rented."))
        elif row.seen_at is None:
            _end(row, S.LOST, NEVER_SHOWN)
        else:
            _end(row, S.DESTROYED, gettext_noop("Given back: vast.ai does not list it any more."))
    elif row.seen_at:
        hosts.failed(row, reason="gone without our doing", now=now)
        _end(row, S.LOST, gettext_noop("vast.ai does not list it any more, and nobody here gave it back."))
    elif row.vast_id is None:
        _end(row, S.FAILED, machines.NOT_RENTED(reason=gettext_noop("vast.ai does not know it.")))


def _end(row: Instance, state: str, message: str) -> None:
    with transaction.atomic():
        reason = row.end_reason or message
        if not row.move(row.state, to=state, end_reason=reason, trouble="", next_try_at=None):
            return
        ledger.release(instance=row)
        timeline.note(row, str(state), AT_COST(message=message, usd=f"{row.spent_usd:.2f}"))
    crashpoint("vast.end.committed")


# --- our own clock --------------------------------------------------------------------------------------------------
def walls(row: Instance, now: datetime) -> None:
    """Deadlines hold whatever vast.ai says, or does not say."""
    if row.state in (S.REQUESTED, S.DESTROYING) or row.is_over:
        return
    if row.max_until and now >= row.max_until:
        machines.to_destroying(row, reason=gettext_noop("Its longest lifetime is over."))
    elif row.lease_until and now >= row.lease_until:
        machines.to_destroying(row, reason=gettext_noop("Its lease is over."))
    elif row.state == S.BOOTING and _older(row.sent_at, now, settings.BOOT_DEADLINE_SECONDS):
        if row.seen_at is None:
            # vast.ai said that it was rented, and never showed it. Should it appear, its label gives it away.
            _end(row, S.LOST, NEVER_SHOWN)
            return
        _too_slow(row, NO_BOOT(minutes=settings.BOOT_DEADLINE_SECONDS // 60), now)
    elif row.state == S.PROVISIONING and _older(row.running_at, now, settings.PROVISION_DEADLINE_SECONDS):
        minutes = settings.PROVISION_DEADLINE_SECONDS // 60
        late = NOT_READY_SAYING(minutes=minutes, trouble=row.trouble) if row.trouble else NOT_READY(minutes=minutes)
        _too_slow(row, late, now)


def _older(since: datetime | None, now: datetime, seconds: float) -> bool:
    return since is not None and (now - since).total_seconds() > seconds


def _too_slow(row: Instance, reason: str, now: datetime) -> None:
    hosts.failed(row, reason=reason.strip(), now=now)
    machines.to_destroying(row, reason=reason.strip())
