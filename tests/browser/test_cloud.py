"""A video of the cloud as a person sees it, from the click that names the price to the bill: fal.ai is simulated."""

import threading
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import Page, expect

from generation.models import Status, VideoJob
from tests.browser.conftest import sign_in
from tests.browser.test_create import PICTURE
from tests.generation.test_fal_rendering import dispatch, fal  # noqa: F401 (a fixture)
from tests.generation.test_rendering import has
from tests.simulators.fal import FalSimulator

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.timeout(120),
]


def test_a_video_of_the_cloud_is_chosen_made_and_billed(
    ada: User,
    tab: Page,
    fal: FalSimulator,  # noqa: F811
) -> None:
    fal.script(fate_next=["drift_prompt"])
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    tab.get_by_label("What should happen?").fill("The camera pushes in slowly")
    tab.get_by_text("In the cloud, paid per video").click()
    tab.locator("label[for=model-fal-wan-2-2]").click()
    expect(tab.locator("#go")).to_contain_text("$", timeout=20_000)
    tab.get_by_label("I have the rights").check()
    tab.locator("#go").click()
    tab.wait_for_url("**/jobs/*")
    job = VideoJob.objects.get(owner=ada)
    assert (job.model.slug, job.reserved_usd > 0) == ("fal-wan-2-2", True)

    rendering = threading.Thread(target=render, args=(job,))
    rendering.start()
    expect(tab.locator("video")).to_be_visible(timeout=60_000)
    rendering.join(60)

    job.refresh_from_db()
    (paid,) = fal.paid_requests()
    assert Decimal(0) < job.cost_usd <= job.reserved_usd
    assert Decimal(str(paid["billed"])) > 0
    expect(tab.locator("#money")).to_contain_text("fal.ai's price, one call", timeout=20_000)
    expect(tab.locator("#money")).to_contain_text(f"${job.cost_usd:.2f}"[:5])
    expect(tab.locator("#used")).to_contain_text("fal.ai rewrote the prompt.")


def render(job: VideoJob) -> None:
    try:
        dispatch(has(job, Status.SUCCEEDED, Status.FAILED), seconds=60)
    finally:
        connections.close_all()
