"""Keys that do something on every page, and the sheet that lists them."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_the_sheet_lists_the_keys_of_the_page_and_escape_closes_it(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.locator("#main").focus()
    tab.keyboard.press("?")
    sheet = tab.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet.get_by_text("Go to the library")).to_be_visible()
    expect(sheet.locator("dt", has_text="gl").locator("kbd")).to_have_text(["g", "l"])
    tab.keyboard.press("Escape")
    expect(sheet).to_be_hidden()


def test_two_keys_after_each_other_lead_to_a_page(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.locator("#main").focus()
    tab.keyboard.press("g")
    tab.keyboard.press("l")
    tab.wait_for_url("**/library")
    tab.keyboard.press("/")
    expect(tab.get_by_role("searchbox")).to_be_focused()
    tab.keyboard.type("?gc")
    expect(tab.get_by_role("searchbox")).to_have_value("?gc")


def test_single_keys_are_switched_off_and_the_sheet_is_still_found_by_its_link(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.locator("summary", has_text="Account: ada").click()
    tab.locator(".menu-list").get_by_role("button", name="Keyboard shortcuts").click()
    tab.get_by_label("Shortcuts of a single key are on").uncheck()
    tab.keyboard.press("Escape")
    tab.reload()
    tab.locator("#main").focus()
    tab.keyboard.press("?")
    tab.keyboard.press("g")
    tab.keyboard.press("l")
    expect(tab.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
