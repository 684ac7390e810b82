"""Spending, as a person sees their own and as staff see the site's."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from generation import spend_compare
from generation.models import Status, VideoJob
from gpu.models import DayTotal, GpuConfig, PersonBudget
from gpu.months import Month
from tests import factories
from tests.generation import spend_rows
from tests.generation.spend_rows import some_day_of_last_month

MINE, SITE, CHECK = "/spend", "/staff/spend", "/staff/spend/check"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def mine(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def shown(client: Client, path: str, **values: Any) -> str:
    """The page as its words, in one line."""
    answer = client.get(path, **values)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


class TestWhoMay:
    @pytest.mark.parametrize("path", [SITE, CHECK, "/staff/spend/people.csv", "/staff/spend/nothing.csv"])
    def test_what_the_site_spends_is_for_staff(self, mine: Client, path: str) -> None:
        assert mine.get(path).status_code == 403

    @pytest.mark.parametrize("path", [MINE, "/spend/videos.csv", SITE])
    def test_strangers_are_sent_to_sign_in(self, client: Client, path: str, db: None) -> None:
        assert client.get(path)["Location"].startswith("/account/login/")

    def test_a_persons_page_never_shows_others(self, mine: Client, stranger: User) -> None:
        spend_rows.video(stranger, "0.73", prompt="a secret of eve")
        spend_rows.promised(stranger, "0.61", prompt="another secret of eve")
        page = shown(mine, MINE)
        assert "secret" not in page
        assert "0.73" not in page
        assert "0.61" not in page
        assert "Nothing was charged in" in page

    def test_a_job_that_is_somebody_elses_is_not_named_whatever_the_books_say(
        self, mine: Client, person: User, stranger: User
    ) -> None:
        job = factories.job(stranger, prompt="a secret of eve")
        spend_rows.book("person", "spend", "0.2", subject=job.pk, at=timezone.now(), person=person)
        page = shown(mine, MINE)
        assert "secret" not in page
        assert "A video that was deleted" in page


class TestAPerson:
    def test_an_empty_month_says_what_will_appear(self, mine: Client) -> None:
        page = shown(mine, MINE)
        assert f"Nothing was charged in {Month.now().label}." in page
        assert "appear here with what each of them cost" in page

    def test_what_a_video_cost_is_shown_in_both_parts(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.0312", share="0.0149", cost_is_final=False)
        page = shown(mine, MINE)
        assert "$0.0312" in page
        assert "$0.0149" in page
        assert "$0.0461 not final yet" in page

    def test_a_final_price_does_not_say_that_it_is_not(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.0312", share="0.0149")
        assert "not final yet" not in shown(mine, MINE)

    def test_what_stays_with_the_operator_is_told(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.04", share="0.05", charged="0.06")
        assert "$0.0600 $0.0300 not charged" in shown(mine, MINE)

    def test_the_sums_are_those_of_the_month(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "1.25")
        spend_rows.video(person, "0.5", model=spend_rows.cloud_model())
        spend_rows.video(person, "7", at=some_day_of_last_month())
        page = shown(mine, MINE)
        assert "$1.75 for 2 videos" in page
        assert "Cloud fal-wan-test 1 $0.5000" in page
        assert "$7.00" not in page
        assert "$7.00 for 1 video" in shown(mine, f"{MINE}?month={Month.of(some_day_of_last_month())}")

    def test_a_correction_of_another_month_is_told_apart(self, mine: Client, person: User) -> None:
        job = spend_rows.video(person, "0.3", at=some_day_of_last_month())
        spend_rows.book("person", "correct", "-0.1", subject=job.pk, at=timezone.now(), person=person)
        VideoJob.objects.filter(pk=job.pk).update(cost_usd="0.2")
        assert "-$0.1000 $0.2000 in all months" in shown(mine, MINE)

    def test_only_months_with_money_can_be_picked(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.3", at=some_day_of_last_month())
        page = mine.get(MINE).content.decode()
        assert re.findall(r'<option value="([^"]+)', page) == [
            str(Month.now()),
            str(Month.of(some_day_of_last_month())),
        ]

    @pytest.mark.parametrize("month", ["2026-13", "1999-01", "2026-1", "x", "2026-11-01", "\uff12026-11", ""])
    def test_what_is_no_month_is_this_month(self, mine: Client, month: str) -> None:
        assert f"Nothing was charged in {Month.now().label}." in shown(mine, MINE, data={"month": month})

    def test_money_set_aside_is_shown_until_the_video_is_done(self, mine: Client, person: User) -> None:
        job = spend_rows.promised(person, "0.112", status=Status.RENDERING)
        assert "Rendering $0.1120" in shown(mine, MINE)
        spend_rows.book("person", "release", "0.112", subject=job.pk, at=timezone.now(), person=person)
        assert "$0.1120" not in shown(mine, MINE)

    def test_caps_are_shown_with_what_is_left(self, mine: Client, person: User) -> None:
        GpuConfig.objects.update_or_create(pk=1, defaults={"person_monthly_cap_usd": 5})
        PersonBudget.objects.create(person=person, daily_cap_usd=2)
        spend_rows.video(person, "1.7")
        page = shown(mine, MINE)
        assert "$1.70 of $2.00 $1.70 $0.3000 left: the cap is near" in page
        assert "$1.70 of $5.00 $1.70 $3.30 left" in page

    def test_a_cap_that_is_reached_says_so(self, mine: Client, person: User) -> None:
        PersonBudget.objects.create(person=person, daily_cap_usd=1)
        spend_rows.video(person, "1.7")
        assert "$0.00 left: the cap is reached" in shown(mine, MINE)

    def test_a_deleted_video_was_still_paid_for(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.7").delete()
        page = shown(mine, MINE)
        assert "A video that was deleted" in page
        assert "Deleted videos 1 $0.7000" in page

    def test_prompts_are_text(self, mine: Client, person: User) -> None:
        spend_rows.video(person, "0.7", prompt="<script>alert(1)</script>")
        assert "<script>alert" not in mine.get(MINE).content.decode()

    def test_many_videos_come_in_pages(self, mine: Client, person: User) -> None:
        for number in range(30):
            spend_rows.video(person, "0.01", prompt=f"video-{number}.", at=timezone.now() - timedelta(seconds=number))
        first, second = shown(mine, MINE), shown(mine, f"{MINE}?page=2")
        assert "1 to 25 of 30" in first
        assert ("video-24." in first, "video-25." in first) == (True, False)
        assert ("video-24." in second, "video-25." in second) == (False, True)
        assert "26 to 30 of 30" in shown(mine, f"{MINE}?page=999")


class TestTheSite:
    def test_an_empty_month_says_what_will_appear(self, desk: Client) -> None:
        page = shown(desk, SITE)
        for words in ("Nobody was charged", "No rented machine cost anything", "No cloud call was paid"):
            assert words in page
        assert "There is nothing to compare yet." in page

    def test_what_people_were_charged_is_not_added_to_what_was_spent(self, desk: Client, person: User) -> None:
        spend_rows.video(person, "0.2", share="0.1", machine=spend_rows.machine("1.5"))
        spend_rows.video(person, "0.4", model=spend_rows.cloud_model())
        page = shown(desk, SITE)
        assert "$1.90 spent by the site $1.50 machines, $0.4000 cloud" in page
        assert "Charged to people $0.7000" in page
        assert "Not charged $1.20" in page
        assert "Idle share of machines 86 %" in page
        assert "ada 2 $0.7000 $0.00 none" in page

    def test_a_machine_is_held_against_vast_ais_own_bill(self, desk: Client, person: User) -> None:
        box = spend_rows.machine("1.5", bill="1.62", gpu_name="RTX 5090")
        spend_rows.video(person, "0.81", machine=box)
        page = shown(desk, SITE)
        assert "2.9 $1.62 $1.50 $1.62 +$0.1200 1 $0.8100 50 % $0.8100" in page

    def test_a_bill_that_is_not_there_yet_is_not_zero(self, desk: Client) -> None:
        spend_rows.machine("1.5")
        assert "$1.50 not known yet \u2013 0 $0.00 100 % $1.50" in shown(desk, SITE)

    def test_people_whose_accounts_are_gone_still_count(self, desk: Client, person: User) -> None:
        spend_rows.video(person, "0.2")
        person.delete()
        assert "Deleted accounts 1 $0.2000" in shown(desk, SITE)

    def test_caps_of_people_are_shown_with_how_much_is_used(self, desk: Client, person: User) -> None:
        GpuConfig.objects.update_or_create(pk=1, defaults={"person_monthly_cap_usd": 4})
        spend_rows.video(person, "1")
        spend_rows.promised(person, "2.5")
        assert "ada 1 $1.00 $2.50 $4.00 87 %" in shown(desk, SITE)

    def test_who_has_only_something_set_aside_is_there_as_well(self, desk: Client, person: User) -> None:
        spend_rows.promised(person, "2.5")
        assert "ada 0 $0.00 $2.50 none" in shown(desk, SITE)

    def test_the_books_that_add_up_are_said_to(self, desk: Client, person: User) -> None:
        spend_rows.video(person, "0.2", machine=spend_rows.machine("1", bill="0.9"))
        spend_rows.video(person, "0.4", model=spend_rows.cloud_model())
        spend_rows.promised(person, "0.3")
        assert "The books add up" in shown(desk, CHECK, headers=HTMX)

    def test_a_sum_that_is_wrong_is_named(self, desk: Client, person: User) -> None:
        spend_rows.video(person, "0.2")
        DayTotal.objects.filter(account=f"person:{person.pk}").update(spent_usd=Decimal(9))
        for page in (shown(desk, CHECK, headers=HTMX), shown(desk, f"{SITE}?check=1")):
            assert "The books do not add up." in page
            assert f"person:{person.pk}" in page

    def test_without_scripts_the_check_is_part_of_the_page(self, desk: Client) -> None:
        assert desk.get(CHECK)["Location"] == "/staff/spend?check=1#books"


class TestComparing:
    def test_own_gpu_and_cloud_stand_side_by_side(self, desk: Client, person: User) -> None:
        wan = factories.wan_model()
        type(wan).objects.filter(pk=wan.pk).update(family="wan-2-2")
        for usd in ("0.03", "0.05", "0.10"):
            spend_rows.video(person, usd, share="0.01")
        spend_rows.video(person, "0.36", model=spend_rows.cloud_model(), width=848, height=480)
        page = shown(desk, SITE)
        assert "wan-2-2 480p $0.0600 $0.0400 to $0.1100, 3 videos $0.3600 $0.3600 to $0.3600, 1 video" in page
        assert "Own GPU 6.0 times" in page

    def test_sizes_are_not_mixed(self, person: User) -> None:
        spend_rows.video(person, "0.03")
        spend_rows.video(person, "0.09", width=720, height=1280)
        assert [row.size for row in spend_compare.compare(Month.now())] == ["480p", "720p"]

    def test_with_one_side_alone_nothing_is_called_cheaper(self, person: User) -> None:
        spend_rows.video(person, "0.03")
        (row,) = spend_compare.compare(Month.now())
        assert (row.cloud, row.cheaper, row.times) == (None, "", None)

    def test_free_and_failed_videos_do_not_count(self, person: User) -> None:
        spend_rows.video(person, "0")
        spend_rows.video(person, "0.4", status=Status.FAILED, error_code="x")
        assert spend_compare.compare(Month.now()) == []
