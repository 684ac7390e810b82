"""The pages about money in a real browser: they fit, they read as numbers, and their tables can be taken away."""

import csv

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from gpu.models import DayTotal, GpuConfig
from tests import factories
from tests.browser.conftest import sign_in
from tests.generation import spend_rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
NUMBERS_RIGHT = """() => [...document.querySelectorAll(".spend-table td.num, .spend-days td.num")].every(
    cell => getComputedStyle(cell).textAlign === "end")"""


@pytest.fixture
def busy(live_server: LiveServer, ada: User) -> User:
    root = factories.person("root", is_staff=True, is_superuser=True)
    caps = {"person_daily_cap_usd": 5, "person_monthly_cap_usd": 12, "monthly_cap_usd": 100}
    GpuConfig.objects.update_or_create(pk=1, defaults=caps)
    spend_rows.busy_month(ada, [root, factories.person("a-person-with-quite-a-long-name@example.com")])
    return ada


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_both_pages_fit_every_width_without_a_horizontal_scroll(busy: User, tab: Page, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    sign_in(tab, "root")
    for path in ("/spend", "/staff/spend"):
        tab.goto(path)
        expect(tab.get_by_role("heading", name="By day")).to_be_visible()
        tab.get_by_text("As a table").click()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(NUMBERS_RIGHT)


def test_the_plot_is_drawn_and_says_in_words_what_it_shows(busy: User, tab: Page) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/spend")
    drawing = tab.get_by_role("img", name="Dollars by day.")
    expect(drawing).to_be_visible()
    bars = drawing.locator("rect.bar-machine")
    assert bars.count() == DayTotal.objects.filter(account="machine").count()
    box, frame = bars.first.bounding_box(), drawing.bounding_box()
    assert box
    assert frame
    assert 0 < box["height"] <= frame["height"]


def test_the_menu_leads_to_the_money(busy: User, tab: Page) -> None:
    sign_in(tab, "root")
    for link, heading in (("Spending", "Spending"), ("Money", "Money")):
        tab.locator("summary", has_text="Account").click()
        tab.locator(".menu-list").get_by_role("link", name=link, exact=True).click()
        expect(tab.get_by_role("heading", name=heading, level=1)).to_be_visible()


def test_people_who_are_not_staff_are_not_led_to_the_sites_money(busy: User, tab: Page) -> None:
    sign_in(tab)
    tab.locator("summary", has_text="Account").click()
    expect(tab.get_by_role("link", name="Spending", exact=True)).to_be_visible()
    expect(tab.get_by_role("link", name="Money", exact=True)).to_have_count(0)


def test_a_table_is_taken_away_as_a_file(busy: User, tab: Page) -> None:
    sign_in(tab)
    tab.goto("/spend")
    with tab.expect_download() as waiting:
        tab.get_by_role("link", name="Videos as CSV").click()
    file = waiting.value
    assert file.suggested_filename.startswith("spending-videos-20")
    with open(file.path(), encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) > 25  # more than the page shows
    assert all(float(row["charged_usd_in_month"]) > 0 for row in rows)


def test_the_check_of_the_books_comes_after_the_page(busy: User, tab: Page) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/spend")
    expect(tab.get_by_text("The books add up: every sum agrees with its entries.")).to_be_visible()


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_another_month_is_picked_without_scripts(busy: User, context: BrowserContext, tab: Page) -> None:
    spend_rows.video(busy, "3.25", at=spend_rows.some_day_of_last_month())
    sign_in(tab, "ada")
    tab.goto("/spend")
    tab.get_by_label("Month", exact=True).select_option(index=1)
    tab.get_by_role("button", name="Show").click()
    expect(tab.get_by_text("$3.25").first).to_be_visible()
    expect(tab.get_by_text("for 1 video")).to_be_visible()
