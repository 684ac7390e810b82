"""Every page and state: axe finds nothing, and nothing sticks out, in light and dark, wide and narrow, and mirrored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from generation.models import Preset, Status, VideoJob
from tests import factories
from tests.browser.axe import complaints_of
from tests.generation.test_media import video
from tests.gpu import machine_rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def enter(context: BrowserContext, site: str, person: User) -> None:
    """Signed in without the form."""
    client = Client()
    client.force_login(person)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    """Without an ear on its console: a page that says 404 is looked at as well."""
    return context.new_page()


def walk(tab: Page, paths: list[str]) -> str:
    found = []
    for path in paths:
        tab.goto(path)
        found += complaints_of(tab, path)
    return "\n".join(found)


@pytest.fixture
def jobs(ada: User, tmp_path: Path) -> dict[str, VideoJob]:
    """One video in each state."""
    picture = factories.png(128, 96, image_format="JPEG")
    poster = default_storage.save("out/poster.jpg", ContentFile(picture))
    film = default_storage.save("out/video.mp4", ContentFile(video(tmp_path / "a.mp4").read_bytes()))
    more = {
        Status.SUCCEEDED: {"poster_key": poster, "video_key": film},
        Status.FAILED: {"error_code": "damaged", "error_message": "The picture is damaged."},
    }
    return {
        str(status): factories.job(ada, status=status, prompt=f"a {status} cat", progress=0.4, **more.get(status, {}))
        for status in Status
    }


def test_who_is_not_signed_in(live_server: LiveServer, site: str, tab: Page) -> None:
    paths = ["/account/login/", "/account/signup/", "/account/password/reset/", "/nowhere", "/offline"]
    assert walk(tab, [*paths, "/check", "/report"]) == ""


def test_a_person(ada: User, site: str, context: BrowserContext, tab: Page, jobs: dict[str, VideoJob]) -> None:
    enter(context, site, ada)
    Preset.objects.create(owner=ada, name="Short", model=factories.preview_model(), values={"num_frames": 25})
    paths = ["/", f"/?image={jobs['succeeded'].image_id}", "/library", "/library?q=nothing-like-this", "/queue"]
    paths += ["/settings", "/settings/preferences", "/settings/webhooks", "/notices", "/spend", "/settings/data"]
    paths += ["/account/email/", "/account/password/change/", "/account/2fa/", "/account/logout/"]
    assert walk(tab, paths) == ""


def test_a_video_in_each_state(
    ada: User, site: str, context: BrowserContext, tab: Page, jobs: dict[str, VideoJob]
) -> None:
    enter(context, site, ada)
    assert walk(tab, [f"/jobs/{job.pk}" for job in jobs.values()]) == ""


def test_staff(site: str, context: BrowserContext, tab: Page, live_server: LiveServer) -> None:
    enter(context, site, factories.person("root", is_staff=True, is_superuser=True))
    machine_rows.lively_fleet()
    assert walk(tab, ["/staff/fleet", "/staff/gpu", "/staff/spend"]) == ""


def opened_sheet(tab: Page) -> None:
    tab.locator("#main").focus()
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def opened_menu(tab: Page) -> None:
    tab.locator("summary", has_text="Account").click()


def wrong_form(tab: Page) -> None:
    tab.get_by_role("button", name="Create the video").click()
    expect(tab.locator("[aria-invalid=true]").first).to_be_visible()


def deleting(tab: Page) -> None:
    tab.goto("/settings")
    tab.get_by_role("button", name="Delete the preset Short").click()
    expect(tab.locator("#confirm")).to_be_visible()


@pytest.mark.parametrize("act", [opened_sheet, opened_menu, wrong_form, deleting])
def test_what_opens_on_a_page(
    ada: User, site: str, context: BrowserContext, tab: Page, act: Callable[[Page], None]
) -> None:
    enter(context, site, ada)
    Preset.objects.create(owner=ada, name="Short", model=factories.preview_model(), values={"num_frames": 25})
    tab.goto("/")
    act(tab)
    assert "\n".join(complaints_of(tab, act.__name__)) == ""
