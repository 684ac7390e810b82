"""The queue on every page: what is made and what waits, told live, and changing one's mind."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import uvicorn
from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect
from pytest_django import Settings

from generation import live
from generation.models import Attempt, Status, VideoJob
from generation.services import claims, queueing
from generation.services.claims import Room
from tests import factories
from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


class LiveProcess:
    """The process of the streams, to be killed and started again at the same address."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.server: uvicorn.Server | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        config = uvicorn.Config(
            live.create_application(), port=self.port, log_level="error", timeout_graceful_shutdown=0, lifespan="off"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))  # type: ignore[union-attr]
        self.thread.start()

    def kill(self) -> None:
        if self.server and self.thread:
            self.server.force_exit = self.server.should_exit = True
            self.thread.join(15)
            assert not self.thread.is_alive()


@pytest.fixture
def stream(settings: Settings, site: str) -> Iterator[LiveProcess]:
    process = LiveProcess()
    settings.SITE_URL = site
    settings.LIVE_URL = f"http://localhost:{process.port}"
    csp = settings.CONTENT_SECURITY_POLICY
    directives = csp["DIRECTIVES"] | {"connect-src": ["'self'", settings.LIVE_URL]}
    settings.CONTENT_SECURITY_POLICY = csp | {"DIRECTIVES": directives}
    yield process
    process.kill()


def change(row: Model, **values: object) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**values)


def waiting(owner: User, *prompts: str) -> list[VideoJob]:
    image = factories.source_image(owner)
    return [factories.job(owner, image=image, prompt=prompt) for prompt in prompts]


def open_queue(tab: Page) -> Locator:
    tab.locator("#queue-button").click()
    drawer = tab.get_by_role("complementary", name="Your queue")
    expect(drawer).to_be_visible()
    return drawer


def is_live(tab: Page, state: str) -> None:
    expect(tab.locator("html")).to_have_attribute("data-live", state, timeout=20_000)


def forgive(complaints: list[str], *texts: str) -> None:
    """Take out what Chromium notes about the trouble that a test makes."""
    complaints[:] = [found for found in complaints if not any(text in found for text in texts)]


def test_the_drawer_shows_the_queue_keeps_its_state_and_gives_the_focus_back(ada: User, tab: Page) -> None:
    waiting(ada, "a red fox", "a blue bird")
    factories.job(
        ada,
        prompt="too late",
        status=Status.FAILED,
        error_code="x",
        error_message="No GPU.",
        finished_at=timezone.now(),
    )
    sign_in(tab)
    expect(tab.get_by_role("button", name="Queue: 2 videos")).to_be_visible()

    drawer = open_queue(tab)
    expect(drawer.locator("#queue-unfinished [data-queue-job]")).to_have_count(2)
    expect(drawer.get_by_text("Next in line")).to_be_visible()
    expect(drawer.get_by_text("No GPU.")).to_be_visible()
    expect(tab.get_by_role("heading", name="Your queue")).to_be_focused()

    tab.goto("/settings")
    expect(drawer).to_be_visible()
    drawer.get_by_role("link", name="a red fox").focus()
    tab.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(tab.locator("#queue-button")).to_be_focused()

    drawer = open_queue(tab)
    drawer.get_by_role("button", name="Retry: too late").click()
    expect(drawer.locator("#queue-unfinished [data-queue-job]")).to_have_count(3)


def test_a_cancel_can_be_taken_back_and_then_not_any_more(ada: User, tab: Page, complaints: list[str]) -> None:
    (job,) = waiting(ada, "a red fox")
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    tab.get_by_role("button", name="Cancel", exact=True).click()
    expect(tab.get_by_role("heading", name="Being cancelled")).to_be_visible()
    tab.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(tab.get_by_role("heading", name="Waiting for its turn")).to_be_visible()
    job.refresh_from_db()
    assert job.cancel_at is None

    tab.get_by_role("button", name="Cancel", exact=True).click()
    expect(tab.get_by_role("heading", name="Being cancelled")).to_be_visible()
    change(job, cancel_at=timezone.now() - timedelta(seconds=1))
    queueing.cancel_due()
    tab.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(tab.get_by_text("It is too late")).to_be_visible()
    expect(tab.get_by_role("heading", name="Cancelled")).to_be_visible()
    forgive(complaints, "409 (Conflict)")


def test_the_queue_is_reordered_and_paused_with_the_keyboard(ada: User, tab: Page) -> None:
    first, second, third = waiting(ada, "one", "two", "three")
    sign_in(tab)
    tab.keyboard.press("q")
    drawer = tab.get_by_role("complementary", name="Your queue")
    prompts = drawer.locator("#queue-unfinished .queue-prompt")
    expect(prompts).to_have_text(["one", "two", "three"])

    drawer.get_by_role("link", name="three").focus()
    tab.keyboard.press("Alt+ArrowUp")
    expect(prompts).to_have_text(["one", "three", "two"])
    expect(drawer.get_by_role("button", name="Move up: three")).to_be_focused()
    tab.keyboard.press("Alt+ArrowUp")
    expect(prompts).to_have_text(["three", "one", "two"])

    drawer.get_by_role("button", name="Pause my queue").press("Enter")
    expect(drawer.get_by_text("Your queue is paused.")).to_be_visible()
    expect(tab.get_by_role("button", name="Queue: 3 videos, paused")).to_be_visible()
    assert claims.claim_jobs(owner="me", room=Room(total=9, preview=9)) == []
    drawer.get_by_role("button", name="Resume").press("Enter")
    expect(drawer.get_by_role("button", name="Pause my queue")).to_be_visible()
    taken = claims.claim_jobs(owner="me", room=Room(total=9, preview=9))
    assert [claim.job for claim in taken] == [third, first, second]


def test_a_page_asks_by_itself_while_the_stream_is_away_and_loses_nothing(
    ada: User, tab: Page, stream: LiveProcess, complaints: list[str]
) -> None:
    (job,) = waiting(ada, "a red fox")
    stream.start()
    sign_in(tab)
    is_live(tab, "on")
    drawer = open_queue(tab)
    change(job, status=Status.RENDERING, progress=0.25, message="Rendering")
    expect(drawer.get_by_text("25 %")).to_be_visible()

    stream.kill()
    is_live(tab, "polling")
    expect(drawer.get_by_text("asking every few seconds")).to_be_visible()
    change(job, progress=0.5)
    expect(drawer.get_by_text("50 %")).to_be_visible()

    stream.start()
    is_live(tab, "on")
    change(job, status=Status.CANCELLED, finished_at=timezone.now())
    expect(tab.get_by_role("button", name="Queue", exact=True)).to_be_visible()
    expect(drawer.get_by_text("Nothing is waiting.")).to_be_visible()
    forgive(complaints, "ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_offline_is_said_once_and_the_page_comes_back_by_itself(ada: User, tab: Page, complaints: list[str]) -> None:
    (job,) = waiting(ada, "a red fox")
    sign_in(tab)
    drawer = open_queue(tab)
    tab.context.set_offline(True)
    expect(tab.locator("#toasts").get_by_text("You are offline.")).to_have_count(1)
    expect(drawer.get_by_text("This is how it was")).to_be_visible()
    change(job, status=Status.RENDERING, progress=0.75, message="Rendering")

    tab.context.set_offline(False)
    expect(tab.get_by_text("You are online again.")).to_be_visible()
    expect(drawer.get_by_text("75 %")).to_be_visible()
    expect(drawer.get_by_text("This is how it was")).to_be_hidden()
    forgive(complaints, "ERR_INTERNET_DISCONNECTED")


def test_title_and_icon_of_the_tab_show_how_far_it_is(ada: User, tab: Page) -> None:
    (job,) = waiting(ada, "a red fox")
    change(job, status=Status.RENDERING, progress=0.25)
    sign_in(tab)
    tab.goto("/settings")
    icon = tab.locator("link[rel=icon]")
    expect(tab).to_have_title("25 % · Settings · Image to Video")
    expect(icon).to_have_attribute("type", "image/png")
    change(job, progress=0.5)
    expect(tab).to_have_title("50 % · Settings · Image to Video")

    change(job, status=Status.CANCELLED, finished_at=timezone.now())
    expect(tab).to_have_title("Settings · Image to Video")
    expect(icon).to_have_attribute("type", "image/svg+xml")


# The browser's own notification and loudspeaker, which nobody can look at here, write down what they are told.
EARS = """(allowed) => {
    Object.assign(window, { told: [], tones: 0, behind: false });
    window.Notification = class {
        static permission = "default";
        static async requestPermission() { return Notification.permission = allowed; }
        constructor(words, { body, tag }) { told.push([words, body, tag]); }
        addEventListener() {}
    };
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (when) { tones += 1; return start.call(this, when); };
    Object.defineProperty(document, "hidden", { get: () => behind });
}"""


def test_a_sound_and_a_notification_tell_of_the_end_once_and_only_who_asked_for_them(
    ada: User, tab: Page, stream: LiveProcess
) -> None:
    stream.start()
    first, second, third = waiting(ada, "a red fox", "a blue bird", "a green tree")
    sign_in(tab)
    tab.goto("/settings")
    is_live(tab, "on")
    tab.evaluate(EARS, "granted")
    drawer = open_queue(tab)
    sound = drawer.get_by_label("Play a sound when a video is done")
    notify = drawer.get_by_label("Notify me when this page is not in front")
    tab.evaluate("behind = true")
    done = {"status": Status.SUCCEEDED, "finished_at": timezone.now(), "video_key": "out/v.mp4"}
    change(first, **done)
    expect(tab).to_have_title(re.compile("^Waiting"))
    expect(drawer.locator("#queue-unfinished [data-queue-job]")).to_have_count(2)
    assert tab.evaluate("[told, tones]") == [[], 0]

    notify.check()
    sound.check()
    tab.wait_for_function("() => tones === 2")  # so that one knows what to listen for
    change(second, **done)
    tab.wait_for_function("() => told.length === 1 && tones === 4")
    assert tab.evaluate("told") == [["Your video is done", "a blue bird", str(second.pk)]]

    tab.evaluate("behind = false")
    gone_wrong = {"error_code": "x", "error_message": "No GPU."}
    change(third, status=Status.FAILED, finished_at=timezone.now(), **gone_wrong)
    tab.wait_for_function("() => tones === 6")
    assert tab.evaluate("told.length") == 1


def test_a_browser_that_refuses_notifications_says_so_and_stays_off(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.goto("/settings")
    tab.evaluate(EARS, "denied")
    drawer = open_queue(tab)
    notify = drawer.get_by_label("Notify me when this page is not in front")
    notify.click()
    expect(drawer.get_by_text("This browser does not let this site notify you.")).to_be_visible()
    expect(notify).not_to_be_checked()


def test_a_crash_of_the_worker_is_shown_and_watching_goes_on(ada: User, tab: Page, stream: LiveProcess) -> None:
    (job,) = waiting(ada, "a red fox")
    claims.claim_jobs(owner="first", room=Room(total=1, preview=1))
    change(job, progress=0.42, message="Rendering")
    stream.start()
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    expect(tab.locator("[data-job] [data-percent]")).to_have_text("42 %")

    # The dispatcher dies: its lease lapses, its attempt is found to be lost, and the video waits for its next try.
    Attempt.objects.all().delete()
    change(job, lease_until=timezone.now() - timedelta(seconds=1))
    claims.claim_jobs(owner="second", room=Room(total=1, preview=0))
    expect(tab.get_by_role("heading", name="Starting again")).to_be_visible()
    expect(tab.locator("[data-job] [data-percent]")).to_have_text("")

    claims.claim_jobs(owner="second", room=Room(total=1, preview=1))
    change(job, progress=0.1, message="Rendering")
    expect(tab.locator("[data-job] [data-percent]")).to_have_text("10 %")


def test_the_queue_is_a_page_that_needs_no_scripts(ada: User, site: str, tab: Page) -> None:
    (job,) = waiting(ada, "a red fox")
    sign_in(tab)
    plain = tab.context.browser.new_context(  # type: ignore[union-attr]
        base_url=site, java_script_enabled=False, storage_state=tab.context.storage_state()
    )
    page = plain.new_page()
    page.goto("/queue")
    page.get_by_role("button", name="Cancel: a red fox").click()
    expect(page.get_by_text("Being cancelled")).to_be_visible()
    page.get_by_role("button", name="Undo: a red fox").click()
    expect(page.get_by_text("Waiting for its turn")).to_be_visible()
    page.get_by_role("button", name="Pause my queue").click()
    expect(page.get_by_text("Your queue is paused.")).to_be_visible()
    plain.close()
    job.refresh_from_db()
    assert (job.status, job.cancel_at) == (Status.QUEUED, None)
