"""Every table of the pages about money as a file: whole, plain, and harmless in a spreadsheet."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from generation.pages.spend_csv import plain
from generation.templatetags.dollars import dollars
from tests import factories
from tests.generation import spend_rows

OWN = ("days", "models", "videos", "promised")
SITE = ("days", "people", "machines", "cloud", "compare", "estimates")


@pytest.fixture
def mine(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def table(client: Client, path: str) -> list[dict[str, str]]:
    answer: Any = client.get(path)
    assert answer.status_code == 200
    assert isinstance(answer, StreamingHttpResponse)
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


@pytest.mark.parametrize("name", OWN)
def test_every_table_of_a_person_is_a_file(mine: Client, person: User, name: str) -> None:
    spend_rows.video(person, "0.03", share="0.01")
    spend_rows.promised(person, "0.1")
    answer = mine.get(f"/spend/{name}.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith(f'attachment; filename="spending-{name}-20')
    assert len(table(mine, f"/spend/{name}.csv")) == 1


@pytest.mark.parametrize("name", SITE)
def test_every_table_of_the_site_is_a_file(client: Client, staff: User, person: User, name: str) -> None:
    client.force_login(staff)
    estimate = {"seconds": 60, "usd": 0.03}
    box = spend_rows.machine("1")
    job = spend_rows.video(person, "0.03", machine=box, estimate=estimate)
    job.attempts.update(timings={"rendering": 66})
    spend_rows.video(person, "0.4", model=spend_rows.cloud_model())
    rows = table(client, f"/staff/spend/{name}.csv")
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)  # as many cells as columns


@pytest.mark.parametrize("path", ["/spend/secrets.csv", "/spend/people.csv"])
def test_a_table_that_there_is_not_is_a_404(mine: Client, path: str) -> None:
    assert mine.get(path).status_code == 404


def test_a_file_holds_all_videos_not_one_page_of_them(mine: Client, person: User) -> None:
    for number in range(40):
        spend_rows.video(person, "0.01", prompt=f"video {number}")
    rows = table(mine, "/spend/videos.csv")
    assert {row["prompt"] for row in rows} == {f"video {number}" for number in range(40)}
    assert sum(Decimal(row["charged_usd_in_month"]) for row in rows) == Decimal("0.4")


def test_a_file_holds_nothing_of_others(mine: Client, stranger: User) -> None:
    spend_rows.video(stranger, "0.01")
    spend_rows.promised(stranger, "0.01")
    assert [table(mine, f"/spend/{name}.csv") for name in OWN] == [[], [], [], []]


def test_a_file_is_of_the_month_that_is_shown(mine: Client, person: User) -> None:
    at = datetime(2026, 3, 9, 12, tzinfo=UTC)
    spend_rows.video(person, "0.25", at=at)
    spend_rows.video(person, "0.01")
    assert table(mine, "/spend/days.csv?month=2026-03") == [{"day": "2026-03-09", "charged_usd": "0.250000"}]


def test_text_that_a_spreadsheet_would_compute_is_defused(mine: Client, person: User) -> None:
    spend_rows.video(person, "0.01", prompt='=HYPERLINK("https://evil.example","Züri")')
    (row,) = table(mine, "/spend/videos.csv")
    assert row["prompt"] == '\'=HYPERLINK("https://evil.example","Züri")'


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\uff1d1"])
def test_every_beginning_of_a_formula_is_defused(text: str) -> None:
    assert plain(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Decimal("-0.04"), "-0.040000"),
        (Decimal("1E-7"), "0.000000"),
        (Decimal("12345678"), "12345678.000000"),
        (1e-7, "0.000000"),
        (7, "7"),
        (True, "yes"),
        (None, ""),
        (date(2026, 11, 3), "2026-11-03"),
        (datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC), "2026-11-03T04:05:06Z"),
        ("a lake", "a lake"),
    ],
)
def test_numbers_and_moments_are_plain(cell: Any, text: str) -> None:
    assert plain(cell) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"),
        ("0.00001", "<$0.0001"),
        ("-0.00001", "-$0.0001"),
        ("0.00005", "$0.0001"),
        ("0.0312", "$0.0312"),
        ("0.5", "$0.5000"),
        ("0.99995", "$1.00"),
        ("1.005", "$1.01"),
        ("12345.6", "$12,345.60"),
        ("-3.5", "-$3.50"),
        ("1E+3", "$1,000.00"),
        ("1E-2", "$0.0100"),
    ],
)
def test_dollars_are_written_for_people(usd: str, text: str) -> None:
    assert dollars(Decimal(usd)) == text


def test_no_amount_is_no_text() -> None:
    assert dollars(None) == ""


def test_a_day_is_that_of_utc(mine: Client, person: User) -> None:
    at = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    spend_rows.video(person, "0.25", at=at)
    spend_rows.video(person, "0.5", at=at + timedelta(seconds=1))
    assert [row["day"] for row in table(mine, "/spend/days.csv?month=2026-03")] == ["2026-03-31"]
    assert [row["charged_usd_in_month"] for row in table(mine, "/spend/videos.csv?month=2026-04")] == ["0.500000"]


def test_an_open_promise_is_listed_with_its_state(mine: Client, person: User) -> None:
    job = spend_rows.promised(person, "0.1")
    (row,) = table(mine, "/spend/promised.csv")
    assert (row["video"], row["status"], row["promised_usd"]) == (str(job.pk), "queued", "0.100000")
    assert row["submitted_at"][:10] == timezone.now().date().isoformat()


def test_somebody_elses_machine_costs_are_no_table_of_a_person(mine: Client) -> None:
    spend_rows.machine("1")
    factories.person("max")
    assert mine.get("/spend/machines.csv").status_code == 404
