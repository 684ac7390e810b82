"""A finished video: the player to the frame, a link for other people, deleting and taking it back."""

import io
from typing import Any

import av
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from playwright.sync_api import Browser, Page, expect

from generation.models import Status, VideoJob
from generation.services.sharing import share
from tests import factories
from tests.browser.axe import complaints_of
from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

# Twelfths of a second have no exact number: what aims at the edge of a frame shows its neighbour.
FRAMES, FPS, STEP = 24, 12, 10
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
CALM = {"reduced_motion": "reduce"}


def film() -> bytes:
    """Frame n is grey of brightness n * STEP, so that a picture says which frame it is."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(FRAMES):
            picture = np.full((96, 128, 3), number * STEP, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode())
    return out.getvalue()


def finished(owner: User, **values: Any) -> VideoJob:
    job = factories.job(owner, frames=FRAMES, fps=FPS, **values)
    video, poster = f"out/{job.pk}/1.mp4", f"out/{job.pk}/1.jpg"
    default_storage.save(video, ContentFile(film()))
    default_storage.save(poster, ContentFile(factories.png(image_format="JPEG")))
    done = {"status": Status.SUCCEEDED, "progress": 1, "video_key": video, "poster_key": poster, "loop_key": video}
    VideoJob.objects.filter(pk=job.pk).update(video_sha256="ab" * 32, **done)
    stored = {"width": 128, "height": 96, "frames": FRAMES, "fps": FPS}
    factories.attempt(job, engine_metadata={"stored": stored}, timings={"rendering": 4.0, "put": 1.0})
    return job


def frame_drawn(tab: Page) -> int:
    """Which frame is really on the screen, by its brightness."""
    grey = tab.locator("video").evaluate(
        """video => { const canvas = document.createElement("canvas"); canvas.width = canvas.height = 8;
        const context = canvas.getContext("2d"); context.drawImage(video, 0, 0, 8, 8);
        return context.getImageData(4, 4, 1, 1).data[0]; }"""
    )
    return round(float(grey) / STEP)


def at_frame(tab: Page, number: int) -> None:
    """The player says frame `number` (from 1), and shows it."""
    expect(tab.locator("[data-part=where]")).to_contain_text(f"Frame {number} of {FRAMES} ")
    expect(tab.locator("video")).to_have_js_property("seeking", False)
    assert frame_drawn(tab) == number - 1


@pytest.fixture
def paused(ada: User, tab: Page) -> Page:
    """The page of a finished video, at its first frame."""
    job = finished(ada, prompt="Push in, slowly", seed=42)
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    expect(tab.locator("video")).to_have_js_property("readyState", 4)
    tab.locator("video").evaluate("video => video.pause()")
    tab.keyboard.press("Home")
    at_frame(tab, 1)
    return tab


@pytest.mark.parametrize("context", [CALM], indirect=True, ids=["calm"])
def test_every_key_of_the_player_goes_exactly_where_it_says(paused: Page) -> None:
    for keys, frame in [
        ("ArrowRight", 2),
        (".", 3),
        (",", 2),
        ("l", 14),
        ("j", 2),
        ("Shift+ArrowRight", 14),
        ("Shift+ArrowLeft", 2),
        ("ArrowLeft", 1),
        ("ArrowLeft", 24),
        ("Home", 1),
        ("End", 24),
        ("o", 24),
        ("ArrowRight", 24),
    ]:
        paused.keyboard.press(keys)
        at_frame(paused, frame)
    paused.keyboard.press("[")
    expect(paused.get_by_label("Speed")).to_have_value("0.75")
    paused.keyboard.press("k")
    expect(paused.get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.parametrize("context", [CALM], indirect=True, ids=["calm"])
def test_buttons_slider_and_menus_work_with_the_frame_that_is_shown(paused: Page) -> None:
    expect(paused.get_by_role("button", name="Play", exact=True)).to_be_visible()  # nothing moves by itself
    paused.get_by_role("button", name="One frame on").click()
    paused.keyboard.press("ArrowRight")
    at_frame(paused, 3)
    slider = paused.get_by_role("slider", name="Frame")
    slider.focus()
    slider.press("ArrowRight")
    at_frame(paused, 4)
    expect(slider).to_have_attribute("aria-valuetext", "Frame 4 of 24 · 0.3 s")
    paused.get_by_text("Continue", exact=True).click()
    expect(paused.get_by_role("button", name="From the frame shown (4)")).to_have_attribute("value", "3")
    paused.keyboard.press("Escape")
    paused.get_by_label("Describe this video").fill("A grey that turns white")
    paused.get_by_role("button", name="Save", exact=True).first.click()
    expect(paused.locator("#alt-text-said")).to_have_text("Saved.")
    paused.reload()
    expect(paused.get_by_label("A grey that turns white")).to_be_visible()
    paused.locator("#formats > summary").click()
    with paused.expect_download() as download:
        paused.get_by_role("link", name="First frame (JPEG)").click()
    assert download.value.suggested_filename == "push-in-slowly-seed-42-poster.jpg"


def test_a_video_that_cannot_be_loaded_is_asked_for_again_and_then_says_so(ada: User, tab: Page) -> None:
    job = finished(ada)
    sign_in(tab)
    asked: list[str] = []
    tab.route(
        f"**/jobs/{job.pk}/video*", lambda route: route.fulfill(status=200, content_type="video/mp4", body="no video")
    )
    tab.on("request", lambda request: asked.append(request.url) if f"{job.pk}/video" in request.url else None)
    tab.goto(f"/jobs/{job.pk}")
    expect(tab.get_by_role("alert")).to_contain_text("could not be loaded")
    assert sum("fresh=" in url and "HEAD" not in url for url in asked) == 1
    tab.unroute(f"**/jobs/{job.pk}/video*")
    tab.get_by_role("button", name="Try again").click()
    expect(tab.locator("video")).to_have_js_property("readyState", 4)
    expect(tab.get_by_role("alert")).to_be_hidden()


def test_a_link_is_made_opened_by_somebody_without_an_account_and_taken_back(
    ada: User, tab: Page, chromium: Browser, site: str
) -> None:
    job = finished(ada, prompt="my secret wish")
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    tab.get_by_role("link", name="Share").click()
    tab.get_by_label("Let them download it").check()
    tab.get_by_role("button", name="Make a link").click()
    address = tab.locator(".shares code").inner_text()
    visitor = chromium.new_context(base_url=site, **PHONE)
    try:
        other = visitor.new_page()
        other.goto(address)
        expect(other.locator("video")).to_have_js_property("readyState", 4)
        expect(other.get_by_text("without AI")).to_be_visible()
        assert "secret" not in other.content()
        assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
        with other.expect_download():
            other.get_by_role("link", name="Download").click()
        tab.reload()
        expect(tab.get_by_text("1 view")).to_be_visible()
        tab.get_by_role("button", name="Take back").click()
        tab.get_by_role("button", name="Take it back").click()
        expect(tab.locator(".shares")).to_have_count(0)
        other.reload()
        expect(other.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    finally:
        visitor.close()


def test_a_deleted_video_is_taken_back_from_the_foot_of_the_library(ada: User, tab: Page) -> None:
    job = finished(ada, prompt="a red fox")
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    tab.get_by_text("More", exact=True).first.click()
    tab.get_by_role("button", name="Delete", exact=True).click()
    expect(tab.get_by_text("1 video deleted.").last).to_be_visible()
    expect(tab.locator(".card")).to_have_count(0)
    tab.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(tab.locator(".card")).to_have_count(1)


@pytest.mark.parametrize("context", [PHONE | CALM], indirect=True, ids=["phone"])
def test_a_finger_plays_and_winds_on_a_phone(paused: Page) -> None:
    assert paused.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = paused.locator(
        ".player-buttons button:visible, .result-actions :is(a, button, summary):visible"
    ).evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).filter(box => Math.min(box.height, box.width) < 43).length"
    )
    assert small == 0
    paused.locator("video").tap()
    expect(paused.get_by_role("button", name="Pause")).to_be_visible()
    paused.locator("video").tap()
    expect(paused.get_by_role("button", name="Play", exact=True)).to_be_visible()
    box = paused.get_by_role("slider", name="Frame").bounding_box()
    assert box is not None
    paused.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(paused.locator("[data-part=where]")).to_contain_text("Frame 12 of 24")


def test_axe_finds_nothing_with_all_parts_open_and_behind_a_link(ada: User, tab: Page) -> None:
    job = finished(ada)
    job.refresh_from_db()
    link = share(owner=ada, job=job, allows_download=True)
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    tab.evaluate("document.querySelectorAll('.job details').forEach(part => { part.open = true; })")
    found = complaints_of(tab, "the page of a video")
    tab.goto(f"/s/{link.token}")
    assert found + complaints_of(tab, "behind a link") == []
