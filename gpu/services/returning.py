"""Giving machines back: asked again for ever, and believed only when two complete lists lack the machine."""

import logging
import random
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu.clients.vastai import Destroy, VastClient
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Machine as Record
from gpu.models import Instance, InstanceState
from gpu.services import ledger, timeline
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

log = logging.getLogger(__name__)
S = InstanceState
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 60.0
_RANDOM = random.SystemRandom()
NOT_TAKEN_BACK = Sentence(gettext_noop("vast.ai did not take it back yet: %(error)s"))


def ask(client: VastClient) -> int:
    """Ask for every machine that is to go and whose turn it is; answers how many were asked for. Raises nothing."""
    now = timezone.now()
    due = Instance.objects.rented().filter(state=S.DESTROYING).exclude(vast_id=None)
    due = due.filter(Q(next_try_at=None) | Q(next_try_at__lte=now))
    asked = 0
    for row in due.order_by("state_since"):
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(row.destroy_tries, 8)) * _RANDOM.uniform(0.8, 1.0)
        # Whoever moves the time asks; a process that dies here only costs one wait.
        mine = due.filter(pk=row.pk).update(
            destroy_tries=F("destroy_tries") + 1, next_try_at=now + timedelta(seconds=wait_s)
        )
        if mine:
            crashpoint("vast.destroy.before")
            _ask_for(client, row)
            asked += 1
    return asked


def _ask_for(client: VastClient, row: Instance) -> None:
    try:
        if client.destroy(row.vast_id or 0) is Destroy.ACCEPTED:
            # vast.ai knows the machine, and no list has shown it: it may have run all the time.
            unseen = Instance.objects.filter(pk=row.pk, seen_at=None)
            unseen.update(seen_at=timezone.now(), running_at=F("sent_at"))
        trouble = ""
    except VastError as exc:
        trouble = NOT_TAKEN_BACK(error=exc)[:300]
        timeline.note_once(row, "trouble", trouble)
    crashpoint("vast.destroy.sent")
    Instance.objects.filter(pk=row.pk, state=S.DESTROYING).update(trouble=trouble)
    if row.destroy_tries == 0 and not trouble:
        timeline.note(row, "destroy_asked", gettext_noop("vast.ai was told to take it back."))


def remove_strays(client: VastClient, strays: Iterable[Record]) -> None:
    """Machines with our label that no living row stands for only cost money. Asked in every round that shows them."""
    for record in strays:
        log.warning("vast.ai: machine %s (%s) has no living row and is destroyed", record.id, record.label)
        crashpoint("vast.stray.before")
        ledger.charge_late(label=record.label, contract=record.id, usd=_cost_so_far(record))
        try:
            client.destroy(record.id)
        except VastError as exc:
            log.warning("vast.ai: machine %s could not be destroyed: %s", record.id, exc)


def _cost_so_far(record: Record) -> Decimal:
    since = record.created_at or timezone.now()
    hours = Decimal(str((timezone.now() - since).total_seconds())) / 3600
    return max(Decimal(0), hours) * (record.usd_per_hour or Decimal(0))
