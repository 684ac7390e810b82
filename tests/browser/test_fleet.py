"""The fleet page as staff see it: on three widths, with the keyboard, while it changes under one's hands."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from gpu.models import Instance, InstanceState
from tests import factories
from tests.browser.conftest import sign_in
from tests.gpu import machine_rows, renting
from tests.simulators.vastai import VastSimulator

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def fleet(live_server: LiveServer, settings: Settings) -> list[Instance]:
    settings.ALARM_WEBHOOK_URL = ""
    factories.person("root", is_staff=True, is_superuser=True)
    return machine_rows.lively_fleet()


@pytest.fixture
def vast(settings: Settings) -> Iterator[VastSimulator]:
    with VastSimulator(credit=20) as simulator:
        renting.use(settings, simulator)
        yield simulator


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_fits_every_width_without_a_horizontal_scroll(fleet: list[Instance], tab: Page, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    expect(tab.get_by_text("14.2 of 26.2 GB at 210 MB/s")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_what_changes_is_shown_without_a_reload_and_what_was_opened_stays_open(
    fleet: list[Instance], tab: Page
) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    card = tab.locator(f"#machine-{fleet[0].pk}")
    card.locator("summary", has_text="Log").click()
    expect(card.get_by_text("generated 81 frames").first).to_be_visible()
    Instance.objects.filter(pk=fleet[1].pk).update(bytes_done=20_000_000_000)
    expect(tab.get_by_text("20.0 of 26.2 GB")).to_be_visible()
    expect(card.get_by_text("generated 81 frames").first).to_be_visible()


def test_a_machine_is_drained_with_the_keyboard_while_the_page_goes_on_changing(
    fleet: list[Instance], tab: Page
) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    drain = tab.locator(f"#drain-{fleet[0].pk}")
    drain.focus()
    with tab.expect_response("**/staff/fleet/live"):
        pass
    expect(drain).to_be_focused()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("gets no new videos")
    # An answer that was under way comes now: the form that is asked about must not be taken away.
    tab.evaluate("htmx.ajax('GET', '/staff/fleet/live', {source: '#fleet-live', target: '#fleet-live'})")
    dialog.get_by_role("button", name="Drain").press("Enter")
    expect(tab.get_by_text("It finishes its work.")).to_be_visible()
    fleet[0].refresh_from_db()
    assert fleet[0].state == InstanceState.DRAINING


def test_the_answer_no_changes_nothing(fleet: list[Instance], tab: Page) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    tab.locator(f"#destroy-{fleet[0].pk}").click()
    tab.get_by_role("button", name="No, go back").click()
    fleet[0].refresh_from_db()
    assert fleet[0].state == InstanceState.READY


def test_offers_are_looked_at_filtered_and_rented(fleet: list[Instance], tab: Page, vast: VastSimulator) -> None:
    renting.allow_renting(max_machines=9, daily_cap_usd=1000, monthly_cap_usd=1000)
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    tab.get_by_role("link", name="Look at the market").click()
    tab.get_by_label("GPU", exact=True).select_option("RTX 4090")
    expect(tab.locator(".offers tbody th").first).to_contain_text("RTX 4090")
    expect(tab.locator(".offers tbody th", has_text="RTX 3090")).to_have_count(0)
    tab.locator(".offers summary").first.click()
    expect(tab.locator(".offers dl").first).to_be_visible()
    tab.locator(".offers").get_by_role("button", name="Rent").first.click()
    tab.get_by_role("dialog").get_by_role("button", name="Rent").click()
    expect(tab.get_by_text("A machine was asked for.")).to_be_visible()
    assert Instance.objects.filter(state=InstanceState.REQUESTED).count() == 1


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_a_machine_is_destroyed_without_scripts(fleet: list[Instance], context: BrowserContext, tab: Page) -> None:
    sign_in(tab, "root")
    tab.goto("/staff/fleet")
    tab.locator(f"#destroy-{fleet[0].pk}").click()
    tab.get_by_role("button", name="Destroy").click()
    expect(tab.get_by_text("It is being given back.")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_the_policy_is_saved_and_what_is_wrong_stands_beside_its_field(
    fleet: list[Instance], tab: Page, width: int
) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    sign_in(tab, "root")
    tab.goto("/staff/gpu")
    tab.get_by_label("Machines at least").fill("9")
    tab.get_by_role("button", name="Save the policy").click()
    expect(tab.get_by_text("More than the most machines.")).to_be_visible()
    tab.get_by_label("Machines at least").fill("1")
    tab.get_by_label("GPUs allowed").fill("RTX 4090, RTX 5090")
    tab.get_by_role("button", name="Save the policy").click()
    expect(tab.get_by_text("The renting policy is saved.")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
