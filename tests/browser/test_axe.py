"""Every page and state: axe finds nothing, and nothing sticks out, in light and dark, wide and narrow, and mirrored."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.test.client import RequestFactory
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from generation.models import Preset, Status, Tag, VideoJob
from generation.services.fingerprints import remember
from generation.services.preferences import mail_off_token
from generation.services.sharing import share
from i2v_site.api import server_error
from tests import factories
from tests.browser.axe import complaints_of
from tests.browser.test_create import PICTURE, WIDE
from tests.browser.test_queue import open_queue
from tests.browser.test_results import finished
from tests.generation.test_clip_pages import made
from tests.generation.test_fingerprints import scene
from tests.generation.test_media import video
from tests.generation.test_notify import endpoint
from tests.gpu import machine_rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

REFUSED = {"/nowhere", "/broken", "/s/no-such-link", "/staff/gpu"}


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
    found = ""
    for path in paths:
        answer = tab.goto(path)
        # Otherwise it would be another page that is looked at.
        assert tab.url.endswith(path), (path, tab.url)
        assert path in REFUSED or (answer and answer.ok), (path, answer)
        found += told(tab, path)
    return found


def told(tab: Page, name: str) -> str:
    return "".join(f"{one}\n" for one in complaints_of(tab, name))


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
    assert told(tab, act.__name__) == ""


def test_what_others_are_shown(ada: User, site: str, tab: Page, tmp_path: Path) -> None:
    job = finished(ada, prompt="my secret wish")
    job.refresh_from_db()
    link = share(owner=ada, job=job, shows_prompt=True, allows_download=True)
    film = scene(tmp_path / "v.mp4")
    remember(key=job.video_key, path=film, sha256=sha256(film.read_bytes()).hexdigest(), job=job)
    found = walk(tab, [f"/s/{link.token}", "/s/no-such-link", f"/mail/off/{mail_off_token(ada.pk)}"])
    tab.get_by_role("button", name="Send no more mail").click()
    expect(tab.get_by_role("heading", name="No more mail", exact=True)).to_be_visible()
    found += told(tab, "without mail")
    tab.goto("/check")
    tab.get_by_label("The file").set_input_files(str(film))
    tab.get_by_role("button", name="Check it").click()
    expect(tab.get_by_role("heading", name="Made here, without AI")).to_be_visible()
    found += told(tab, "a file that is known")
    tab.get_by_role("link", name="Report this file").click()
    tab.get_by_label("It uses my picture or work").check()
    tab.get_by_role("button", name="Send the report").click()
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    found += told(tab, "a report")
    assert found == ""


def test_pages_that_refuse(ada: User, site: str, context: BrowserContext, tab: Page, settings: Settings) -> None:
    broken = server_error(RequestFactory().get("/broken"))
    assert broken.status_code == 500
    tab.route("**/broken", lambda route: route.fulfill(status=500, content_type="text/html", body=broken.content))
    found = walk(tab, ["/broken"])
    settings.ACCOUNT_RATE_LIMITS = {"reset_password": "1/h/ip"}
    for _ in range(2):
        tab.goto("/account/password/reset/")
        tab.get_by_label("Email").fill("ada@example.com")
        tab.locator("main form button").first.click()
    expect(tab.get_by_role("heading", name="Too many requests")).to_be_visible()
    found += told(tab, "too many requests")
    enter(context, site, ada)
    found += walk(tab, ["/staff/gpu"])
    expect(tab.get_by_role("heading", name="You may not see this")).to_be_visible()
    assert found == ""


def test_pages_of_finished_videos(ada: User, site: str, context: BrowserContext, tab: Page) -> None:
    first, second, third = (finished(ada, prompt=f"part {number}", seed=number) for number in range(3))
    VideoJob.objects.filter(pk=second.pk).update(continues=first, continues_frame=23)
    second.refresh_from_db()
    second.tags.add(Tag.objects.create(owner=ada, name="keep"))
    clip = made(second)
    enter(context, site, ada)
    beside = "&".join(f"ids={job.pk}" for job in (first, second, third))
    paths = [f"/compare?{beside}", f"/jobs/{second.pk}/storyline", "/clips", f"/clips/{clip.pk}", "/library/tags"]
    found = walk(tab, [*paths, f"/settings/webhooks/{endpoint(ada).pk}"])
    tab.goto("/library?favourite=1")
    tab.locator(".filter-more > summary").click()
    found += told(tab, "the library's filters")
    tab.goto("/library")
    tab.locator("[data-pick]").nth(0).check(force=True)
    tab.locator("[data-pick]").nth(1).check(force=True)
    expect(tab.get_by_text("2 videos selected").first).to_be_visible()
    found += told(tab, "a selection")
    tab.goto("/library")
    tab.locator(".card-link").first.focus()
    tab.keyboard.press("i")
    expect(tab.get_by_role("dialog", name="Why it looks so").get_by_text("part 2", exact=True)).to_be_visible()
    assert found + told(tab, "why it looks so") == ""


def test_the_queue(ada: User, site: str, context: BrowserContext, tab: Page) -> None:
    factories.job(ada, prompt="a red fox")
    factories.job(ada, prompt="a blue bird", status=Status.RENDERING, progress=0.4)
    enter(context, site, ada)
    found = walk(tab, ["/queue"])
    tab.goto("/spend")
    drawer = open_queue(tab)
    expect(drawer.locator("#queue-unfinished [data-queue-job]")).to_have_count(2)
    assert found + told(tab, "the drawer") == ""


def test_a_video_and_a_batch_that_are_being_put_together(
    ada: User, site: str, context: BrowserContext, tab: Page
) -> None:
    image = factories.source_image(ada, name="old.png")
    enter(context, site, ada)
    tab.goto(f"/?image={image.pk}")
    tab.get_by_label("What should happen?").fill("A dog runs over the grass, no people")
    expect(tab.locator("#estimate")).to_contain_text("About")
    expect(tab.locator("#advice-small_picture")).to_be_visible()
    expect(tab.get_by_role("button", name="Move “people” there")).to_be_visible()
    found = told(tab, "an estimate with a warning")
    tab.get_by_role("button", name="Add another prompt").click()
    tab.get_by_label("Prompt 2").fill("pan left")
    tab.set_input_files("#id_image", files=[PICTURE, WIDE])
    expect(tab.locator("[data-picture]:not(.pending)")).to_have_count(3)
    expect(tab.locator("#total")).to_contain_text("6 videos")
    found += told(tab, "a batch")
    tab.get_by_role("button", name="Add more pictures").click()
    expect(tab.get_by_role("dialog").get_by_role("link", name="old.png")).to_be_visible()
    assert found + told(tab, "earlier pictures") == ""
