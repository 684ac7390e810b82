"""Carrying out intents: create is sent once per row; an outcome that is not known is looked up, never sent again."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import (
    Created,
    CreateOutcome,
    CreateSpec,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    RefusedButExists,
    SpendLimit,
)
from gpu.clients.vastai_errors import VastError
from gpu.models import FleetStatus, GpuConfig, Instance, InstanceState, ModelFile
from gpu.services import hosts, ledger, machines, model_files, provisioning, timeline
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

log = logging.getLogger(__name__)
S = InstanceState
# An intent that could not even be sent for so long is given up.
UNSENT_S = 600
# vast.ai goes on showing an offer for a while that somebody else has taken.
OFFER_GONE_MINUTES = 10
# After an order that vast.ai understood and refused.
REFUSED_PAUSE = timedelta(minutes=5)
ORDER_FAILED = Sentence(gettext_noop("vast.ai did not take the order: %(error)s"))
NOT_MADE = Sentence(gettext_noop("What to start on the machine could not be made (%(error)s)."))
CREDIT_LOW = Sentence(gettext_noop("The credit at vast.ai is $%(credit)s; $%(least)s are to be left."))
NO_CREDIT = Sentence(gettext_noop("vast.ai gives no credit for it: %(said)s"))
REFUSED = Sentence(gettext_noop("vast.ai refused: %(said)s"))
RENTED = Sentence(gettext_noop("Rented as %(number)s, for $%(usd)s an hour."))
NOT_SENT = Sentence(gettext_noop("It could not be sent: %(reason)s"))
KEPT_STOPPED = gettext_noop("vast.ai refused to start it, and keeps it stopped at our expense.")


def send_intents(client: VastClient) -> None:
    """Rent what was asked for. Raises nothing: a row that cannot be sent now is looked at in the next round."""
    for row in Instance.objects.rented().filter(state=S.REQUESTED).order_by("created_at"):
        try:
            _send(client, row)
        except VastError as exc:
            _not_now(row, str(exc))


def _send(client: VastClient, row: Instance) -> None:
    spec = _spec(row)
    if spec is None or not _has_credit(client, row):
        return
    crashpoint("vast.create.before")
    # From here on the call may have been sent, whatever becomes of this process.
    if not row.move(S.REQUESTED, to=S.CREATING, sent_at=timezone.now(), trouble=""):
        return
    crashpoint("vast.create.sending")
    try:
        outcome = client.create(row.offer_id or 0, spec)
    except VastError as exc:
        # Not sent, or refused before anything was done.
        _never_created(row, ORDER_FAILED(error=exc))
        return
    crashpoint("vast.create.sent")
    _take_in(row, outcome)


def _spec(row: Instance) -> CreateSpec | None:
    try:
        files = [one for one in ModelFile.objects.all() if model_files.is_uploaded(one)]
        made = provisioning.onstart(row, files=files, deployment=settings.DEPLOYMENT)
        return CreateSpec(
            label=row.label,
            disk_gb=made.disk_gb,
            image=made.image,
            template_hash=made.template_hash,
            env=made.env,
            onstart=made.onstart,
            runtype=made.runtype,
        )
    except Exception as exc:
        # Storage that signs no links, or a setting that vast.ai would refuse: nothing was sent.
        log.exception("machine %s: what to start on it could not be made", row.pk)
        _not_now(row, NOT_MADE(error=type(exc).__name__))
        return None


def _has_credit(client: VastClient, row: Instance) -> bool:
    """The account's floor, looked at right before the money goes."""
    credit = client.account().credit_usd
    now = timezone.now()
    FleetStatus.objects.filter(pk=1).update(credit_usd=credit, credit_at=now)
    least = GpuConfig.objects.values_list("min_credit_usd", flat=True).get(pk=1)
    if credit >= least:
        return True
    _never_created(row, CREDIT_LOW(credit=f"{credit:.2f}", least=f"{least:.2f}"), source=S.REQUESTED)
    return False


def _take_in(row: Instance, outcome: CreateOutcome) -> None:
    match outcome:
        case Created():
            _rented(row, outcome.instance_id)
        case RefusedButExists():
            if claim_contract(row, outcome.instance_id):
                machines.to_destroying(row, reason=KEPT_STOPPED)
        case OutcomeUnknown():
            trouble = gettext_noop("vast.ai did not say whether it was rented; its list will.")
            Instance.objects.filter(pk=row.pk, state=S.CREATING).update(trouble=trouble)
            timeline.note(row, "trouble", trouble)
        case OfferGone():
            hosts.avoid(row, minutes=OFFER_GONE_MINUTES, now=timezone.now())
            _never_created(row, gettext_noop("Somebody else took the offer first."))
        case NoCredit() | SpendLimit():
            _never_created(row, NO_CREDIT(said=outcome.message))
        case _:
            # A template or setting that it does not take is no fault of the host, and the next order fares no better.
            pause = timezone.now() + REFUSED_PAUSE
            FleetStatus.objects.filter(pk=1).update(no_search_until=pause)
            _never_created(row, REFUSED(said=outcome.message))


def _rented(row: Instance, contract: int) -> None:
    if not claim_contract(row, contract):
        return
    crashpoint("vast.create.saved")
    if row.move(S.CREATING, to=S.BOOTING, trouble=""):
        timeline.note(row, "rented", RENTED(number=contract, usd=f"{row.usd_per_hour:.3f}"), vast_id=contract)


def claim_contract(row: Instance, contract: int) -> bool:
    """Write down which machine at vast.ai this row is, whatever state it has been given meanwhile."""
    taken = Instance.objects.filter(pk=row.pk, vast_id=None).alive().update(vast_id=contract)
    if taken:
        row.vast_id = contract
    return bool(taken)


def _never_created(row: Instance, reason: str, *, source: str = S.CREATING) -> None:
    """Proven: there is no such machine and there will be none."""
    with transaction.atomic():
        # A person may have wanted it destroyed while create was under way.
        if row.move(source, S.DESTROYING, to=S.FAILED, end_reason=reason[:300], trouble=""):
            ledger.release(instance=row)
            timeline.note(row, "failed", machines.NOT_RENTED(reason=reason))


def _not_now(row: Instance, reason: str) -> None:
    Instance.objects.filter(pk=row.pk).update(trouble=reason[:300])
    if (timezone.now() - row.created_at).total_seconds() > UNSENT_S:
        machines.to_destroying(row, reason=NOT_SENT(reason=reason))
