"""A real Chromium in front of a real server. Every page is watched for errors in its console, CSP reports included."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests import factories

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# No live process runs beside these tests, so the pages ask by polling, and Chromium notes the refused connection; and
# it notes every page that answers bad input.
EXPECTED = (
    "ERR_CONNECTION_REFUSED", "422 (Unprocessable", "Service Worker registration blocked",
    # htmx about a question that a newer one replaced; what really fails it names a second time.
    "htmx:afterRequest", "htmx:sendAbort",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium(django_db_setup: None) -> Iterator[Browser]:  # the database is made before the loop runs
    if not Path(CHROMIUM).exists():
        pytest.skip(f"There is no Chromium at {CHROMIUM}; set CHROMIUM to its path.")
    # Playwright's loop runs in this thread while it lives: no test of another module could start one of its own, so it
    # ends with the module. Django takes every query meanwhile for one made in async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(live_server: LiveServer, settings: Settings) -> str:
    """The address of the site, under the name that passkeys need."""
    address = live_server.url.replace("127.0.0.1", "localhost")
    settings.CSRF_TRUSTED_ORIGINS = [address]
    return address


@pytest.fixture
def context(chromium: Browser, site: str, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    # The service worker has tests of its own; the others need no second look at the network.
    options: dict[str, Any] = {"service_workers": "block"} | getattr(request, "param", {})
    context = chromium.new_context(base_url=site, **options)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def complaints(context: BrowserContext) -> Iterator[list[str]]:
    """What browsers complain about on any page; a test that ends with one fails."""
    found: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in EXPECTED):
            found.append(f"{message.text} ({message.location['url']})")

    context.on("console", hear)
    context.on("weberror", lambda error: found.append(str(error.error)))
    yield found
    assert found == []


@pytest.fixture
def tab(context: BrowserContext, complaints: list[str]) -> Page:
    return context.new_page()


@pytest.fixture
def ada(live_server: LiveServer) -> User:
    return factories.person("ada")


def sign_in(tab: Page, name: str = "ada") -> None:
    tab.goto("/account/login/")
    tab.get_by_label("Login").fill(name)
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Sign in", exact=True).click()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
    tab.wait_for_load_state("domcontentloaded")  # scripts hear keys from then on
