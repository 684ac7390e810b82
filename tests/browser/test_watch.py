"""Waiting for a video, watching it, finding it again."""

import io
from typing import Any

import av
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Page, expect

from generation.models import ApiToken, Status, VideoJob
from tests import factories
from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def mp4(seconds: int = 1) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(8 * seconds):
            picture = np.full((96, 128, 3), number * 20, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode())
    return out.getvalue()


def change(row: Model, **values: Any) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**values)


def finish(job: VideoJob) -> None:
    video, poster = f"out/{job.pk}/1.mp4", f"out/{job.pk}/1.jpg"
    default_storage.save(video, ContentFile(mp4()))
    default_storage.save(poster, ContentFile(factories.png(image_format="JPEG")))
    ended = {"status": Status.SUCCEEDED, "progress": 1, "finished_at": timezone.now()}
    change(job, **ended, video_key=video, loop_key=video, poster_key=poster)


def test_the_page_follows_a_video_from_queue_to_player(ada: User, tab: Page) -> None:
    job = factories.job(ada, prompt="slow zoom in")
    sign_in(tab)
    tab.goto(f"/jobs/{job.pk}")
    expect(tab.get_by_text("Next in line")).to_be_visible()
    change(job, status=Status.RENDERING, progress=0.42, message="Rendering")
    expect(tab.locator("[data-percent]")).to_have_text("42 %")
    expect(tab.get_by_role("progressbar")).to_have_js_property("value", 0.42)
    expect(tab.locator("#announce")).to_have_text("Rendering, 25 percent")
    finish(job)
    expect(tab.locator("video")).to_be_visible()
    expect(tab.locator("video")).to_have_js_property("readyState", 4)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "slow-zoom-in-seed-7.mp4"


def test_the_library_plays_on_hover_filters_and_keeps_up(ada: User, tab: Page) -> None:
    done, waiting = factories.job(ada, prompt="a red fox"), factories.job(ada, prompt="a blue bird")
    finish(done)
    sign_in(tab)
    tab.goto("/library")
    tab.get_by_role("link", name="a red fox").hover()
    expect(tab.locator(".card video")).to_be_visible()
    finish(waiting)
    expect(tab.locator(".card.succeeded")).to_have_count(2)
    tab.get_by_label("Search").fill("fox")
    expect(tab.locator(".card")).to_have_count(1)
    assert "q=fox" in tab.url


def test_older_videos_come_in_while_one_scrolls(ada: User, tab: Page) -> None:
    image = factories.source_image(ada)
    for _ in range(30):
        factories.job(ada, image=image, status=Status.CANCELLED)
    sign_in(tab)
    tab.goto("/library")
    tab.locator(".card").nth(23).scroll_into_view_if_needed()
    tab.mouse.wheel(0, 3000)
    expect(tab.locator(".card")).to_have_count(30)


def test_a_token_is_shown_once_and_revoked_after_a_question(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.goto("/settings")
    tab.get_by_label("Name of a new token").fill("script")
    tab.get_by_role("button", name="Create a token").click()
    expect(tab.locator("#secret")).to_contain_text("i2v_")
    tab.goto("/settings")
    expect(tab.locator("#secret")).to_have_count(0)
    tab.get_by_role("button", name="Revoke the token script").click()
    tab.get_by_role("button", name="Revoke", exact=True).click()
    expect(tab.get_by_text("Revoked the token “script”.")).to_be_visible()
    assert not ApiToken.objects.exists()


WIDTHS = [{"viewport": {"width": width, "height": 900}} for width in (390, 768, 1440)]


@pytest.mark.parametrize("context", WIDTHS, indirect=True, ids=["390", "768", "1440"])
def test_no_page_is_wider_than_its_window_or_complains(
    ada: User, tab: Page, complaints: list[str], django_user_model: type[User]
) -> None:
    change(ada, is_staff=True, is_superuser=True)
    long_words = "Extraordinarilylongwordwithoutanybreakinit" * 4
    jobs = [factories.job(ada, prompt=long_words), factories.job(ada, status=Status.CANCELLED), factories.job(ada)]
    change(jobs[1], status=Status.FAILED, error_code="engine_failed", error_message=long_words)
    finish(jobs[2])
    ApiToken.objects.create(user=ada, name=long_words[:80])
    sign_in(tab)
    account = [f"/account/{path}/" for path in ("email", "password/change", "2fa", "logout", "password/reset")]
    own = ["/", f"/?from={jobs[2].pk}", "/library", "/settings", "/staff/gpu", *(f"/jobs/{job.pk}" for job in jobs)]
    admin = ["/admin/", "/admin/generation/videojob/", f"/admin/generation/videojob/{jobs[2].pk}/change/"]
    for path in [*own, *account]:
        tab.goto(path)
        tab.wait_for_load_state("networkidle") if "/jobs/" not in path else tab.wait_for_load_state("load")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    for path in admin:
        tab.goto(path)
