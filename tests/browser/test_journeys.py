"""Whole journeys in a browser, against the processes as they really run: web, live, worker and dispatcher."""

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import factories
from tests.running import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PASSWORD = "correct horse battery"
SET_PASSWORD = f"""
from django.contrib.auth.models import User
admin = User.objects.get()
admin.set_password("{PASSWORD}")
admin.save()
"""
MADE_WITHIN_MS = 90_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    platform = RunningPlatform(tmp_path_factory.mktemp("platform"))
    code = (
        f"from django.contrib.auth.models import User; u = User.objects.get(); u.set_password('{PASSWORD}'); u.save()"
    )
    platform.manage("shell", "--no-imports", "-c", code)
    platform.manage("collectstatic", "--noinput", "-v0")
    try:
        for name in ("web", "live", "worker", "dispatcher"):
            platform.start(name)
        yield platform
    finally:
        sys.stderr.write(platform.logs())
        platform.stop()


@pytest.fixture
def context(chromium: Browser, running: RunningPlatform) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=f"http://127.0.0.1:{running.port}")
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    tab = context.new_page()
    tab.goto("/account/login/")
    tab.get_by_label("Login").fill("admin")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in", exact=True).click()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
    return tab


def ask_for_a_video(tab: Page, prompt: str) -> None:
    tab.get_by_role("radio", name="Motion preview").check()
    tab.get_by_label("What should happen?").fill(prompt)
    tab.get_by_role("checkbox", name="I have the rights").check()
    tab.keyboard.press("Control+Enter")
    tab.wait_for_url("**/jobs/*")


def test_a_first_video_though_the_worker_is_killed_while_one_watches(running: RunningPlatform, tab: Page) -> None:
    tab.locator("input[type=file]").first.set_input_files(
        {"name": "dog.png", "mimeType": "image/png", "buffer": factories.png(320, 240)}
    )
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    running.kill("worker")
    ask_for_a_video(tab, "slow zoom in")
    expect(tab.get_by_role("heading", name="Saving the video")).to_be_visible(timeout=MADE_WITHIN_MS)
    running.start("worker")
    expect(tab.locator("video")).to_have_js_property("readyState", 4, timeout=MADE_WITHIN_MS)
    expect(tab.get_by_text("slow zoom in").first).to_be_visible()


def test_a_video_goes_on_from_its_last_frame_and_both_become_one(tab: Page) -> None:
    tab.goto("/library")
    tab.get_by_role("link", name="slow zoom in").first.click()
    tab.locator("#continue summary").click()
    tab.get_by_role("button", name="From the last frame").click()
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    ask_for_a_video(tab, "pan to the right")
    expect(tab.locator("video")).to_have_js_property("readyState", 4, timeout=MADE_WITHIN_MS)
    tab.goto(f"{tab.url}/storyline")
    expect(tab.get_by_role("heading", name="2. pan to the right")).to_be_visible()
    tab.get_by_role("button", name="Join all").click()
    expect(tab.get_by_role("heading", name="Joined")).to_be_visible()
    expect(tab.locator("video").first).to_have_js_property("readyState", 4, timeout=MADE_WITHIN_MS)


def test_offline_and_back_while_a_video_is_made(running: RunningPlatform, context: BrowserContext, tab: Page) -> None:
    tab.locator("input[type=file]").first.set_input_files(
        {"name": "cat.png", "mimeType": "image/png", "buffer": factories.png(240, 320)}
    )
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    running.kill("dispatcher")
    ask_for_a_video(tab, "tilt up")
    expect(tab.get_by_text("Next in line").first).to_be_visible()
    context.set_offline(True)
    expect(tab.get_by_text("You are offline. Your videos go on")).to_be_visible()
    running.start("dispatcher")
    context.set_offline(False)
    expect(tab.get_by_text("You are online again.")).to_be_visible()
    expect(tab.locator("video")).to_have_js_property("readyState", 4, timeout=MADE_WITHIN_MS)
