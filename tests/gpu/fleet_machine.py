"""The fleet as a hypothesis state machine: the real services, the simulated market, and what must always hold."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import hypothesis.strategies as st
from django.core.cache import cache
from django.db.models import Sum
from django.test import override_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import Created, CreateSpec
from gpu.clients.vastai_offers import OfferQuery
from gpu.models import INSTANCE_OVER, DayTotal, FleetStatus, GpuConfig, Host, Instance, InstanceEvent, LedgerEntry
from gpu.models import InstanceState as S
from gpu.services import audit, ledger, machines, reconcile
from i2v_site import crashpoints
from i2v_site.errors import DomainError
from tests.gpu import renting
from tests.simulators.vastai import VastSimulator

CAP = Decimal(2)
LIFETIME_MIN, LEASE_MIN = 60, 20
CREATE_FAULTS = ("504_after", "lost_after", "garbage_after", "504", "lost", "429", "no_such_ask_404", "bid_too_low")
LIST_FAULTS = ("incomplete", "503", "garbage", "lost", "429", "repeat_token", "success_false")
DESTROY_FAULTS = (
    "lost",
    "lost_after",
    "503",
    "503_after",
    "429",
    "ignored",
    "still_listed",
    "garbage",
    "success_false",
)
FATES = (
    "ok",
    "ok",
    "exited",
    "offline",
    "unknown",
    "oci_error",
    "stuck_loading",
    "app_never",
    "refused",
    "lost_status",
)
STRIKES = ("exited", "offline", "unknown", "lost_status", "stopped")
POINTS = (
    "vast.intent.committed",
    "vast.create.before",
    "vast.create.sending",
    "vast.create.sent",
    "vast.create.saved",
    "vast.seen.claimed",
    "vast.round.listed",
    "vast.ready.seen",
    "vast.drain.committed",
    "vast.destroying.committed",
    "vast.destroy.before",
    "vast.destroy.sent",
    "vast.stray.before",
    "vast.end.committed",
)
SLACK = timedelta(minutes=12)  # between the end of a lifetime and the machine's, with the faults that are scripted here


class Killed(BaseException):
    """The process is gone: nothing that follows the crash point is done."""


@contextmanager
def killed_at(point: str) -> Iterator[None]:
    """What kill -9 leaves behind, without the process: open transactions are rolled back, all else stays."""

    def die(_pid: int, _signal: int) -> None:
        raise Killed(point)

    with mock.patch.object(crashpoints, "_ASKED", point), mock.patch.object(os, "kill", die), suppress(Killed):
        yield


class FleetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._exits = ExitStack()
        # Tomorrow at midnight: the real clock is behind it, and an example ends before the next day does.
        start = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        self.vast = self._exits.enter_context(VastSimulator(start=start.timestamp(), provisioning="never", machines=60))
        self._exits.enter_context(override_settings(**renting.values(self.vast)))
        self._exits.enter_context(renting.one_clock(self.vast))
        self._exits.enter_context(mock.patch("sys.stderr"))
        renting.allow_renting(
            daily_cap_usd=CAP,
            monthly_cap_usd=CAP,
            max_machines=2,
            max_lifetime_minutes=LIFETIME_MIN,
            lease_minutes=LEASE_MIN,
            min_download_mbps=200,
        )
        self.leased, self.most = False, 2
        self.looked_at = self.now
        self.over: dict[Any, str] = {}
        self.foreign = [self._by_hand("i2v/other/1"), self._by_hand("somebody's training")]

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.vast.now, UTC)

    def _by_hand(self, label: str) -> int:
        client = VastClient(self.vast.url, self.vast.api_key)
        offer = client.search_offers(OfferQuery(max_usd_per_hour=5, disk_gb=20)).offers[-1]
        outcome = client.create(offer.id, CreateSpec(label=label, disk_gb=20, image="somebody/else:1"))
        assert isinstance(outcome, Created)
        return outcome.instance_id

    def ours(self, *, alive: bool | None = None) -> list[dict[str, Any]]:
        found = self.vast.instances(alive=alive)
        return [one for one in found if (one["label"] or "").startswith("i2v/tests/")]

    def rows(self, *states: str) -> list[Instance]:
        rows = Instance.objects.order_by("created_at", "pk")
        return list(rows.filter(state__in=states) if states else rows.alive())

    # --- what people and the world do -----------------------------------------------------------------------------
    @initialize(leased=st.booleans())
    def has_a_dead_man_switch(self, leased: bool) -> None:
        self.leased = leased
        self.vast.use_agent(renting.Switch() if leased else None)

    @rule()
    def request(self) -> None:
        with suppress(DomainError):
            machines.request_machine(reason="a person wants one")

    @rule(waiting=st.sampled_from([0, 0, 1, 40]))
    def work(self, waiting: int) -> None:
        busy = {row.url: 1 for row in self.rows(S.READY)[:1]} if waiting else {}
        renting.want(waiting=waiting, jobs_at=busy)

    @rule(seconds=st.sampled_from([5, 60, 60, 60, 300]))
    def period(self, seconds: int) -> None:
        self.vast.advance(seconds)
        reconcile.reconcile()
        self.looked_at = self.now

    @rule(point=st.sampled_from(POINTS))
    def crash(self, point: str) -> None:
        with killed_at(point):
            if point == "vast.intent.committed":
                self.request()
            self.vast.advance(60)
            reconcile.reconcile()
        cache.clear()

    @rule(minutes=st.sampled_from([3, 9, 100]))
    def nobody_looks(self, minutes: int) -> None:
        # Without a switch on the machine only we can end it: then a long absence costs what it costs.
        self.vast.advance(60 * (minutes if self.leased else min(minutes, 9)))

    @rule(fault=st.sampled_from(CREATE_FAULTS))
    def create_fails(self, fault: str) -> None:
        self.vast.fail("create", fault)

    @rule(fault=st.sampled_from(LIST_FAULTS), times=st.integers(1, 4))
    def list_fails(self, fault: str, times: int) -> None:
        self.vast.fail("list", *[fault] * times)

    @rule(fault=st.sampled_from(DESTROY_FAULTS), times=st.integers(1, 3))
    def destroy_fails(self, fault: str, times: int) -> None:
        self.vast.fail("destroy", *[fault] * times)

    @rule(fate=st.sampled_from(FATES))
    def next_machine_is(self, fate: str) -> None:
        self.vast.script(fate_next=[fate])

    @rule(lag=st.sampled_from([0, 0, 40, 200]))
    def list_lags(self, lag: int) -> None:
        self.vast.script(create_lag_seconds=lag, destroy_lag_seconds=lag)

    @precondition(lambda self: self.ours(alive=True))
    @rule(which=st.integers(0, 9), fate=st.sampled_from(STRIKES))
    def strike(self, which: int, fate: str) -> None:
        alive = self.ours(alive=True)
        with suppress(ValueError):
            self.vast.strike(alive[which % len(alive)]["id"], fate)

    @precondition(lambda self: self.rows())
    @rule(which=st.integers(0, 9), act=st.sampled_from([machines.drain, machines.destroy]))
    def give_back(self, which: int, act: Any) -> None:
        rows = self.rows()
        with suppress(DomainError):
            act(instance=rows[which % len(rows)], reason="a person said so")

    @precondition(lambda self: self.rows())
    @rule(which=st.integers(0, 9))
    def extend(self, which: int) -> None:
        rows = self.rows()
        with suppress(DomainError):
            machines.extend_lease(instance=rows[which % len(rows)])

    @rule()
    def delivered_twice(self) -> None:
        reconcile.reconcile()
        reconcile.reconcile()
        for row in self.rows(*INSTANCE_OVER):
            ledger.release(instance=row)

    # --- rare corners, walked on purpose ------------------------------------------------------------------------------
    @rule()
    def answer_of_create_is_lost(self) -> None:
        self.create_fails("504_after")
        self._ask_and_look(3)

    @rule()
    def process_dies_after_create(self) -> None:
        self.request()
        self.crash("vast.create.sent")
        self._ask_and_look(3)

    @rule()
    def machine_appears_late(self) -> None:
        """It is not listed for minutes, and whether it was rented is not known."""
        self.vast.script(create_lag_seconds=250)
        self.create_fails("504_after")
        self._ask_and_look(6)
        self.vast.script(create_lag_seconds=0)

    def machine_appears_after_it_was_given_up(self) -> None:
        self.vast.script(create_lag_seconds=1500)
        self.create_fails("504_after")
        self.request()
        self.period(60)
        self.vast.script(create_lag_seconds=0)
        for _ in range(26):
            self.period(60)

    @rule()
    def destroys_are_ignored(self) -> None:
        self._one_up()
        self.destroy_fails("ignored", 3)
        self.destroy_fails("ignored", 3)
        self._end_the_first()
        for _ in range(8):
            self._checked_period()

    @rule()
    def list_lacks_rows_and_says_so(self) -> None:
        self._others_leave()
        self._one_up()
        self.list_fails("incomplete", 3)
        for _ in range(3):
            self._checked_period()

    @rule()
    def list_lacks_rows_once_and_says_nothing(self) -> None:
        self._others_leave()
        self._one_up()
        self.destroy_fails("503", 3)
        self.destroy_fails("503", 3)
        self._end_the_first()
        self.vast.fail("list", "incomplete_silent")
        self._checked_period()
        self._checked_period()

    @rule()
    def refusal_leaves_a_contract(self) -> None:
        self.create_fails("bid_too_low")
        self._ask_and_look(3)

    @rule()
    def everybody_wants_a_machine(self) -> None:
        self.most = 9
        GpuConfig.objects.update(max_machines=self.most)
        for _ in range(6):
            self.request()
            self.money_stays_below_the_cap()
        self.period(60)
        GpuConfig.objects.update(max_machines=2)

    @rule()
    def more_machines_than_allowed_are_asked_for(self) -> None:
        GpuConfig.objects.update(daily_cap_usd=50, monthly_cap_usd=50)
        for _ in range(4):
            self.request()
            self.no_more_machines_than_allowed()
        for row in self.rows(S.REQUESTED):
            machines.destroy(instance=row, reason="it was only a try")
        GpuConfig.objects.update(daily_cap_usd=CAP, monthly_cap_usd=CAP)

    def _end_the_first(self) -> None:
        for row in self.rows()[:1]:
            machines.destroy(instance=row, reason="a person said so")

    def _others_leave(self) -> None:
        # A list that lacks rows lacks its first ones.
        self.vast.script(fail_next={})
        client = VastClient(self.vast.url, self.vast.api_key)
        while self.foreign:
            client.destroy(self.foreign.pop())

    def _one_up(self) -> None:
        self._ask_and_look(3)

    def _ask_and_look(self, periods: int) -> None:
        self.request()
        for _ in range(periods):
            self._checked_period()

    def _checked_period(self) -> None:
        self.period(60)
        self.check_all()

    # --- what must hold ---------------------------------------------------------------------------------------------
    def check_all(self) -> None:
        self.one_machine_per_intent_and_an_intent_per_machine()
        self.an_end_is_true_and_final()
        self.money_stays_below_the_cap()
        self.nothing_grows_too_old()
        self.the_ledger_adds_up()
        self.others_are_left_alone()

    @invariant()
    def one_machine_per_intent_and_an_intent_per_machine(self) -> None:
        labels = Counter(one["label"] for one in self.ours())
        assert not [label for label, count in labels.items() if count > 1], labels
        sent = Instance.objects.filter(label__in=labels, sent_at__isnull=False)
        assert sent.count() == len(labels)

    @invariant()
    def an_end_is_true_and_final(self) -> None:
        alive = {one["label"] for one in self.ours(alive=True)}
        for row in Instance.objects.all():
            if row.pk in self.over:
                assert row.state == self.over[row.pk], "a terminal state has changed"
            elif row.state in INSTANCE_OVER:
                self.over[row.pk] = row.state
                # Only a machine that vast.ai did not show for minutes may turn out to exist; its label gives it away.
                hidden = row.seen_at is None and row.sent_at and self.now - row.sent_at >= timedelta(minutes=5)
                assert row.label not in alive or hidden, row.state

    @invariant()
    def no_more_machines_than_allowed(self) -> None:
        assert len(self.rows()) <= self.most

    @invariant()
    def money_stays_below_the_cap(self) -> None:
        cap = max(CAP, GpuConfig.objects.values_list("daily_cap_usd", flat=True).get(pk=1))
        mine = {one["id"] for one in self.ours()}
        paid = sum(one["total"] for one in self.vast.ledger()["contracts"] if one["id"] in mine)
        assert paid <= float(cap), "the true spend is above the cap"
        promised = Instance.objects.alive().aggregate(usd=Sum("reserved_usd"))["usd"] or 0
        assert promised <= cap, "more is promised than the cap allows"
        assert all(row.reserved_usd > 0 for row in self.rows())

    @invariant()
    def nothing_grows_too_old(self) -> None:
        unseen = self.now - self.looked_at
        for one in self.ours(alive=True):
            age = self.now - datetime.fromtimestamp(one["created_at"], UTC)
            assert age <= timedelta(minutes=LIFETIME_MIN) + SLACK + unseen, "a machine is over its longest lifetime"

    @invariant()
    def the_ledger_adds_up(self) -> None:
        kinds = LedgerEntry.Kind
        for row in Instance.objects.all():
            usd = {kind: sum((one.usd for one in row.ledger.filter(kind=kind)), Decimal(0)) for kind in kinds}
            assert usd[kinds.RESERVE] == row.reserved_usd
            assert usd[kinds.SPEND] == row.spent_usd
            if row.is_over:
                late = sum((one.usd for one in row.ledger.filter(key__startswith="late:")), Decimal(0))
                assert usd[kinds.RELEASE] == max(Decimal(0), row.reserved_usd - row.spent_usd + late), row

    @invariant()
    def others_are_left_alone(self) -> None:
        alive = {one["id"] for one in self.vast.instances(alive=True)}
        assert set(self.foreign) <= alive, "a machine of somebody else was destroyed"

    # --- the end ------------------------------------------------------------------------------------------------------
    def when_faults_stop_all_machines_end(self) -> None:
        """Without a word from the switches: it is us who give everything back."""
        self.vast.use_agent(None)
        self.vast.script(fail_next={}, create_lag_seconds=0, destroy_lag_seconds=0)
        GpuConfig.objects.update(renting=False)
        renting.want()
        for row in self.rows():
            with suppress(DomainError):
                machines.destroy(instance=row, reason="everything ends")
        for _ in range(12):
            if not self.rows() and not self.ours(alive=True):
                break
            self._checked_period()
        assert self.ours(alive=True) == []
        assert self.rows() == []
        assert ledger.reserved() == 0

    def the_books_hold_what_was_paid(self) -> None:
        mine = {one["id"] for one in self.ours()}
        paid = sum(one["total"] for one in self.vast.ledger()["contracts"] if one["id"] in mine)
        booked = Instance.objects.aggregate(usd=Sum("spent_usd"))["usd"] or 0
        assert float(booked) >= paid - 0.01, (
            f"${paid:.4f} were paid, ${booked:.4f} are booked: {list(Instance.objects.values())}"
        )

    def teardown(self) -> None:
        try:
            self.when_faults_stop_all_machines_end()
            self.the_books_hold_what_was_paid()
            assert audit.check_ledger() == []
        finally:
            self.close()

    def close(self) -> None:
        self._exits.close()
        for model in (LedgerEntry, DayTotal, InstanceEvent, Instance, Host, GpuConfig, FleetStatus):
            model._base_manager.all().delete()
