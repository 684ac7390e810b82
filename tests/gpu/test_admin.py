"""The fleet in the admin: one configuration, machines with what may be done to them, files, money."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from gpu.models import Alarm, Instance, InstanceState, LedgerEntry, ModelFile
from gpu.services import config, policy
from tests.gpu import machine_rows, renting
from tests.simulators.swarmui.simulator import SwarmSimulator
from tests.simulators.vastai import VastSimulator

S = InstanceState
LIST, ROW = "/admin/gpu/gpuconfig/", "/admin/gpu/gpuconfig/1/change/"


@pytest.fixture
def swarm(settings: Settings) -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        settings.SWARMUI_PRIVATE_HOSTS = [simulator.url.removeprefix("http://")]
        yield simulator


@pytest.fixture
def operator(staff: User, client: Client) -> Client:
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_the_list_leads_to_the_one_row(operator: Client) -> None:
    answer = operator.get(LIST)
    assert (answer.status_code, answer["Location"]) == (302, ROW)
    assert operator.get(ROW).status_code == 200


@pytest.mark.parametrize("path", [LIST + "add/", "/admin/gpu/gpuconfig/1/delete/"])
def test_the_row_is_neither_added_nor_deleted(operator: Client, path: str) -> None:
    config.load()
    assert operator.get(path).status_code == 403


def form(**changed: Any) -> dict[str, Any]:
    """The whole form as the admin shows it, with some answers changed."""
    row = config.load()
    values = {name: getattr(row, name) for name in policy.FIELDS} | {"swarmui_url": "", "gpu_names": "", "regions": ""}
    values |= {"renting": "", "verified_only": "on"}
    return {name: value for name, value in (values | changed).items() if value is not None}


def test_a_saved_address_is_checked_by_the_service(operator: Client, swarm: SwarmSimulator) -> None:
    config.load()
    answer = operator.post(ROW, form(swarmui_url=f"{swarm.url}/"))
    assert answer.status_code == 302
    assert config.load().swarmui_url == swarm.url
    assert LogEntry.objects.count() == 1


def test_a_bad_address_is_refused_beside_its_field(operator: Client) -> None:
    config.load()
    answer = operator.post(ROW, form(swarmui_url="http://10.0.0.1"))
    assert answer.status_code == 200
    assert "swarmui_url" in answer.context["adminform"].form.errors
    assert config.load().swarmui_url == ""


def test_people_who_are_not_staff_see_nothing(person: User, client: Client) -> None:
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(LIST).status_code in (302, 403)
    assert "gpuconfig/1" not in client.get(LIST).get("Location", "")


def test_the_policy_is_saved_and_what_does_not_fit_is_refused(operator: Client) -> None:
    operator.post(ROW, form(renting="on", regions="de, US", max_machines=3))
    assert (config.load().renting, config.load().regions, config.load().max_machines) == (True, ["DE", "US"], 3)
    answer = operator.post(ROW, form(min_machines=9))
    assert "min_machines" in answer.context["adminform"].form.errors
    assert LogEntry.objects.count() == 1


MACHINES = "/admin/gpu/instance/"


def chosen(action: str, *rows: Instance, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}


class TestMachines:
    @pytest.mark.parametrize(
        ("action", "state"), [("extend", S.READY), ("drain", S.DRAINING), ("destroy", S.DESTROYING)]
    )
    def test_every_action_asks_first_and_is_written_down(self, operator: Client, action: str, state: str) -> None:
        row = machine_rows.instance(S.READY)
        question = operator.post(MACHINES, chosen(action, row)).content.decode()
        assert str(row) in question
        row.refresh_from_db()
        assert (row.state, row.extended_until, LogEntry.objects.count()) == (S.READY, None, 0)
        operator.post(MACHINES, chosen(action, row, confirmed="1"))
        row.refresh_from_db()
        assert row.state == state
        assert action in LogEntry.objects.get().change_message
        assert row.events.get().actor == User.objects.get(username="root")

    def test_a_refusal_is_said_and_the_others_go_on(self, operator: Client) -> None:
        over, ready = machine_rows.instance(S.DESTROYED), machine_rows.instance(S.READY)
        answer = operator.post(MACHINES, chosen("drain", over, ready, confirmed="1"), follow=True).content.decode()
        ready.refresh_from_db()
        assert ready.state == S.DRAINING
        assert "This machine is being given back." in answer

    def test_looking_is_not_acting(self, client: Client, db: None) -> None:
        viewer = User.objects.create_user("viewer", "v@example.com", "x", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_instance"))
        client.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
        row = machine_rows.instance(S.READY)
        client.post(MACHINES, chosen("destroy", row, confirmed="1"))
        row.refresh_from_db()
        assert row.state == S.READY

    def test_a_machine_is_neither_made_nor_edited_nor_deleted_by_hand(self, operator: Client) -> None:
        row = machine_rows.instance(S.READY)
        machine_rows.event(row, "ready", "Ready after 6.9 minutes.")
        shown = operator.get(f"{MACHINES}{row.pk}/change/")
        assert "Ready after 6.9 minutes." in shown.content.decode()
        assert 'name="_save"' not in shown.content.decode()
        assert [operator.get(path).status_code for path in (f"{MACHINES}add/", f"{MACHINES}{row.pk}/delete/")] == [
            403
        ] * 2

    @pytest.mark.parametrize("path", [MACHINES, "/admin/gpu/ledgerentry/", "/admin/gpu/alarm/", "/admin/gpu/host/"])
    def test_lists_ask_the_database_as_often_for_one_as_for_ten(
        self, operator: Client, path: str, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(10):
            row = machine_rows.instance(S.READY, host=machine_rows.host(number + 1))
            machine_rows.spent(row, "0.10")
            Alarm.objects.create(kind=Alarm.Kind.STUCK, key=str(number), message="Stuck.", instance=row)
        with django_assert_max_num_queries(9):
            assert operator.get(path).content.decode().count('name="_selected_action"') in (0, 10)

    def test_the_page_of_one_machine_asks_as_often_for_one_event_as_for_thirty(
        self, operator: Client, staff: User, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        row = machine_rows.instance(S.READY, host=machine_rows.host())
        for number in range(30):
            event = machine_rows.event(row, "status", f"Event {number}.")
            type(event).objects.filter(pk=event.pk).update(actor=staff)
        with django_assert_max_num_queries(9):
            operator.get(f"{MACHINES}{row.pk}/change/")


@pytest.fixture
def vast(settings: Settings) -> Iterator[VastSimulator]:
    with VastSimulator(credit=20) as simulator:
        renting.use(settings, simulator)
        yield simulator


def test_the_offers_stand_in_the_admin_with_their_scores(operator: Client, vast: VastSimulator) -> None:
    renting.allow_renting()
    text = operator.get(f"{MACHINES}offers/").content.decode()
    scores = [float(number) for number in re.findall(r"<strong>([0-9.]+)</strong></td>", text)]
    assert len(scores) > 3
    assert scores == sorted(scores)


def test_the_offers_are_for_those_who_may_see_machines(client: Client, person: User) -> None:
    person.is_staff = True
    person.save()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"{MACHINES}offers/").headers["Location"] == "/admin/"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sha256": "xyz"}, "sha256"),
        ({"name": "a/b"}, "name"),
        ({"folder": "../x"}, "folder"),
        ({"needed_by": '"x"'}, "needed_by"),
        ({}, None),
    ],
)
def test_a_model_file_is_checked(operator: Client, changed: dict[str, str], field: str | None) -> None:
    values = {"name": "new.gguf", "folder": "VAE", "r2_key": "models/new", "size_bytes": "1", "needed_by": "[]"}
    answer = operator.post("/admin/gpu/modelfile/add/", values | changed)
    assert ModelFile.objects.filter(r2_key="models/new").exists() is (field is None)
    if field:
        assert field in answer.context["adminform"].form.errors


def test_money_is_only_looked_at(operator: Client) -> None:
    entry = machine_rows.spent(machine_rows.instance(S.READY), "0.10")
    operator.post(f"/admin/gpu/ledgerentry/{entry.pk}/change/", {"usd": "0"})
    assert operator.get("/admin/gpu/ledgerentry/add/").status_code == 403
    assert LedgerEntry.objects.get().usd == entry.usd
