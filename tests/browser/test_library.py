"""The library in a real browser: previews, keyboard, hearts, ZIP, comparing."""

import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from generation.models import Tag, VideoJob
from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.test_watch import finish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

CALM = {"reduced_motion": "reduce"}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def library(ada: User, tab: Page, count: int = 4) -> list[VideoJob]:
    """`count` finished videos, the newest first, and the page that shows them."""
    image = factories.source_image(ada)
    jobs = [factories.job(ada, prompt=f"video {number}", image=image, seed=number) for number in range(count)]
    for job in jobs:
        finish(job)
    sign_in(tab)
    tab.goto("/library")
    return jobs[::-1]


def picked(tab: Page) -> list[str]:
    values: list[str] = tab.locator("[data-pick]:checked").evaluate_all("boxes => boxes.map(box => box.value)")
    return values


def test_videos_are_selected_by_keyboard_alone(ada: User, tab: Page) -> None:
    jobs = [str(job.pk) for job in library(ada, tab)]
    tab.locator(".card-link").first.focus()
    tab.keyboard.press("Space")
    assert picked(tab) == jobs[:1]
    expect(tab.locator("#announce")).to_have_text("1 video selected")
    tab.keyboard.press("Shift+ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    assert picked(tab) == jobs[:3]
    tab.keyboard.press("Shift+ArrowLeft")
    assert picked(tab) == jobs[:2]
    expect(tab.locator("[data-selected-count]")).to_have_text("2 videos selected")
    tab.keyboard.press("Control+a")
    assert picked(tab) == jobs
    tab.keyboard.press("Escape")
    assert picked(tab) == []
    expect(tab.locator("[data-select-bar]")).to_be_hidden()


def test_a_selection_is_tagged_marked_and_stays_selected(ada: User, tab: Page) -> None:
    jobs = library(ada, tab)
    tab.locator("[data-pick]").nth(0).check(force=True)
    tab.locator("[data-pick]").nth(2).click(modifiers=["Shift"], force=True)
    tab.locator("#bar-tag").fill("keep")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(tab.locator(".card-tags").get_by_text("keep")).to_have_count(3)
    assert set(VideoJob.objects.filter(tags=Tag.objects.get())) == set(jobs[:3])
    assert picked(tab) == [str(job.pk) for job in jobs[:3]]
    tab.get_by_role("button", name="None", exact=True).click()
    heart = tab.locator(f"#heart-{jobs[3].pk}")
    heart.focus()
    tab.keyboard.press("Enter")
    expect(heart).to_have_attribute("aria-pressed", "true")
    expect(heart).to_be_focused()


def test_deleted_videos_come_back_by_undo(ada: User, tab: Page) -> None:
    library(ada, tab)
    before = tab.locator(".card").evaluate_all("cards => cards.map(card => card.id)")
    tab.locator("[data-pick]").nth(1).check(force=True)
    tab.locator("[data-pick]").nth(2).check(force=True)
    tab.get_by_role("button", name="Delete").click()
    expect(tab.locator(".card")).to_have_count(2)
    expect(tab.get_by_text("2 videos were deleted.")).to_be_visible()
    tab.get_by_role("button", name="Undo").click()
    expect(tab.locator(".card")).to_have_count(4)
    assert tab.locator(".card").evaluate_all("cards => cards.map(card => card.id)") == before
    assert not VideoJob.objects.exclude(deleted_at=None).exists()


def test_a_selection_is_downloaded_as_one_zip(ada: User, tab: Page) -> None:
    library(ada, tab)
    tab.locator("[data-pick]").nth(0).check(force=True)
    tab.locator("[data-pick]").nth(1).check(force=True)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download ZIP").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["video-3-3.mp4", "video-2-2.mp4", "videos.csv"]


@pytest.mark.parametrize("context", [CALM], indirect=True)
def test_no_preview_plays_by_itself_for_who_wants_no_motion(ada: User, tab: Page) -> None:
    library(ada, tab, 1)
    card = tab.locator(".card")
    card.hover()
    tab.locator(".card-link").focus()
    expect(card.get_by_role("button", name="Play the preview")).to_be_visible()
    assert tab.locator(".card video").count() == 0
    card.get_by_role("button", name="Play the preview").click()
    expect(tab.locator(".card video")).to_be_visible()


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_on_a_phone_a_tap_on_the_small_button_plays(ada: User, tab: Page) -> None:
    library(ada, tab, 1)
    tab.get_by_role("button", name="Play the preview").tap()
    expect(tab.locator(".card video")).to_be_visible()
    assert tab.url.endswith("/library")


STEP = "() => [...document.querySelectorAll('[data-compare] video')].map(video => video.currentTime)"


def test_compared_videos_run_and_stop_in_step(ada: User, tab: Page) -> None:
    library(ada, tab)
    tab.locator("[data-pick]").nth(0).check(force=True)
    tab.locator("[data-pick]").nth(1).check(force=True)
    tab.get_by_role("button", name="Compare").click()
    expect(tab.get_by_role("heading", name="Compare 2 videos")).to_be_visible()
    tab.wait_for_function("() => document.querySelector('[data-compare] video').currentTime > 0.3")
    tab.keyboard.press("k")
    expect(tab.get_by_role("button", name="Play", exact=True)).to_be_visible()
    together(tab)
    before = tab.evaluate(STEP)[0]
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function("(before) => document.querySelector('[data-compare] video').currentTime < before", arg=before)
    together(tab)
    tab.keyboard.press("2")
    expect(tab.get_by_role("button", name="Favourite").nth(1)).to_have_attribute("aria-pressed", "true")
    assert VideoJob.objects.exclude(favourite_at=None).get().prompt == "video 2"


def together(tab: Page) -> None:
    tab.wait_for_function("() => [...document.querySelectorAll('video')].every(video => !video.seeking)")
    times: list[Any] = tab.evaluate(STEP)
    assert max(times) - min(times) < 1 / 8  # a frame of these videos


def test_a_key_says_why_a_video_looks_so(ada: User, tab: Page) -> None:
    [job] = library(ada, tab, 1)
    tab.locator(".card-link").focus()
    tab.keyboard.press("i")
    dialog = tab.get_by_role("dialog", name="Why it looks so")
    expect(dialog.get_by_text("video 0", exact=True)).to_be_visible()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    tab.locator(".card-link").focus()
    tab.keyboard.press("i")
    dialog.get_by_role("link", name="Load all into the form").click()
    tab.wait_for_url(f"**/?from={job.pk}")
