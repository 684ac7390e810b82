"""/api/gpu/instances and /api/gpu/offers: who may, what comes back, what is refused."""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from gpu.models import Host, Instance, InstanceState
from gpu.services import config
from tests.gpu import machine_rows, renting
from tests.simulators.vastai import VastSimulator

S = InstanceState
LIST, OFFERS, CONFIG = "/api/gpu/instances", "/api/gpu/offers", "/api/gpu/config"
NOBODY = uuid.UUID(int=7)


@pytest.fixture
def operator(staff: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(staff)
    return client


@pytest.fixture
def vast(settings: Settings) -> Iterator[VastSimulator]:
    with VastSimulator(credit=20) as simulator:
        renting.use(settings, simulator)
        yield simulator


CALLS = [
    ("get", LIST),
    ("post", LIST),
    ("get", OFFERS),
    ("get", f"{LIST}/{NOBODY}"),
    ("delete", f"{LIST}/{NOBODY}"),
    ("post", f"{LIST}/{NOBODY}/extend"),
    ("post", f"{LIST}/{NOBODY}/drain"),
]


class TestPermissions:
    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_people_who_are_not_staff_see_and_do_nothing(self, api: APIClient, method: str, path: str) -> None:
        answer = getattr(api, method)(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")

    @pytest.mark.django_db
    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_nobody_gets_in_unsigned(self, method: str, path: str) -> None:
        assert getattr(APIClient(), method)(path).status_code == 401

    @pytest.mark.parametrize(("method", "path"), CALLS[3:])
    def test_a_machine_that_is_not_there_is_a_404(self, operator: APIClient, method: str, path: str) -> None:
        answer = getattr(operator, method)(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


class TestReading:
    def test_the_list_is_newest_first_and_says_what_each_costs(self, operator: APIClient) -> None:
        old = machine_rows.instance(S.DESTROYED, spent_usd=Decimal("0.37"))
        new = machine_rows.instance(S.READY)
        found = operator.get(LIST).json()["results"]
        assert [row["id"] for row in found] == [str(new.pk), str(old.pk)]
        assert found[1]["cost_usd"] == 0.37
        assert 0.3 < found[0]["cost_usd"] < 0.5

    def test_filters_by_state_and_by_being_alive(self, operator: APIClient) -> None:
        for state in (S.READY, S.BOOTING, S.DESTROYED):
            machine_rows.instance(state)
        for query, expected in [
            ("alive=true", {"ready", "booting"}),
            ("alive=false", {"destroyed"}),
            ("state=ready&state=destroyed", {"ready", "destroyed"}),
        ]:
            assert {row["state"] for row in operator.get(f"{LIST}?{query}").json()["results"]} == expected

    @pytest.mark.parametrize("query", ["limit=0", "limit=x", "state=sleeping", "stat=ready", "alive=maybe"])
    def test_a_filter_that_does_not_exist_is_a_400(self, operator: APIClient, query: str) -> None:
        assert operator.get(f"{LIST}?{query}").status_code == 400

    def test_one_machine_comes_with_its_timeline_and_where_it_stands(self, operator: APIClient) -> None:
        row = machine_rows.instance(
            S.PROVISIONING, step="download", bytes_done=14_200_000_000, bytes_total=26_200_000_000, download_mbps=1680
        )
        machine_rows.event(row, "requested", "Asked for: two videos wait.")
        found = operator.get(f"{LIST}/{row.pk}").json()
        assert [one["message"] for one in found["timeline"]] == ["Asked for: two videos wait."]
        [now] = [stage for stage in found["stages"] if stage["standing"] == "now"]
        assert (now["name"], now["detail"]) == ("Downloading", "14.2 of 26.2 GB at 210 MB/s")

    def test_secrets_stay_inside(self, operator: APIClient) -> None:
        from gpu.services import machines

        row = machine_rows.instance(S.READY)
        said = operator.get(f"{LIST}/{row.pk}").content.decode()
        assert machines.secret_of(row) not in said

    def test_costs_the_same_queries_for_one_and_for_ten(
        self, operator: APIClient, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(10):
            row = machine_rows.instance(S.READY, host=machine_rows.host(number + 1))
            machine_rows.event(row, "ready", "Ready.")
        with django_assert_max_num_queries(3):
            assert len(operator.get(LIST).json()["results"]) == 10


class TestConfig:
    @pytest.mark.parametrize(
        ("states", "in_use"),
        [
            ([], None),
            ([S.REQUESTED], None),
            ([S.BOOTING, S.READY], 1),
            ([S.DESTROYED], None),
            ([S.DRAINING, S.BOOTING], 1),
        ],
    )
    def test_names_the_machine_in_use(self, api: APIClient, states: list[str], in_use: int | None) -> None:
        rows = [machine_rows.instance(state) for state in states]
        expected = rows[in_use].vast_id if in_use is not None else None
        assert api.get(CONFIG).json()["vastai_instance_id"] == expected

    def test_the_provider_can_be_vastai(self, operator: APIClient) -> None:
        assert operator.post(CONFIG, {"gpu_provider": "vastai"}, format="json").json()["gpu_provider"] == "vastai"


class TestRenting:
    def test_a_machine_is_asked_for_and_the_answer_says_where_it_is(
        self, operator: APIClient, vast: VastSimulator
    ) -> None:
        renting.allow_renting()
        answer = operator.post(LIST, {"reason": "a test"}, format="json")
        row = Instance.objects.get()
        assert (answer.status_code, answer.json()["state"]) == (201, "requested")
        assert answer.headers["Location"].endswith(f"{LIST}/{row.pk}")
        assert (row.reason, row.events.get().actor) == ("a test", User.objects.get(username="root"))

    def test_the_offer_asked_for_is_the_one_taken(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting()
        wanted = operator.get(OFFERS).json()["results"][3]["offer_id"]
        answer = operator.post(LIST, {"offer_id": wanted}, format="json")
        assert answer.json()["offer_id"] == wanted

    def test_while_renting_is_off_nothing_is_rented(self, operator: APIClient, vast: VastSimulator) -> None:
        answer = operator.post(LIST, {}, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "renting_off")

    def test_a_cap_on_money_is_a_402(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting(daily_cap_usd=Decimal("0.01"))
        answer = operator.post(LIST, {}, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "cap_reached")
        assert not Instance.objects.exists()

    def test_an_offer_that_is_gone_is_a_409(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting()
        answer = operator.post(LIST, {"offer_id": 12345}, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_offer")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"offer": 5}, "offer"),
            ({"offer_id": "x"}, "offer_id"),
            ({"offer_id": 0}, "offer_id"),
            ({"offer_id": 2**70}, "offer_id"),
            ({"reason": "x" * 201}, "reason"),
        ],
    )
    def test_bad_input_names_its_field(self, operator: APIClient, body: dict[str, Any], field: str) -> None:
        answer = operator.post(LIST, body, format="json")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)

    def test_a_machine_is_extended_drained_and_destroyed(self, operator: APIClient) -> None:
        row = machine_rows.instance(S.READY)
        before = row.lease_until
        assert before is not None
        extended = operator.post(f"{LIST}/{row.pk}/extend").json()
        assert extended["lease_until"] > before.isoformat()
        assert operator.post(f"{LIST}/{row.pk}/drain", {"reason": "night"}, format="json").json()["state"] == "draining"
        gone = operator.delete(f"{LIST}/{row.pk}")
        assert (gone.status_code, gone.json()["state"]) == (202, "destroying")

    @pytest.mark.parametrize("act", ["extend", "drain"])
    def test_a_machine_that_is_over_can_be_neither_extended_nor_drained(self, operator: APIClient, act: str) -> None:
        row = machine_rows.instance(S.DESTROYED)
        answer = operator.post(f"{LIST}/{row.pk}/{act}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "machine_over")


class TestOffers:
    def test_come_best_first_with_the_parts_of_their_score(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting()
        found = operator.get(OFFERS).json()["results"]
        scores = [row["usd_per_video"] for row in found if not row["excluded"]]
        assert scores == sorted(scores)
        assert sum(found[0]["parts"].values()) == pytest.approx(found[0]["usd_per_video"])

    def test_a_host_that_failed_is_shown_with_the_reason_against_it(
        self, operator: APIClient, vast: VastSimulator
    ) -> None:
        renting.allow_renting()
        best = operator.get(OFFERS).json()["results"][0]
        Host.objects.create(machine_id=best["machine_id"], failures=2, avoid_until="2099-01-01T00:00Z")
        [again] = [row for row in operator.get(OFFERS).json()["results"] if row["offer_id"] == best["offer_id"]]
        assert again["remembered"] is True
        assert "avoided" in again["excluded"][0]
        allowed = operator.get(f"{OFFERS}?allowed=true").json()["results"]
        assert best["offer_id"] not in [row["offer_id"] for row in allowed]

    def test_filters_hold(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting()
        found = operator.get(f"{OFFERS}?gpu_name=RTX+4090&max_usd_per_hour=0.5").json()["results"]
        assert found
        assert {row["gpu_name"] for row in found} == {"RTX 4090"}
        assert max(row["usd_per_hour"] for row in found) <= 0.5

    @pytest.mark.parametrize("query", ["gpu=x", "max_usd_per_hour=nan", "max_usd_per_hour=-1", "country=DEU"])
    def test_a_wrong_filter_is_a_400(self, operator: APIClient, query: str) -> None:
        assert operator.get(f"{OFFERS}?{query}").status_code == 400

    def test_without_a_key_it_says_so(self, operator: APIClient, settings: Settings) -> None:
        settings.VASTAI_API_KEY = ""
        config.load()
        answer = operator.get(OFFERS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "renting_off")

    def test_trouble_at_vast_ai_is_one_sentence(self, operator: APIClient, vast: VastSimulator) -> None:
        renting.allow_renting()
        vast.fail("search", *["503"] * 8)
        answer = operator.get(OFFERS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_offer")
