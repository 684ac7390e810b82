"""What belongs to the whole site: its language, its weight, being installed, and being offline."""

import gzip
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import BrowserContext, Page, Response, expect

from generation.models import Preferences, Status
from tests import factories
from tests.browser.conftest import sign_in

HEADER_BYTES = 700
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
KEPT = """async () => {
    const names = await caches.keys();
    const all = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return all.flat().map((one) => one.url);
}"""
SHIFT = """() => new Promise((done) => {
    let moved = 0;
    const add = (one) => { if (!one.hadRecentInput) moved += one.value; };
    new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => done(moved)));
})"""
FOCUSED = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
    return [style.outlineStyle, parseFloat(style.outlineWidth), box.top >= 0 && box.bottom <= innerHeight];
}"""
SIDES = """() => [".brand", ".menu"].map((one) => document.querySelector(one).getBoundingClientRect().left)"""


def enter(context: BrowserContext, site: str, person: User) -> None:
    client = Client()
    client.force_login(person)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])


def test_the_language_is_changed_at_the_foot_of_every_page_and_kept(ada: User, tab: Page) -> None:
    tab.goto("/account/login/")
    tab.get_by_role("button", name="Deutsch").click()
    expect(tab.locator("html")).to_have_attribute("lang", "de")
    expect(tab.get_by_role("button", name="Deutsch")).to_have_attribute("aria-current", "true")
    tab.goto("/account/password/reset/")
    expect(tab.locator("html")).to_have_attribute("lang", "de")


def test_the_language_of_the_page_becomes_that_of_mails(
    ada: User, site: str, context: BrowserContext, tab: Page
) -> None:
    enter(context, site, ada)
    tab.goto("/library?q=cat")
    tab.get_by_role("button", name="Deutsch").click()
    tab.wait_for_url("**/library?q=cat")
    assert Preferences.objects.get(person=ada).language == "de"


@pytest.mark.parametrize("path", ["/account/login/", "/", "/library"])
def test_the_first_view_weighs_less_than_100_kilobytes_without_media(
    ada: User, site: str, context: BrowserContext, tab: Page, path: str
) -> None:
    if path != "/account/login/":
        enter(context, site, ada)
    weighed: dict[str, int] = {}

    def weigh(response: Response) -> None:
        if response.request.resource_type in ("document", "stylesheet", "script", "fetch", "xhr", "manifest"):
            # As WhiteNoise and our middleware send it; the test's own server does not compress static files.
            weighed[response.url] = HEADER_BYTES + len(gzip.compress(response.body()))

    tab.on("response", weigh)
    tab.goto(path, wait_until="networkidle")
    assert len(weighed) > 4
    assert sum(weighed.values()) < 100_000, weighed


def test_nothing_moves_while_a_page_is_loaded(ada: User, site: str, context: BrowserContext, tab: Page) -> None:
    enter(context, site, ada)
    job = factories.job(ada, status=Status.QUEUED)
    for path in ("/", "/library", f"/jobs/{job.pk}"):
        tab.goto(path, wait_until="networkidle")
        assert tab.evaluate(SHIFT) < 0.001, path


def test_right_to_left_the_header_is_mirrored(ada: User, site: str, context: BrowserContext, tab: Page) -> None:
    enter(context, site, ada)
    tab.goto("/settings")
    brand, menu = tab.evaluate(SIDES)
    assert brand < menu
    tab.evaluate("document.documentElement.dir = 'rtl'")
    brand, menu = tab.evaluate(SIDES)
    assert brand > menu
    tab.locator(".menu > summary").click()
    box = tab.locator(".menu-list").bounding_box()
    assert box
    assert box["x"] >= 0


def test_a_focused_field_is_not_hidden_and_its_outline_is_seen(
    ada: User, site: str, context: BrowserContext, tab: Page
) -> None:
    enter(context, site, ada)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.goto("/settings/preferences")
        for _number in range(10):
            tab.keyboard.press("Tab")
            focused = tab.evaluate(FOCUSED)
            assert focused[0] != "none"
            assert focused[1] >= 2
            assert focused[2]


@pytest.mark.parametrize("context", [{"service_workers": "allow"}], indirect=True)
def test_offline_a_page_of_our_own_says_so_and_goes_away_with_the_network(
    ada: User, context: BrowserContext, tab: Page, complaints: list[str]
) -> None:
    sign_in(tab)
    tab.evaluate("navigator.serviceWorker.ready.then((one) => one.active.state)")
    tab.wait_for_function("navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    tab.goto("/settings")
    expect(tab.get_by_role("heading", name="You are offline")).to_be_visible()
    context.set_offline(False)
    expect(tab.get_by_role("heading", name="Settings")).to_be_visible()
    complaints[:] = [one for one in complaints if "ERR_INTERNET_DISCONNECTED" not in one]


@pytest.mark.parametrize("context", [{"service_workers": "allow"}], indirect=True)
def test_nothing_private_is_kept_by_the_service_worker(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.wait_for_function("navigator.serviceWorker.controller !== null")
    for path in ("/library", "/settings", "/notices"):
        tab.goto(path)
    kept = [re.sub(r"^https?://[^/]+", "", url) for url in tab.evaluate(KEPT)]
    assert "/offline" in kept
    assert all(path == "/offline" or path.startswith("/static/generation/") for path in kept)
    assert "ada" not in tab.evaluate("caches.match('/offline').then((answer) => answer.text())").split()
