"""What reconcile makes of crashes and trouble: one test for each row of the table of recoveries."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from threading import Thread

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from gpu import tasks
from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import Created, CreateSpec
from gpu.clients.vastai_offers import OfferQuery
from gpu.models import Alarm, FleetStatus, Host, Instance
from gpu.models import InstanceState as S
from gpu.services import alarms, booking, ledger, machines, reconcile
from tests.gpu import renting
from tests.gpu.renting import ours, period, rent, until
from tests.simulators.vastai import VastSimulator


@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never") as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting()
            yield simulator


def creates(vast: VastSimulator) -> int:
    return len(vast.calls("create"))


def by_hand(vast: VastSimulator, label: str) -> int:
    """A machine that somebody rents beside us, on the same account."""
    client = VastClient(vast.url, vast.api_key)
    offer = client.search_offers(OfferQuery(max_usd_per_hour=5, disk_gb=20)).offers[0]
    outcome = client.create(offer.id, CreateSpec(label=label, disk_gb=20, image="somebody/else:1"))
    assert isinstance(outcome, Created)
    vast.advance(30)
    return outcome.instance_id


# --- creating -------------------------------------------------------------------------------------------------------
def test_an_intent_that_nobody_sent_is_sent_in_the_next_round(vast: VastSimulator) -> None:
    row = machines.request_machine(reason="a test wants one")
    assert (row.state, creates(vast)) == (S.REQUESTED, 0)

    period(vast)

    row.refresh_from_db()
    assert (row.state, creates(vast), len(ours(vast))) == (S.BOOTING, 1, 1)


@pytest.mark.parametrize("fault", ["504_after", "lost_after", "garbage_after", "500_after"])
def test_a_create_whose_answer_was_lost_is_adopted_by_its_label(vast: VastSimulator, fault: str) -> None:
    vast.fail("create", fault)
    row = rent(vast)
    assert row.vast_id is None

    until(vast, row, S.BOOTING, S.PROVISIONING, S.READY, periods=2)
    assert (creates(vast), [one["id"] for one in ours(vast)]) == (1, [row.vast_id])


@pytest.mark.parametrize("fault", ["504", "lost", "empty"])
def test_a_create_that_never_arrived_has_failed_only_after_two_complete_lists_and_five_minutes(
    vast: VastSimulator, fault: str
) -> None:
    vast.fail("create", fault)
    row = rent(vast)

    for _ in range(4):
        period(vast)
        row.refresh_from_db()
        assert (row.state, ledger.reserved() > 0) == (S.CREATING, True)
    until(vast, row, S.FAILED, periods=3)
    assert (creates(vast), ledger.reserved(), vast.ledger()["paid"]) == (1, booking.ZERO, 0)


def test_a_machine_that_appears_late_is_adopted(vast: VastSimulator) -> None:
    vast.script(create_lag_seconds=200)
    vast.fail("create", "504_after")
    row = rent(vast)

    until(vast, row, S.BOOTING, S.PROVISIONING, S.READY, periods=6)
    assert creates(vast) == 1


def test_an_error_with_a_contract_in_it_leads_to_that_contract_being_destroyed(vast: VastSimulator) -> None:
    vast.fail("create", "bid_too_low")
    row = rent(vast)
    assert row.state == S.DESTROYING

    until(vast, row, S.DESTROYED, periods=7)
    assert vast.instances(alive=True) == []


def test_a_contract_that_never_appears_is_lost_after_the_boot_deadline(vast: VastSimulator) -> None:
    vast.fail("create", "phantom")
    row = rent(vast)
    assert row.state == S.BOOTING

    until(vast, row, S.LOST, periods=23)
    assert row.ended_at is not None
    assert row.ended_at - row.sent_at > timedelta(minutes=20)  # type: ignore[operator]  # both are set
    assert ledger.reserved() == 0


@pytest.mark.parametrize("fault", ["no_such_ask_404", "no_such_ask_410", "no_such_ask_400", "gone_409"])
def test_an_offer_that_somebody_else_took_fails_the_intent_at_once(vast: VastSimulator, fault: str) -> None:
    vast.fail("create", fault)
    row = rent(vast)
    assert (row.state, ledger.reserved(), creates(vast)) == (S.FAILED, booking.ZERO, 1)


@pytest.mark.parametrize("fault", ["insufficient_credit", "spend_rate_limit", "429", "401", "403_scope"])
def test_a_plain_refusal_fails_the_intent_at_once(vast: VastSimulator, fault: str) -> None:
    vast.fail("create", fault)
    row = rent(vast)
    assert (row.state, ledger.reserved(), creates(vast)) == (S.FAILED, booking.ZERO, 1)


# --- coming up ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fate", ["exited", "stopped", "offline", "unknown", "oci_error", "pull_error", "disk_full"])
def test_a_machine_that_cannot_come_up_is_given_back_and_its_host_is_avoided(vast: VastSimulator, fate: str) -> None:
    vast.script(fate_next=[fate])
    row = rent(vast)

    until(vast, row, S.DESTROYED, periods=12)
    host = Host.objects.get(instances=row)
    assert (ours(vast), host.failures) == ([], 1)
    assert host.avoid_until is not None
    assert host.avoid_until > timezone.now()


@pytest.mark.parametrize("fate", ["stuck_null", "stuck_created", "stuck_loading", "lost_status"])
def test_a_machine_that_is_stuck_is_given_back_at_the_boot_deadline(vast: VastSimulator, fate: str) -> None:
    vast.script(fate_next=[fate])
    row = rent(vast)
    sent_at = row.sent_at
    assert sent_at is not None

    until(vast, row, S.DESTROYING, periods=23)
    assert timezone.now() - sent_at > timedelta(minutes=20)
    until(vast, row, S.DESTROYED, periods=4)
    assert ours(vast) == []


@pytest.mark.parametrize("fate", ["app_never", "refused", "no_ports", "backend_errored"])
def test_a_machine_on_which_swarmui_never_answers_is_given_back(vast: VastSimulator, fate: str) -> None:
    vast.script(fate_next=[fate])
    row = rent(vast)

    until(vast, row, S.DESTROYED, periods=45)
    assert (ours(vast), row.ready_at) == ([], None)


@pytest.mark.parametrize("fate", ["exited", "offline", "unknown", "lost_status"])
def test_a_ready_machine_that_vast_loses_is_given_back(vast: VastSimulator, fate: str) -> None:
    row = until(vast, rent(vast), S.READY)
    vast.strike(row.vast_id or 0, fate)

    until(vast, row, S.DESTROYED, periods=6)
    assert ours(vast) == []


def test_one_look_at_which_the_host_is_silent_proves_nothing(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    vast.strike(row.vast_id or 0, "unknown")
    reconcile.reconcile()

    row.refresh_from_db()
    assert row.state == S.READY


# --- giving back ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", ["lost", "lost_after", "429", "503", "ignored", "still_listed", "garbage", "401"])
def test_a_destroy_in_trouble_is_asked_again_until_two_complete_lists_lack_the_machine(
    vast: VastSimulator, fault: str
) -> None:
    row = until(vast, rent(vast), S.PROVISIONING, S.READY)
    vast.fail("destroy", *[fault] * 9)
    machines.destroy(instance=row, reason="the test is over")

    until(vast, row, S.DESTROYED, periods=14)
    assert ours(vast) == []


def test_destroys_are_asked_with_growing_pauses_and_for_ever(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.PROVISIONING, S.READY)
    vast.fail("destroy", *["ignored"] * 500)
    machines.destroy(instance=row, reason="the test is over")

    for _ in range(240):
        period(vast, 5)
    times = [one["at"] for one in vast.calls("destroy")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    row.refresh_from_db()
    assert (row.state, pauses[0] <= 10, 45 <= pauses[-1] <= 65) == (S.DESTROYING, True, True)


def test_a_success_is_not_believed_while_the_machine_is_listed(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.PROVISIONING, S.READY)
    vast.fail("destroy", "ignored")
    machines.destroy(instance=row, reason="the test is over")
    reconcile.reconcile()

    row.refresh_from_db()
    assert (row.state, len(ours(vast))) == (S.DESTROYING, 1)


def test_one_list_without_the_machine_proves_nothing(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.PROVISIONING, S.READY)
    machines.destroy(instance=row, reason="the test is over")
    reconcile.reconcile()

    row.refresh_from_db()
    assert (row.state, row.absent_lists, ours(vast)) == (S.DESTROYING, 1, [])
    period(vast)
    row.refresh_from_db()
    assert row.state == S.DESTROYED


# --- lists ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", ["incomplete", "503", "garbage", "lost", "repeat_token", "success_false"])
def test_from_a_list_that_is_not_complete_nothing_is_concluded(vast: VastSimulator, fault: str) -> None:
    row = until(vast, rent(vast), S.READY)
    renting.want(running=1, jobs_at={row.url: 1})
    vast.fail("list", *[fault] * 60)

    for _ in range(5):
        period(vast)
    row.refresh_from_db()
    assert (row.state, row.absent_lists) == (S.READY, 0)


def test_lists_that_lack_rows_without_telling_cost_a_machine_but_never_leave_one_burning(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    vast.fail("list", "incomplete_silent", "incomplete_silent")
    for _ in range(6):
        period(vast)

    row.refresh_from_db()
    assert (row.state, ours(vast)) in ((S.LOST, []), (S.READY, ours(vast)))


# --- machines of nobody ---------------------------------------------------------------------------------------------
def test_our_label_without_a_row_is_destroyed_at_once(vast: VastSimulator) -> None:
    by_hand(vast, "i2v/tests/7e37a6e2-4b7c-4f6e-9bd1-3f2f0c6a0001")
    reconcile.reconcile()
    assert vast.instances(alive=True) == []


def test_our_label_of_a_row_that_is_over_is_destroyed_at_once(vast: VastSimulator) -> None:
    row = rent(vast)
    Instance.objects.filter(pk=row.pk).update(state=S.LOST)
    period(vast)
    assert vast.instances(alive=True) == []


@pytest.mark.parametrize("label", ["i2v/other/7e37a6e2-4b7c-4f6e-9bd1-3f2f0c6a0001", "training run", "i2v-tests"])
def test_machines_of_others_are_reported_and_never_touched(vast: VastSimulator, label: str) -> None:
    number = by_hand(vast, label)
    for _ in range(3):
        period(vast)
    alarms.check()

    assert [one["id"] for one in vast.instances(alive=True)] == [number]
    assert [one["id"] for one in FleetStatus.objects.get().strangers] == [number]
    assert str(number) in Alarm.objects.get(kind=Alarm.Kind.UNKNOWN_MACHINE).message
    assert vast.calls("destroy") == []


def test_a_second_machine_for_one_intent_is_destroyed(vast: VastSimulator) -> None:
    row = rent(vast)
    by_hand(vast, row.label)
    period(vast)

    assert [one["id"] for one in ours(vast)] == [row.vast_id]


def test_a_machine_whose_label_was_dropped_is_known_by_its_number(vast: VastSimulator) -> None:
    vast.script(label_at_create=False)
    row = until(vast, rent(vast), S.READY)
    machines.destroy(instance=row, reason="the test is over")
    until(vast, row, S.DESTROYED, periods=4)
    assert vast.instances(alive=True) == []


def test_a_machine_that_somebody_destroyed_by_hand_is_lost(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    VastClient(vast.url, vast.api_key).destroy(row.vast_id or 0)

    until(vast, row, S.LOST, periods=3)
    assert (ledger.reserved(), row.spent_usd > 0) == (booking.ZERO, True)


# --- time and death -------------------------------------------------------------------------------------------------
def test_after_our_death_leases_are_over_and_nothing_is_left(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    vast.advance(5 * 3600)
    reconcile.reconcile()

    row.refresh_from_db()
    assert row.state in (S.DESTROYING, S.LOST)
    until(vast, row, S.DESTROYED, S.LOST, periods=4)
    assert ours(vast) == []


def test_a_machine_that_hears_nothing_from_us_ends_itself(vast: VastSimulator) -> None:
    vast.use_agent(renting.Switch())
    row = until(vast, rent(vast), S.READY)
    vast.advance(11 * 60)
    assert ours(vast) == []

    until(vast, row, S.LOST, periods=3)
    assert ledger.reserved() == 0


def test_a_machine_that_we_look_after_goes_on_living(vast: VastSimulator) -> None:
    vast.use_agent(renting.Switch())
    row = until(vast, rent(vast), S.READY)
    renting.want(running=1, jobs_at={row.url: 1})
    for _ in range(30):
        period(vast)

    row.refresh_from_db()
    assert (row.state, len(ours(vast))) == (S.READY, 1)


def test_no_machine_outlives_its_longest_lifetime_even_without_a_list(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    vast.fail("list", *["503"] * 2000)
    Instance.objects.filter(pk=row.pk).update(lease_until=row.max_until)
    vast.advance(6 * 3600)
    reconcile.reconcile()

    assert ours(vast) == []


def test_a_round_delivered_twice_changes_nothing_the_second_time(vast: VastSimulator) -> None:
    row = rent(vast)
    tasks.reconcile()
    before = Instance.objects.values().get(pk=row.pk)
    tasks.reconcile()

    after = Instance.objects.values().get(pk=row.pk)
    assert (after["state"], after["spent_usd"], creates(vast)) == (before["state"], before["spent_usd"], 1)


def test_a_round_that_another_process_is_at_is_left_to_it_until_its_lease_is_over(vast: VastSimulator) -> None:
    reconcile.reconcile()
    until_then = timezone.now() + timedelta(seconds=45)
    FleetStatus.objects.update(lease_token="somebody else", lease_until=until_then)
    assert not reconcile.reconcile().ran
    assert period(vast).ran


def test_a_round_that_has_lost_its_lease_stops(vast: VastSimulator) -> None:
    machines.request_machine(reason="a test wants one")
    vast.fail("list", "503", "503", "503")
    token = reconcile._take_lease()
    FleetStatus.objects.update(lease_token="somebody else")

    with pytest.raises(reconcile._LeaseLost):
        reconcile._Round(VastClient(vast.url, vast.api_key), token or "").run()
    assert creates(vast) == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_rounds_at_once_rent_one_machine_for_one_intent(vast: VastSimulator) -> None:
    machines.request_machine(reason="a test wants one")

    def run() -> None:
        tasks.reconcile()
        connection.close()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    period(vast)
    assert (creates(vast), len(ours(vast))) == (1, 1)


def test_a_draining_machine_goes_when_its_last_video_is_done(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    renting.want(running=1, jobs_at={row.url: 1})
    machines.drain(instance=row, reason="the test is over")
    period(vast)
    row.refresh_from_db()
    assert row.state == S.DRAINING

    renting.want()
    period(vast)
    row.refresh_from_db()
    assert row.state == S.DESTROYING


def test_waiting_work_rents_a_machine_and_quiet_gives_it_back(vast: VastSimulator) -> None:
    renting.want(waiting=3)
    period(vast)
    row = until(vast, Instance.objects.get(), S.READY)
    assert "3 videos wait" in row.reason

    renting.want()
    until(vast, row, S.DESTROYED, periods=40)
    assert ours(vast) == []
