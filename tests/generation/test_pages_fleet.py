"""The fleet page and the renting policy without scripts."""

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from time_machine import TimeMachineFixture

from generation.models import Status
from generation.pages import plot
from gpu import queries
from gpu.models import FleetStatus, Instance, InstanceState
from gpu.services import alarms, config, policy
from tests import factories
from tests.gpu import machine_rows, renting
from tests.simulators.vastai import VastSimulator

S = InstanceState
NOBODY = uuid.UUID(int=7)
FLEET, LIVE, POLICY = "/staff/fleet", "/staff/fleet/live", "/staff/gpu/policy"


@pytest.fixture
def page(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def shown(page: Client, path: str = LIVE) -> str:
    return page.get(path).content.decode()


class TestWhoMay:
    @pytest.mark.parametrize("path", [FLEET, LIVE, "/staff/fleet/plot", "/staff/fleet/offers"])
    def test_people_who_are_not_staff_see_nothing(self, client: Client, person: User, path: str) -> None:
        client.force_login(person)
        assert client.get(path).status_code == 403

    @pytest.mark.parametrize("path", [POLICY, "/staff/fleet/rent", f"/staff/fleet/{NOBODY}/destroy"])
    def test_people_who_are_not_staff_change_nothing(self, client: Client, person: User, path: str) -> None:
        client.force_login(person)
        assert client.post(path, {"confirmed": "1"}).status_code == 403

    @pytest.mark.parametrize("path", [f"/staff/fleet/{NOBODY}/destroy", f"/staff/fleet/{NOBODY}/explode"])
    def test_a_machine_that_is_not_there_is_a_404(self, page: Client, path: str) -> None:
        assert page.post(path, {"confirmed": "1"}).status_code == 404


class TestMachines:
    def test_an_empty_fleet_says_why(self, page: Client) -> None:
        FleetStatus.objects.create(pk=1, wait_reason="Two videos wait; a boot pays off after four.")
        assert "Two videos wait; a boot pays off after four." in shown(page, FLEET)

    def test_a_starting_machine_shows_its_download_its_cost_and_when_it_is_ready(
        self, page: Client, time_machine: TimeMachineFixture
    ) -> None:
        time_machine.move_to(timezone.now(), tick=False)
        known = machine_rows.host(boot_seconds=430.0, boots=2)
        young = timezone.now() - timedelta(seconds=190)
        machine_rows.instance(
            S.PROVISIONING, host=known, created_at=young, step="download", bytes_done=14_200_000_000,
            bytes_total=26_200_000_000, download_mbps=1680, trouble="SwarmUI does not answer yet.",
        )  # fmt: skip
        text = shown(page)
        for words in ("14.2 of 26.2 GB at 210 MB/s", "Ready in about 4 min", "this host", "SwarmUI does not answer"):
            assert words in text
        assert re.search(r'class="now" aria-current="step"><span class="stage-name">Downloading', text)

    def test_a_ready_machine_shows_its_lease_its_use_and_whose_videos_are_on_it(
        self, page: Client, person: User
    ) -> None:
        row = machine_rows.instance(S.READY, gpu_use_percent=97.4, log_tail="<b>frame 80 of 81</b>")
        job = factories.job(person, model=factories.wan_model(), status=Status.RENDERING, progress=0.42, prompt="mine")
        factories.attempt(job, endpoint=row.url)
        text = shown(page)
        for words in ("lease ends", "97 %", "ada: 42 %", "&lt;b&gt;frame 80 of 81"):
            assert words in text
        assert "mine" not in text

    def test_what_is_over_stands_in_the_history(self, page: Client) -> None:
        machine_rows.instance(S.LOST, spent_usd=Decimal("0.74"), end_reason="Gone without our doing.")
        text = shown(page, FLEET)
        assert "Gone without our doing." in text
        assert "$0.74" in text
        assert "Gone without" not in shown(page)

    def test_asks_the_database_the_same_number_of_times_for_one_and_for_ten(
        self, page: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        config.load()
        for number in range(10):
            machine_rows.event(machine_rows.instance(S.READY, host=machine_rows.host(number + 1)), "ready", "Ready.")
        with django_assert_max_num_queries(14):
            assert page.get(LIVE).content.count(b'class="panel machine"') == 10

    @pytest.mark.parametrize(
        ("action", "state"), [("extend", S.READY), ("drain", S.DRAINING), ("destroy", S.DESTROYING)]
    )
    def test_every_act_asks_first(self, page: Client, action: str, state: str) -> None:
        row = machine_rows.instance(S.READY)
        path = f"/staff/fleet/{row.pk}/{action}"
        assert "this machine" in page.post(path).content.decode()
        row.refresh_from_db()
        assert (row.state, row.extended_until) == (S.READY, None)
        assert page.post(path, {"confirmed": "1"}).headers["Location"] == FLEET
        row.refresh_from_db()
        assert (row.state, row.events.get().actor) == (state, User.objects.get(username="root"))

    def test_an_act_that_comes_too_late_is_said_kindly(self, page: Client) -> None:
        row = machine_rows.instance(S.DESTROYED)
        answer = page.post(f"/staff/fleet/{row.pk}/extend", {"confirmed": "1"}, follow=True)
        assert "being given back" in answer.content.decode()


class TestAlarms:
    def test_stand_on_every_page_of_staff_and_on_nobody_elses(self, page: Client, person: User) -> None:
        FleetStatus.objects.create(pk=1, credit_usd=Decimal("0.5"))
        alarms.check()
        for path in ("/", "/staff/gpu", FLEET, "/admin/"):
            assert shown(page, path).count("</strong> $0.50 of credit is left") == 1, path
        other = Client()
        other.force_login(person)
        assert "credit is left" not in shown(other, "/")


class TestPlot:
    def test_is_drawn_with_words_and_numbers_beside_it(self, page: Client) -> None:
        machine_rows.samples(timezone.now())
        text = shown(page, "/staff/fleet/plot?hours=6")
        assert "In the last 6 hours: machines at a time 3 at most" in text
        assert text.count("<tr>") > 5
        assert "style=" not in text

    def test_an_empty_time_says_so(self, page: Client) -> None:
        assert "nothing to draw yet" in shown(page, "/staff/fleet/plot?hours=9999")

    def test_one_point_is_enough(self) -> None:
        now = timezone.now()
        drawn = plot.draw([queries.Point(now, 0, 0, 0.0)], hours=6, now=now)
        assert drawn is not None
        assert [one.line for one in drawn.series] == ["M1000.0,100.0"] * 3


@pytest.fixture
def vast(settings: Settings) -> Iterator[VastSimulator]:
    with VastSimulator(credit=20) as simulator:
        renting.use(settings, simulator)
        yield simulator


class TestOffers:
    def test_are_shown_with_their_parts_and_filtered(self, page: Client, vast: VastSimulator) -> None:
        renting.allow_renting()
        text = shown(page, f"{FLEET}?offers=1&gpu_name=RTX+4090")
        assert text.count('<th scope="row" data-label="GPU">RTX 4090') > 1
        assert '<th scope="row" data-label="GPU">RTX 3090' not in text
        assert "<dt>Traffic</dt>" in text

    def test_the_page_alone_never_searches_the_market(self, page: Client, vast: VastSimulator) -> None:
        before = vast.state()
        shown(page, FLEET)
        shown(page)
        assert vast.state() == before

    def test_without_a_key_the_table_says_what_is_missing(self, page: Client, settings: Settings) -> None:
        settings.VASTAI_API_KEY = ""
        assert "VASTAI_API_KEY" in shown(page, f"{FLEET}?offers=1")

    def test_renting_asks_first_and_then_takes_the_offer_chosen(self, page: Client, vast: VastSimulator) -> None:
        renting.allow_renting()
        found = re.findall(r'name="offer_id" value="(\d+)"', shown(page, f"{FLEET}?offers=1"))
        page.post("/staff/fleet/rent", {"offer_id": found[2]})
        assert not Instance.objects.exists()
        page.post("/staff/fleet/rent", {"offer_id": found[2], "confirmed": "1"})
        assert str(Instance.objects.get().offer_id) == found[2]

    def test_a_refusal_is_said_on_the_page(self, page: Client, vast: VastSimulator) -> None:
        answer = page.post("/staff/fleet/rent", {"confirmed": "1"}, follow=True)
        assert "Renting is switched off" in answer.content.decode()

    @pytest.mark.parametrize("number", ["x", "-1", "9" * 30, "\u0661"])
    def test_a_made_up_offer_is_a_404(self, page: Client, number: str) -> None:
        assert page.post("/staff/fleet/rent", {"offer_id": number, "confirmed": "1"}).status_code == 404


class TestPolicy:
    def values(self, **changed: Any) -> dict[str, Any]:
        row = config.load()
        values = {name: getattr(row, name) for name in policy.FIELDS}
        values |= {"gpu_names": "", "regions": "", "renting": "", "verified_only": "on"}
        return {name: value for name, value in (values | changed).items() if value not in (None, "")}

    def test_is_saved_with_an_audit_line(self, page: Client) -> None:
        answer = page.post(POLICY, self.values(renting="on", gpu_names=" RTX  4090, RTX 5090,", regions="de, us"))
        row = config.load()
        assert (answer.status_code, row.renting) == (302, True)
        assert (row.gpu_names, row.regions) == (["RTX 4090", "RTX 5090"], ["DE", "US"])
        assert 'gpu_names = ["RTX 4090", "RTX 5090"]' in LogEntry.objects.get().change_message

    def test_saving_the_same_changes_nothing(self, page: Client) -> None:
        page.post(POLICY, self.values())
        assert not LogEntry.objects.exists()

    def test_shows_what_is_saved(self, page: Client) -> None:
        page.post(POLICY, self.values(gpu_names="L40S", on_from="08:00", off_at="20:00"))
        text = shown(page, "/staff/gpu")
        for part in ('value="L40S"', 'value="08:00"', 'value="20:00"'):
            assert part in text

    @pytest.mark.parametrize(
        ("changed", "sentence"),
        [
            ({"min_machines": 3, "max_machines": 2}, "More than the most machines."),
            ({"daily_cap_usd": 200}, "More than the cap of a month."),
            ({"daily_cap_usd": -1}, "An amount is not negative."),
            ({"lease_minutes": 500}, "Longer than a machine may live."),
            ({"on_from": "08:00"}, "Give both times, or neither."),
            ({"regions": "Germany"}, "does not look like"),
            ({"gpu_names": "RTX<4090>"}, "does not look like"),
            ({"min_reliability": 1.5}, "less than or equal to 1"),
            ({"disk_gb": 10}, "At least 40 GB"),
            ({"max_price_usd_per_hour": "nan"}, "Enter a number"),
            ({"min_vram_gb": "-1"}, "greater than or equal to 0"),
        ],
    )
    def test_what_does_not_fit_is_said_beside_its_field(
        self, page: Client, changed: dict[str, Any], sentence: str
    ) -> None:
        answer = page.post(POLICY, self.values(**changed))
        assert answer.status_code == 422
        marked = re.findall(r'<p class="error" id="[^"]+_error">([^<]*)</p>', answer.content.decode())
        assert any(sentence in text for text in marked), marked
        assert not LogEntry.objects.exists()
