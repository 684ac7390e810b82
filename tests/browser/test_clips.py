"""Cutting a video at the frame that the player shows, and a chain of continued videos up to its joined clip."""

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from playwright.sync_api import Page, expect

from generation.models import Attempt, Clip, ClipPart, Status, VideoJob
from generation.services.clips import store_clip
from tests.browser.conftest import sign_in
from tests.generation.numbered import film, finished, grey_of, near, seen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

GREYS = [grey_of(number) for number in range(12)]


def finish(job: VideoJob, greys: list[int]) -> None:
    content = film(greys, width=128, height=96)
    default_storage.save(f"out/{job.pk}/1.mp4", ContentFile(content))
    Attempt.objects.create(
        job=job, number=1, nonce=job.pk.hex, engine="preview", outcome="stored", ended_at=job.created_at,
        engine_metadata={"stored": {"width": 128, "height": 96, "frames": len(greys), "fps": 8.0}},
    )  # fmt: skip
    VideoJob.objects.filter(pk=job.pk).update(
        status=Status.SUCCEEDED, progress=1, video_key=f"out/{job.pk}/1.mp4", finished_at=job.created_at
    )


def made() -> Clip:
    clip = Clip.objects.get()
    store_clip(clip_id=str(clip.pk))
    clip.refresh_from_db()
    return clip


def test_a_video_is_trimmed_at_the_frames_that_the_player_shows(ada: User, tab: Page) -> None:
    job = finished(ada, film(GREYS, width=128, height=96))
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    tab.get_by_text("Trim, back and forth, GIF and WebP").click()
    tab.get_by_role("button", name="Pause").click()
    tab.get_by_role("slider", name="Frame").fill("3")
    tab.get_by_role("button", name="Frame shown is the first one").click()
    expect(tab.get_by_label("First frame")).to_have_value("4")
    tab.get_by_label("Last frame").fill("9")
    expect(tab.locator("[data-trim-length]")).to_have_text("6 frames · 0.8 s")
    tab.get_by_role("button", name="Trim the video").click()
    expect(tab.get_by_text("Waits for its turn")).to_be_visible()
    clip = made()
    expect(tab.get_by_role("link", name="Download Trimmed")).to_be_visible()

    assert near(seen(default_storage.open(clip.key).read()), GREYS[3:9])


def test_a_video_is_continued_and_both_are_joined(ada: User, tab: Page) -> None:
    first = finished(ada, film(GREYS, width=128, height=96), prompt="a fox wakes up")
    sign_in(tab)
    tab.goto(f"/jobs/{first.pk}")
    tab.locator("#continue summary").click()
    tab.get_by_role("button", name="From the last frame").click()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
    tab.locator("textarea[name=prompt]").first.fill("it runs away")
    tab.locator("input[name=rights]").check()
    tab.locator("button[type=submit]", has_text="Create").last.click()
    tab.wait_for_url("**/jobs/*")
    second = VideoJob.objects.exclude(pk=first.pk).get()
    assert (second.continues, second.continues_frame, second.prompt) == (first, 11, "it runs away")
    finish(second, [GREYS[11], 100, 110])
    tab.goto(f"/jobs/{second.pk}/storyline")
    expect(tab.get_by_role("heading", name="1. a fox wakes up")).to_be_visible()
    expect(tab.get_by_role("heading", name="2. it runs away")).to_be_visible()
    tab.get_by_role("button", name="Join all").click()
    expect(tab.get_by_role("heading", name="Joined")).to_be_visible()
    clip = made()
    tab.reload()
    expect(tab.locator("video")).to_have_js_property("readyState", 4)

    assert ClipPart.objects.filter(clip=clip).count() == 2
    assert near(seen(default_storage.open(clip.key).read()), [*GREYS, 100, 110])
