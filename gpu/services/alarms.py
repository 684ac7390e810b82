"""What a person must look at: raised once, cleared when it is over, and told until somebody heard it.

What is wrong is read from the rows, so a look may come twice, late, or from two processes at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu import queries
from gpu.models import Alarm, AlarmNotice, FleetStatus, GpuConfig, Instance, InstanceState
from gpu.services import cloud_credit, config
from i2v_site.queue import ring
from i2v_site.sentences import Sentence

SEND_TASK = "gpu.tasks.send_alarm"
DESTROY_LIMIT = timedelta(minutes=5)
UNSEEN_LIMIT = timedelta(minutes=5)
UNSENT_LIMIT = timedelta(minutes=5)
# Renting stops at the operator's floor; people hear of it while there is still as much again.
CREDIT_FACTOR = 2
# The share of its deadline after which a starting machine counts as stuck; at the deadline it is given back.
STARTING_SHARE = 0.75


class _OfMachine(Sentence):
    """Begins with a machine's name. "Being given back: it has cost …" has the same end, and is no machine."""

    def said(self, text: str) -> str | None:
        return None if ": " in text else super().said(text)


STRANGER = Sentence(gettext_noop("vast.ai bills a machine that this installation did not rent: %(machine)s."))
STRANGER_AT = Sentence(
    gettext_noop("vast.ai bills a machine that this installation did not rent: %(number)s (%(gpu)s, $%(usd)s an hour).")
)
STRANGER_AT_NAMED = Sentence(
    gettext_noop(
        "vast.ai bills a machine that this installation did not rent: "
        "%(number)s (%(gpu)s, $%(usd)s an hour, %(label)s)."
    )
)
LOW_CREDIT = Sentence(gettext_noop("$%(left)s of credit is left on vast.ai; below $%(least)s nothing is rented."))
NO_CLOUD = Sentence(gettext_noop("fal.ai takes no calls: %(said)s Cloud videos are refused until it takes one again."))
SPENT_TODAY = Sentence(gettext_noop("$%(spent)s of at most $%(cap)s were spent today."))
SPENT_IN_MONTH = Sentence(gettext_noop("$%(spent)s of at most $%(cap)s were spent this month."))
NEAR_OWN_CAP = _OfMachine(gettext_noop("%(machine)s has cost $%(spent)s of the $%(cap)s that a machine may cost."))
NOT_GONE = Sentence(gettext_noop("%(machine)s is not confirmed gone after %(minutes)s minutes and %(tries)s tries."))
STUCK = Sentence(gettext_noop("%(machine)s: %(state)s for %(minutes)s minutes."))
STUCK_SAYING = Sentence(gettext_noop("%(machine)s: %(state)s for %(minutes)s minutes. %(trouble)s"))
UNSEEN = Sentence(gettext_noop("%(machine)s: vast.ai has not listed it for %(minutes)s minutes."))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong now. `key` says what it is about: the same thing is raised once."""

    kind: str
    key: str
    message: str
    instance_id: UUID | None = None


def check(now: datetime | None = None) -> list[Alarm]:
    """Raise what is wrong and not raised yet, clear what is over. Returns the alarms raised now."""
    now = now or timezone.now()
    found = {finding.key: finding for finding in _findings(now)}
    open_alarms = {alarm.key: alarm for alarm in Alarm.objects.filter(cleared_at=None)}
    for key, alarm in open_alarms.items():
        if key not in found:
            _clear(alarm, now)
    raised = [_raise(finding, now) for key, finding in found.items() if key not in open_alarms]
    return [alarm for alarm in raised if alarm is not None]


def _raise(finding: Finding, now: datetime) -> Alarm | None:
    """None when another process raised it first."""
    try:
        with transaction.atomic():
            alarm = Alarm.objects.create(
                kind=finding.kind,
                key=finding.key,
                message=finding.message[:300],
                instance_id=finding.instance_id,
                raised_at=now,
            )
            _tell(alarm, AlarmNotice.Event.RAISED)
    except IntegrityError:
        return None
    return alarm


def _clear(alarm: Alarm, now: datetime) -> None:
    with transaction.atomic():
        if Alarm.objects.filter(pk=alarm.pk, cleared_at=None).update(cleared_at=now):
            _tell(alarm, AlarmNotice.Event.CLEARED)


def _tell(alarm: Alarm, event: AlarmNotice.Event) -> None:
    """Write the notices into the outbox, in the transaction of what they tell."""
    channels = []
    if event == AlarmNotice.Event.RAISED and staff_addresses():
        channels.append(AlarmNotice.Channel.MAIL)
    if settings.ALARM_WEBHOOK_URL:
        channels.append(AlarmNotice.Channel.WEBHOOK)
    for channel in channels:
        notice = AlarmNotice.objects.create(alarm=alarm, channel=channel, event=event)
        ring(SEND_TASK, str(notice.pk))


def staff_addresses() -> list[str]:
    """Where alarms are mailed to: everybody on the staff who has an address."""
    people = User.objects.filter(is_staff=True, is_active=True).exclude(email="").order_by("pk")
    return list(people.values_list("email", flat=True))


def cloud_credit_low(message: str) -> None:
    """fal.ai says that its account is used up: refuse cloud submits for a while and raise the alarm at once."""
    cloud_credit.told_empty(message)
    for finding in _low_cloud_credit(timezone.now()):
        if not Alarm.objects.filter(key=finding.key, cleared_at=None).exists():
            _raise(finding, timezone.now())


def cloud_credit_fine() -> None:
    """fal.ai took a paid call: whatever it said of its account is over. The next look clears the alarm."""
    cloud_credit.told_fine()


# --- what is wrong --------------------------------------------------------------------------------------------------


def _findings(now: datetime) -> Iterator[Finding]:
    status = FleetStatus.objects.filter(pk=1).first()
    if status is not None:
        yield from _strangers(status)
        yield from _low_credit(status)
        if status.ledger_trouble:
            yield Finding(Alarm.Kind.LEDGER, "ledger", status.ledger_trouble)
    yield from _low_cloud_credit(now)
    policy = config.load()
    yield from _near_caps(now, policy)
    for instance in Instance.objects.rented().alive():
        yield from _near_own_cap(instance, policy)
        yield from _trouble_of(instance, now, status)


def _strangers(status: FleetStatus) -> Iterator[Finding]:
    for stranger in status.strangers:
        vast_id = str(stranger["id"])
        yield Finding(Alarm.Kind.UNKNOWN_MACHINE, f"stranger:{vast_id}", _described(vast_id, stranger))


def _described(vast_id: str, stranger: dict[str, Any]) -> str:
    gpu, usd, label = (stranger.get(name) or "" for name in ("gpu_name", "usd_per_hour", "label"))
    if gpu and usd and label:
        return STRANGER_AT_NAMED(number=vast_id, gpu=gpu, usd=usd, label=label)
    if gpu and usd:
        return STRANGER_AT(number=vast_id, gpu=gpu, usd=usd)
    words = ", ".join(part for part in (gpu, f"${usd} an hour" if usd else "", label) if part)
    return STRANGER(machine=f"{vast_id} ({words})" if words else vast_id)


def _low_credit(status: FleetStatus) -> Iterator[Finding]:
    floor = config.load().min_credit_usd
    if status.credit_usd is not None and status.credit_usd < floor * CREDIT_FACTOR:
        message = LOW_CREDIT(left=f"{status.credit_usd:.2f}", least=f"{floor:.2f}")
        yield Finding(Alarm.Kind.CREDIT, "credit", message)


def _low_cloud_credit(now: datetime) -> Iterator[Finding]:
    said = cloud_credit.trouble(now)
    if said:
        yield Finding(Alarm.Kind.CREDIT, "credit:cloud", NO_CLOUD(said=said))


def _near_caps(now: datetime, policy: GpuConfig) -> Iterator[Finding]:
    money = queries.spending(now)
    periods = (
        (f"cap:{now:%Y-%m-%d}", SPENT_TODAY, money.today_usd, money.daily_cap_usd),
        (f"cap:{now:%Y-%m}", SPENT_IN_MONTH, money.month_usd, money.monthly_cap_usd),
    )
    for key, words, spent, cap in periods:
        if spent > 0 and spent * 100 >= cap * policy.soft_cap_percent:
            yield Finding(Alarm.Kind.CAP, key, words(spent=f"{spent:.2f}", cap=f"{cap:.2f}"))


def _near_own_cap(instance: Instance, policy: GpuConfig) -> Iterator[Finding]:
    cap = policy.machine_cap_usd
    if cap is not None and instance.spent_usd > 0 and instance.spent_usd * 100 >= cap * policy.soft_cap_percent:
        message = NEAR_OWN_CAP(machine=instance, spent=f"{instance.spent_usd:.2f}", cap=f"{cap:.2f}")
        yield Finding(Alarm.Kind.CAP, f"machine-cap:{instance.pk}", message, instance.pk)


def _trouble_of(instance: Instance, now: datetime, status: FleetStatus | None) -> Iterator[Finding]:
    if instance.state == InstanceState.DESTROYING:
        if now - instance.state_since > DESTROY_LIMIT:
            minutes = _minutes(now - instance.state_since)
            message = NOT_GONE(machine=instance, minutes=minutes, tries=instance.destroy_tries)
            yield Finding(Alarm.Kind.SLOW_DESTROY, f"destroy:{instance.pk}", message, instance.pk)
        return
    message = _stuck(instance, now, status)
    if message:
        yield Finding(Alarm.Kind.STUCK, f"stuck:{instance.pk}", message, instance.pk)


def _stuck(instance: Instance, now: datetime, status: FleetStatus | None) -> str:
    """Which machine that is not being given back does not get on, and why; "" when it does."""
    since = now - instance.state_since
    # While it is prepared, its trouble only says what is not there yet.
    if instance.trouble and instance.state != InstanceState.PROVISIONING:
        # No sentence: a colon between two values would be found in every other text.
        return f"{instance}: {instance.trouble}"
    state, minutes = instance.get_state_display(), _minutes(since)
    if instance.state in (InstanceState.REQUESTED, InstanceState.CREATING) and since > UNSENT_LIMIT:
        return STUCK(machine=instance, state=state, minutes=minutes)
    limits = {
        InstanceState.BOOTING: settings.BOOT_DEADLINE_SECONDS,
        InstanceState.PROVISIONING: settings.PROVISION_DEADLINE_SECONDS,
    }
    limit_s = limits.get(InstanceState(instance.state))
    if limit_s is not None and since.total_seconds() > limit_s * STARTING_SHARE:
        if not instance.trouble:
            return STUCK(machine=instance, state=state, minutes=minutes)
        return STUCK_SAYING(machine=instance, state=state, minutes=minutes, trouble=instance.trouble)
    return _unseen(instance, status)


def _unseen(instance: Instance, status: FleetStatus | None) -> str:
    """Complete lists without the machine; a look that failed says nothing about it."""
    if status is None or status.listed_at is None or instance.seen_at is None:
        return ""
    gap = status.listed_at - instance.seen_at
    return UNSEEN(machine=instance, minutes=_minutes(gap)) if gap > UNSEEN_LIMIT else ""


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
