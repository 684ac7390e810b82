"""One round of looking after rented machines: what vast.ai says, what our clock says, what work and money say.

Run every minute by a schedule, and every few seconds while something is in flux. A round that runs twice, late, or dies
in the middle does no harm: every step starts from committed rows, and its foreign call comes after its commit.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from gpu import providers
from gpu.clients.vastai import VastClient
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Listing
from gpu.clients.vastai_messages import Machine as Record
from gpu.errors import RentingOff
from gpu.models import INSTANCE_OVER, FleetStatus, Instance, InstanceState
from gpu.services import bringing_up, deciding, ledger, renting, returning, sightings
from gpu.services.fleet_values import Demand
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

log = logging.getLogger(__name__)
S = InstanceState
# Longer than any one call; renewed between calls. A round that dies keeps the next one waiting for so long.
LEASE = timedelta(seconds=45)
CREDIT_FRESH = timedelta(minutes=5)
NOT_LISTED = Sentence(gettext_noop("vast.ai does not list our machines: %(error)s"))
LIST_CUT = Sentence(gettext_noop("vast.ai's list is not complete: %(trouble)s"))


@dataclass(slots=True)
class Report:
    """What a round did. `ran` is False when another process is at it or there is no key."""

    ran: bool = False
    listed: bool = False  # the list was complete
    trouble: str = ""
    decisions: tuple[object, ...] = ()


class _LeaseLost(Exception):
    """This round took too long and another one has begun: it stops."""


def fleet_in_flux() -> bool:
    """Whether a machine is on its way up or down: then a look every few seconds is worth it."""
    return Instance.objects.rented().alive().exclude(state=S.READY).exists()


def round_is_due() -> bool:
    """Whether a machine of ours has not been looked at for a whole period."""
    before = timezone.now() - timedelta(seconds=settings.RECONCILE_SECONDS)
    looked = FleetStatus.objects.filter(listed_at__gte=before).exists()
    return not looked and Instance.objects.rented().alive().exists()


def reconcile() -> Report:
    """Do one round. Blocks for as long as vast.ai and the machines take to answer. Never raises for their trouble."""
    try:
        client = providers.vast()
    except RentingOff as exc:
        _say(exc.message if Instance.objects.rented().alive().exists() else "")
        return Report(trouble=exc.message)
    token = _take_lease()
    if token is None:
        return Report()
    try:
        return _Round(client, token).run()
    except _LeaseLost:
        return Report(ran=True, trouble="The round took too long.")
    finally:
        FleetStatus.objects.filter(pk=1, lease_token=token).update(lease_token="", lease_until=None)


def _take_lease() -> str | None:
    now, token = timezone.now(), uuid.uuid4().hex
    FleetStatus.objects.get_or_create(pk=1)
    # A lease from the future is one of a clock that was set back.
    free = Q(lease_until=None) | Q(lease_until__lte=now) | Q(lease_until__gt=now + 2 * LEASE)
    taken = FleetStatus.objects.filter(free, pk=1).update(lease_token=token, lease_until=now + LEASE)
    return token if taken else None


def _say(trouble: str) -> None:
    FleetStatus.objects.filter(pk=1).update(trouble=trouble[:300])


class _Round:
    def __init__(self, client: VastClient, token: str) -> None:
        self._client, self._token = client, token
        self._report = Report(ran=True)
        self._demand: Demand | None = None

    def run(self) -> Report:
        # What burns money for nothing comes first, whatever else is broken.
        self._each(self._rows(), sightings.walls)
        self._step(lambda: returning.ask(self._client))
        records = self._look()
        crashpoint("vast.round.listed")
        # Before anything is said about a machine, so that its cost so far is true.
        self._each(self._rows(), lambda row, now: ledger.settle(instance=row, now=now))
        rows = self._rows().filter(state__in=(S.BOOTING, S.PROVISIONING, S.READY, S.DRAINING))
        self._each(rows, lambda row, now: bringing_up.look_after(self._client, row, records.get(row.pk), now))
        self._settle_the_ended()
        self._look_at_credit()
        self._decide()
        if self._report.listed:
            self._step(lambda: renting.send_intents(self._client))
        self._step(lambda: returning.ask(self._client))
        return self._report

    def _rows(self) -> sightings.Rows:
        return Instance.objects.rented().alive().select_related("host").order_by("created_at")

    # --- looking ------------------------------------------------------------------------------------------------
    def _look(self) -> dict[uuid.UUID, Record]:
        """Compare vast.ai's list with our rows."""
        self._renew()
        # Rows first: a machine that is asked for after this moment is not missed.
        asked_at = timezone.now()
        known = list(Instance.objects.rented().alive().select_related("host").filter(created_at__lte=asked_at))
        listing = self._list()
        if listing is None:
            return {}
        found = sightings.sort(listing, known)
        strays = sightings.still_strays(found.strays)
        for row in known:
            record = found.ours.get(row.pk)
            if record is not None:
                self._safely(row, partial(sightings.seen, row, record, timezone.now()))
            elif listing.complete:
                self._safely(row, partial(sightings.absent, row, timezone.now()))
        self._step(lambda: returning.remove_strays(self._client, strays))
        if listing.complete:
            FleetStatus.objects.filter(pk=1).update(listed_at=asked_at, strangers=found.strangers)
        return found.ours

    def _list(self) -> Listing | None:
        try:
            listing = self._client.list_instances()
        except VastError as exc:
            self._report.trouble = NOT_LISTED(error=exc)
            _say(self._report.trouble)
            return None
        self._renew()
        self._report.listed = listing.complete
        self._report.trouble = "" if listing.complete else LIST_CUT(trouble=listing.trouble)
        _say(self._report.trouble)
        return listing

    def _look_at_credit(self) -> None:
        now = timezone.now()
        status = FleetStatus.objects.get(pk=1)
        if status.credit_at and timedelta(0) <= now - status.credit_at < CREDIT_FRESH:
            return
        try:
            credit = self._client.account().credit_usd
        except VastError as exc:
            log.warning("vast.ai: the credit could not be read: %s", exc)
            return
        FleetStatus.objects.filter(pk=1).update(credit_usd=credit, credit_at=now)

    # --- acting -------------------------------------------------------------------------------------------------
    def _decide(self) -> None:
        self._renew()
        try:
            demand = providers.demand()
            decisions = deciding.decide_and_act(demand, now=timezone.now(), may_rent=self._report.listed)
        except Exception:
            # Walls and destroys do not wait for whoever counts the work.
            log.exception("the fleet: nothing could be decided")
            return
        self._report.decisions = tuple(decisions)

    def _settle_the_ended(self) -> None:
        """The money of machines whose last transaction was cut short."""
        for row in Instance.objects.rented().filter(state__in=INSTANCE_OVER).exclude(ledger__kind="release"):
            ledger.release(instance=row)

    # --- keeping on -----------------------------------------------------------------------------------------------
    def _each(self, rows: sightings.Rows, act: Callable[[Instance, datetime], object]) -> None:
        for row in rows:
            self._renew()
            self._safely(row, partial(act, row, timezone.now()))

    def _step(self, act: Callable[[], object]) -> None:
        self._renew()
        try:
            act()
        except _LeaseLost:
            raise
        except Exception:
            log.exception("the fleet: a step failed; the others go on")

    def _safely(self, row: Instance, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception:
            # One machine's trouble must not keep the others from being given back.
            log.exception("machine %s: could not be looked after", row.pk)

    def _renew(self) -> None:
        until = timezone.now() + LEASE
        if not FleetStatus.objects.filter(pk=1, lease_token=self._token).update(lease_until=until):
            raise _LeaseLost
