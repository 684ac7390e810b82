"""GET /api/spend."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from gpu.models import GpuConfig, PersonBudget
from tests.generation import spend_rows

URL = "/api/spend"


def test_a_month_with_nothing_is_zero_everywhere(api: APIClient) -> None:
    answer = api.get(URL, {"month": "2026-02"}).json()
    assert (answer["month"], answer["scope"], answer["usd"], answer["promised_usd"]) == ("2026-02", "me", 0, 0)
    assert (answer["by_day"], answer["by_model"]) == ([], [])


def test_a_persons_month_by_day_and_model(api: APIClient, person: User, stranger: User) -> None:
    at = datetime(2026, 2, 3, 4, tzinfo=UTC)
    spend_rows.video(person, "0.03126", share="0.01", at=at)
    spend_rows.video(person, "0.4", at=at, model=spend_rows.cloud_model())
    spend_rows.video(stranger, "9", at=at)
    spend_rows.video(person, "9")
    answer = api.get(URL, {"month": "2026-02"}).json()
    assert answer["usd"] == 0.4413
    assert answer["by_day"] == [{"day": "2026-02-03", "usd": 0.4413}]
    assert [(row["model"], row["videos"], row["usd"]) for row in answer["by_model"]] == [
        ("fal-wan-test", 1, 0.4),
        ("wan-2-2", 1, 0.0413),
    ]


def test_caps_say_what_is_left(api: APIClient, person: User) -> None:
    PersonBudget.objects.create(person=person, daily_cap_usd=2)
    spend_rows.video(person, "1.2")
    spend_rows.promised(person, "0.5")
    answer = api.get(URL).json()
    day, month = answer["caps"]
    assert day == {
        "scope": "person",
        "period": "day",
        "cap_usd": 2,
        "spent_usd": 1.2,
        "promised_usd": 0.5,
        "left_usd": 0.3,
        "near": True,
    }
    assert (month["cap_usd"], month["left_usd"], month["near"]) == (None, None, False)
    assert answer["promised_usd"] == 0.5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"month": "2026-13"}, "month"),
        ({"month": "nov"}, "month"),
        ({"scope": "all"}, "scope"),
        ({"mont": "1"}, "mont"),
    ],
)
def test_what_is_not_understood_is_a_400_that_names_it(api: APIClient, query: dict[str, str], field: str) -> None:
    answer = api.get(URL, query)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


def test_the_sites_money_is_for_staff(api: APIClient) -> None:
    answer = api.get(URL, {"scope": "site"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "What the site spends is for staff.")


def test_nobody_else_sees_anything(db: None) -> None:
    assert APIClient().get(URL).status_code == 401


def test_the_sites_month(staff: User, person: User) -> None:
    GpuConfig.objects.update_or_create(pk=1, defaults={"daily_cap_usd": 3})
    box = spend_rows.machine("1.5", bill="1.6")
    spend_rows.video(person, "0.4", share="0.4", machine=box)
    spend_rows.video(person, "0.4", model=spend_rows.cloud_model())
    client = APIClient()
    client.force_authenticate(staff)
    answer = client.get(URL, {"scope": "site"}).json()
    sums = ("usd", "machines_usd", "cloud_usd", "charged_usd", "not_charged_usd", "idle_share")
    assert [answer[name] for name in sums] == [2, 1.6, 0.4, 1.2, 0.8, 0.75]
    today = str(timezone.now().date())
    assert answer["by_day"] == [{"day": today, "usd": 2, "machines_usd": 1.6, "cloud_usd": 0.4}]
    assert [(row["person"], row["videos"], row["usd"]) for row in answer["by_person"]] == [("ada", 2, 1.2)]
    (machine,) = answer["by_machine"]
    columns = ("id", "booked_usd", "bill_usd", "difference_usd", "videos", "direct_usd", "overhead_usd")
    assert [machine[name] for name in columns] == [str(box.pk), 1.5, 1.6, 0.1, 1, 0.4, 1.2]
    assert answer["by_cloud_model"][0]["usd"] == 0.4
    assert {row["family"] for row in answer["own_and_cloud"]} >= {"wan-2-2"}
    assert answer["caps"][0]["left_usd"] == 1
