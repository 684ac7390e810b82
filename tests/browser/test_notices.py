"""What ended while the person was on another page: the corner, the tab's title, and the pages of webhooks."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from generation.models import Notice, Status, VideoJob, WebhookEndpoint
from generation.services import notify
from tests import factories
from tests.browser.conftest import sign_in
from tests.generation.webhook_receiver import Receiver, receiving

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with receiving() as running:
        settings.WEBHOOK_PRIVATE_HOSTS = [running.host]
        yield running


def end(job: VideoJob, status: Status = Status.FAILED) -> None:
    ended = {"status": status, "finished_at": timezone.now(), "error_code": "boom", "error_message": "It broke."}
    VideoJob.objects.filter(pk=job.pk).update(**ended)
    notify.job_ended(job)


def look(tab: Page) -> None:
    """Come back to the tab, instead of waiting for the next look by itself."""
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_video_that_ends_elsewhere_shows_up_by_itself(ada: User, tab: Page) -> None:
    job, other = factories.job(ada, prompt="a dog runs"), factories.job(ada)
    sign_in(tab)
    tab.goto("/settings")
    expect(tab.locator("#notices[hx-trigger*='every']")).to_be_attached()
    end(job)
    toast = tab.locator(".toast")
    expect(toast).to_contain_text("Your video failed: a dog runs", timeout=25_000)
    expect(tab).to_have_title("(1) Waiting · Settings · Image to Video")

    end(other)
    look(tab)
    expect(tab).to_have_title("(2) Settings · Image to Video")
    expect(tab.locator("#notices[hx-trigger*='every']")).to_have_count(0)
    tab.get_by_role("link", name="Your video failed: a dog runs").click()
    expect(tab).to_have_title("(1) a dog runs · Image to Video")
    tab.goto("/library")
    expect(tab.locator("#notices[data-unseen='0']")).to_be_attached()
    expect(tab).to_have_title("Library · Image to Video")


def test_a_page_begins_with_its_first_link_though_the_corner_was_filled(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.goto("/settings")
    expect(tab.locator("#notices[data-unseen]")).to_be_attached()
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_notice_is_dismissed_by_keyboard_and_stays_away(ada: User, tab: Page) -> None:
    end(factories.job(ada))
    sign_in(tab)
    tab.goto("/settings")
    tab.get_by_role("button", name="Dismiss: ").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast")).to_have_count(0)
    expect(tab).to_have_title("Settings · Image to Video")
    tab.reload()
    expect(tab.locator("#notices[data-unseen='0']")).to_be_attached()


def test_what_a_hidden_tab_would_show_stays_unseen(ada: User, tab: Page) -> None:
    job = factories.job(ada)
    sign_in(tab)
    tab.goto("/library")
    expect(tab.locator("#notices[hx-trigger*='every']")).to_be_attached()
    tab.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    end(job)
    tab.evaluate("document.body.dispatchEvent(new Event('look-again'))")
    expect(tab).to_have_title("(1) Failed · Library · Image to Video")
    tab.evaluate("delete document.hidden")
    look(tab)
    expect(tab).to_have_title("Library · Image to Video")
    assert Notice.objects.filter(seen_at=None).count() == 0


def test_after_the_session_ended_no_other_page_lands_in_the_corner(ada: User, tab: Page, complaints: list[str]) -> None:
    end(factories.job(ada))
    sign_in(tab)
    tab.goto("/settings")
    expect(tab.locator(".toast")).to_have_count(1)
    tab.context.clear_cookies()
    with tab.expect_response("**/notices/new*") as answer:
        look(tab)
    assert answer.value.status == 204
    expect(tab.locator(".toast")).to_have_count(1)
    complaints[:] = [text for text in complaints if "401 (Unauthorized)" not in text]


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_a_webhook_is_made_tested_and_rotated_on_a_phone(ada: User, tab: Page, receiver: Receiver) -> None:
    sign_in(tab)
    tab.goto("/settings/webhooks")
    tab.get_by_label("Address").fill(receiver.url)
    tab.get_by_label("A video failed").check()
    tab.get_by_role("button", name="Create the webhook").click()
    secret = tab.locator("#secret").inner_text()
    assert secret.startswith("whsec_")
    tab.get_by_role("button", name="Send a test").click()
    expect(tab.get_by_text("A test is on its way")).to_be_visible()
    expect(tab.locator("#log")).to_contain_text("A test that somebody asked for")
    tab.get_by_role("button", name="New secret").click()
    tab.get_by_role("button", name="Make it").click()
    expect(tab.locator("#secret")).not_to_have_text(secret)
    for path in ("/settings/webhooks", f"/settings/webhooks/{WebhookEndpoint.objects.get().pk}"):
        tab.goto(path)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_preferences_and_webhooks_work_without_scripts(ada: User, tab: Page, receiver: Receiver) -> None:
    sign_in(tab)
    tab.goto("/settings/preferences")
    tab.get_by_label("Never the cloud").check()
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved your preferences.")).to_be_visible()
    expect(tab.get_by_label("Never the cloud")).to_be_checked()
    tab.goto("/settings/webhooks")
    tab.get_by_label("Address").fill(receiver.url)
    tab.get_by_role("button", name="Create the webhook").click()
    tab.get_by_role("button", name="Pause").click()
    expect(tab.get_by_text("Nothing is sent.")).to_be_visible()
    tab.get_by_role("button", name="Delete").click()
    tab.get_by_role("button", name="Delete").click()
    assert not WebhookEndpoint.objects.exists()
