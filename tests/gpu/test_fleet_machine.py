"""The fleet under random histories: what must hold does, and fourteen wrong designs are each found out."""

import os
import uuid
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from unittest import mock

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import CreateOutcome, CreateSpec, OutcomeUnknown, RefusedButExists
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Machine as Record
from gpu.models import Instance, LedgerEntry
from gpu.models import InstanceState as S
from gpu.services import ledger, machines, returning, sightings
from gpu.services import renting as renting_service
from i2v_site import crashpoints
from tests.gpu.fleet_machine import FleetMachine

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]
EXAMPLES = int(os.environ.get("FLEET_EXAMPLES", "15"))
STEPS = int(os.environ.get("FLEET_STEPS", "10"))
STORIES = [
    "answer_of_create_is_lost",
    "process_dies_after_create",
    "machine_appears_late",
    "machine_appears_after_it_was_given_up",
    "destroys_are_ignored",
    "list_lacks_rows_and_says_so",
    "list_lacks_rows_once_and_says_nothing",
    "refusal_leaves_a_contract",
    "everybody_wants_a_machine",
    "more_machines_than_allowed_are_asked_for",
]


def walk(story: str) -> None:
    """One rare corner on purpose, with everything that must hold checked at its end."""
    machine = FleetMachine()
    try:
        getattr(machine, story)()
        machine.check_all()
        machine.delivered_twice()
        machine.check_all()
    except BaseException:
        machine.close()
        raise
    machine.teardown()


@pytest.mark.parametrize("story", STORIES)
def test_the_right_design_survives_the_rare_corners(story: str) -> None:
    walk(story)


def test_the_right_design_survives_random_histories() -> None:
    run_state_machine_as_test(
        FleetMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=EXAMPLES <= 15,
            phases=[Phase.generate] if EXAMPLES <= 15 else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- wrong designs --------------------------------------------------------------------------------------------------
def resent_create(client: VastClient, offer_id: int, spec: CreateSpec) -> CreateOutcome:
    """A create whose outcome is not known is simply tried again."""
    outcome = RIGHT_CREATE(client, offer_id, spec)
    return RIGHT_CREATE(client, offer_id, spec) if isinstance(outcome, OutcomeUnknown) else outcome


def reserve_nothing(*, instance: Instance, usd: Decimal) -> None:
    """The promise is written down and compared with no cap."""
    LedgerEntry.objects.create(
        book="machine", subject=instance.pk, instance=instance, kind="reserve", usd=usd, key=f"reserve:{instance.pk}"
    )
    Instance.objects.filter(pk=instance.pk).update(reserved_usd=usd)


def believe_the_answer(client: VastClient, row: Instance) -> None:
    """A destroy that was accepted has happened."""
    with suppress(VastError):
        client.destroy(row.vast_id or 0)
        row.move(S.DESTROYING, to=S.DESTROYED)
        ledger.release(instance=row)


def any_deployment(label: str) -> str | None:
    """Every label that looks like ours is ours."""
    return "tests" if label.startswith("i2v/") else None


def believe_every_list(self: VastClient, found: dict[int, Record]) -> str:
    """The list is taken for complete, whatever vast.ai counts."""
    with suppress(VastError):
        RIGHT_PAGES(self, found)
    return ""


def release_again(*, instance: Instance) -> None:
    """Giving back the rest of a promise is booked as often as somebody asks for it."""
    ledger.settle(instance=instance)
    instance.refresh_from_db()
    rest = max(Decimal(0), instance.reserved_usd - instance.spent_usd)
    LedgerEntry.objects.create(
        book="machine", subject=instance.pk, instance=instance, kind="release", usd=rest, key=f"release:{uuid.uuid4()}"
    )


def send_before_commit(client: VastClient, row: Instance) -> None:
    """What was sent is written down afterwards."""
    spec = renting_service._spec(row)
    assert spec is not None
    outcome = client.create(row.offer_id or 0, spec)
    crashpoints.crashpoint("vast.create.sent")
    if row.move(S.REQUESTED, to=S.CREATING, sent_at=timezone.now()):
        renting_service._take_in(row, outcome)


def refusals_end_it(row: Instance, outcome: CreateOutcome) -> None:
    """An error is an error: what else stands in the answer is not read."""
    if isinstance(outcome, RefusedButExists):
        renting_service._never_created(row, outcome.message)
    else:
        RIGHT_TAKE_IN(row, outcome)


def give_up_destroying(client: VastClient) -> int:
    """Three times asked is enough."""
    Instance.objects.filter(destroy_tries__gte=3).update(next_try_at=timezone.now() + timedelta(days=1))
    return RIGHT_ASK(client)


def book_nothing(*, instance: Instance, now: datetime | None = None) -> Decimal:
    """The promise is all that is ever booked."""
    return Decimal(0)


RIGHT_CREATE, RIGHT_PAGES = VastClient.create, VastClient._read_pages
RIGHT_TAKE_IN, RIGHT_ASK = renting_service._take_in, returning.ask
NO_TIME = timedelta(0)

# What is done wrong, where, and the rare corner that shows it.
WRONG: dict[str, tuple[str, list[tuple[object, str, object]]]] = {
    "create is sent again": ("answer_of_create_is_lost", [(VastClient, "create", resent_create)]),
    "sent before it is committed": ("process_dies_after_create", [(renting_service, "_send", send_before_commit)]),
    "no reservation": ("everybody_wants_a_machine", [(ledger, "reserve", reserve_nothing)]),
    "no limit on machines": (
        "more_machines_than_allowed_are_asked_for",
        [(machines, "_check_room", lambda _policy, _rent: None)],
    ),
    "a destroy that was accepted is believed": ("destroys_are_ignored", [(returning, "_ask_for", believe_the_answer)]),
    "destroying is given up": ("destroys_are_ignored", [(returning, "ask", give_up_destroying)]),
    "gone after one list": ("list_lacks_rows_once_and_says_nothing", [(sightings, "LISTS", 1)]),
    "partial lists are believed": ("list_lacks_rows_and_says_so", [(VastClient, "_read_pages", believe_every_list)]),
    "another deployment's label is ours": ("answer_of_create_is_lost", [(sightings, "deployment_in", any_deployment)]),
    "an unknown outcome is given up at once": ("machine_appears_late", [(sightings, "LOOKUP", NO_TIME)]),
    "a refusal with a contract is a refusal": (
        "refusal_leaves_a_contract",
        [(renting_service, "_take_in", refusals_end_it)],
    ),
    "strays are left alone": (
        "machine_appears_after_it_was_given_up",
        [(returning, "remove_strays", lambda _client, _strays: None)],
    ),
    "released twice": ("destroys_are_ignored", [(ledger, "release", release_again)]),
    "costs are not booked": ("answer_of_create_is_lost", [(ledger, "settle", book_nothing)]),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_design_is_found_out(name: str) -> None:
    story, changes = WRONG[name]
    with ExitStack() as wrong:
        for place, attribute, value in changes:
            wrong.enter_context(mock.patch.object(place, attribute, value))
        with pytest.raises(AssertionError):
            walk(story)
