"""Choosing with the price in sight: cloud or waiting, suggestions, numbers that follow, and a draft made final."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect
from pytest_django import Settings

from generation.models import VideoJob
from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.test_create import PICTURE
from tests.browser.test_watch import finish
from tests.generation import choosing_rows as rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

WAN, CLOUD = "#price-wan-2-2", "#price-wan-cloud"


@pytest.fixture(autouse=True)
def patient() -> None:
    expect.set_options(timeout=15_000)


@pytest.fixture
def scene(ada: User, settings: Settings) -> User:
    """A cold GPU, and the same model ready in the cloud."""
    rows.cold_gpu_and_cloud(settings)
    return ada


def describe(tab: Page) -> None:
    tab.set_input_files("#id_image", files=[PICTURE])
    tab.get_by_label("What should happen?").fill("The camera pushes in slowly")


def test_the_cloud_is_chosen_when_the_gpu_is_cold(scene: User, tab: Page) -> None:
    sign_in(tab)
    describe(tab)
    expect(tab.locator("#pair")).to_contain_text("Run on fal.ai now for $0.40, or wait about")
    expect(tab.locator("#choose-gpu")).to_have_attribute("aria-pressed", "true")
    tab.locator("#choose-cloud").click()
    expect(tab.locator("#choose-cloud")).to_have_attribute("aria-pressed", "true")
    expect(tab.get_by_label("Wan 2.2 on fal.ai")).to_be_checked()
    tab.get_by_label("I have the rights").check()
    tab.get_by_role("button", name="Create the video · $0.40").click()
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.get(owner=scene).model.slug == "wan-cloud"
    expect(tab.locator("#money")).to_contain_text("$0.40")


def test_waiting_is_chosen_back_with_the_keyboard(scene: User, tab: Page) -> None:
    """Also while the answer to the choice before is still on its way."""
    sign_in(tab)
    late: list[Route] = []
    tab.route(re.compile("/create/settings.*model=wan-cloud"), lambda route: late.append(route))  # noqa: PLW0108 (Playwright marks what it is given)
    with tab.expect_request(re.compile("model=wan-cloud")):
        tab.locator("#choose-cloud").press("Enter")
    expect(tab.get_by_label("Wan 2.2 on fal.ai")).to_be_checked()
    with tab.expect_response(re.compile("/create/settings.*model=wan-2-2")):
        tab.locator("#choose-gpu").press("Enter")
    expect(tab.get_by_label("Wan 2.2 (GPU)")).to_be_checked()
    expect(tab.locator("#go")).to_contain_text("about $0.0")
    assert len(late) == 1
    assert not VideoJob.objects.exists()


def test_numbers_on_all_cards_and_on_the_button_follow_the_settings(scene: User, tab: Page) -> None:
    sign_in(tab)
    expect(tab.locator(WAN)).to_contain_text("71 s")
    button = tab.locator("#go").inner_text()
    tab.get_by_text("Advanced settings").click()
    tab.get_by_label("Steps").fill("40")
    tab.get_by_label("Steps").press("Enter")  # settles the value, and sends nothing
    expect(tab.locator(WAN)).not_to_contain_text("71 s")
    expect(tab.locator("#go")).not_to_have_text(button)
    tab.get_by_text("In the cloud, paid per video").click()
    expect(tab.locator(CLOUD)).to_contain_text("40 s")
    tab.get_by_label("Length in seconds").fill("7.5")
    tab.get_by_label("Length in seconds").press("Tab")
    expect(tab.locator("#advice-odd_frame_count")).to_be_visible()
    assert tab.url.endswith("/")
    assert not VideoJob.objects.exists()


def test_the_suggestion_of_a_warning_is_applied(scene: User, tab: Page) -> None:
    sign_in(tab)
    tab.get_by_label("Length in seconds").fill("7.5")
    tab.get_by_label("Length in seconds").press("Tab")
    expect(tab.locator("#advice-odd_frame_count")).to_contain_text("longer videos drift")
    tab.get_by_role("button", name="Apply: 81 frames").click()
    expect(tab.get_by_label("Length in seconds")).to_have_value("5.1")
    expect(tab.get_by_label("Length in seconds")).to_be_focused()
    expect(tab.locator("#advice-odd_frame_count")).to_have_count(0)
    expect(tab.get_by_text("81 frames at 16 fps")).to_be_visible()


def test_a_suggestion_in_a_closed_part_opens_it(scene: User, tab: Page) -> None:
    sign_in(tab)
    tab.get_by_text("Advanced settings").click()
    tab.get_by_label("Steps").fill("30")
    tab.get_by_label("Steps").press("Tab")
    expect(tab.locator("#advice-many_steps")).to_be_visible()
    tab.get_by_text("Advanced settings").click()
    expect(tab.get_by_label("Steps")).to_be_hidden()
    tab.locator("#apply-many_steps").click()
    expect(tab.get_by_label("Steps")).to_be_focused()
    expect(tab.get_by_label("Steps")).to_have_value("4")


def test_a_picture_is_judged_as_soon_as_it_is_chosen(scene: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])  # 320 by 180
    expect(tab.locator("#advice-small_picture")).to_contain_text("enlarged")
    tab.get_by_role("button", name="Remove this picture").click()
    expect(tab.locator("#advice-small_picture")).to_have_count(0)


def test_a_model_with_fixed_durations_offers_only_those(scene: User, tab: Page) -> None:
    sign_in(tab)
    tab.locator("#choose-cloud").click()
    length = tab.get_by_label("Length", exact=True)
    expect(length.locator("option")).to_have_text(["5.1 seconds (81 frames)", "10.1 seconds (161 frames)"])
    length.select_option("161")
    expect(tab.locator("#estimate")).to_contain_text("It costs $0.40, fal.ai's price.")


def test_a_reached_cap_is_shown_before_and_after_the_click(scene: User, tab: Page, complaints: list[str]) -> None:
    rows.cap(scene.pk, "5", spent="4.8")
    sign_in(tab)
    describe(tab)
    tab.locator("#choose-cloud").click()
    expect(tab.locator("#advice-cap_reached")).to_contain_text("only $0.20 are left under your own cap")
    tab.get_by_label("I have the rights").check()
    tab.get_by_role("button", name="Create the video · $0.40").click()
    expect(tab.locator("#form-errors")).to_contain_text("only $0.20 are left under your own cap")
    expect(tab.get_by_label("What should happen?")).to_have_value("The camera pushes in slowly")
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    expect(tab.get_by_label("Wan 2.2 on fal.ai")).to_be_checked()
    assert not VideoJob.objects.exists()
    # Chromium notes every page that answers a refusal.
    complaints[:] = [text for text in complaints if "402 (Payment Required)" not in text]


def test_a_draft_becomes_the_final(scene: User, tab: Page) -> None:
    draft = factories.job(scene, prompt="orbit left", width=832, height=480, frames=81, seed=41)
    finish(draft)
    sign_in(tab)
    tab.goto(f"/jobs/{draft.pk}")
    tab.get_by_role("button", name=re.compile(r"Make the final · about \$0.0\d with Wan 2.2 \(GPU\)")).click()
    tab.wait_for_url(lambda url: "/jobs/" in url and str(draft.pk) not in url)
    final = VideoJob.objects.get(parent=draft)
    assert (final.model.slug, final.seed, final.image_id) == ("wan-2-2", 41, draft.image_id)


def test_a_dear_final_is_asked_about_in_a_dialog(scene: User, tab: Page) -> None:
    draft = factories.job(scene, width=832, height=480)
    finish(draft)
    sign_in(tab)
    tab.goto(f"/jobs/{draft.pk}")
    tab.locator("#finals").get_by_text("In the cloud", exact=True).click()
    button = tab.get_by_role("button", name="Make the final · $0.40 with Wan 2.2 on fal.ai")
    button.click()
    expect(tab.locator("#confirm")).to_contain_text("It costs $0.40.")
    tab.get_by_role("button", name="No, go back").click()
    expect(tab.locator("#confirm")).to_be_hidden()
    assert not VideoJob.objects.filter(parent=draft).exists()
    button.click()
    tab.get_by_role("button", name="Make the final", exact=True).click()
    tab.wait_for_url(lambda url: "/jobs/" in url and str(draft.pk) not in url)
    assert VideoJob.objects.get(parent=draft).model.slug == "wan-cloud"


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_the_cloud_is_chosen_and_paid_for_without_scripts(scene: User, tab: Page) -> None:
    sign_in(tab)
    describe(tab)
    tab.locator("#choose-cloud").click()
    expect(tab.get_by_label("Wan 2.2 on fal.ai")).to_be_checked()
    expect(tab.get_by_label("What should happen?")).to_have_value("The camera pushes in slowly")
    tab.get_by_label("I have the rights").check()
    tab.get_by_role("button", name="Create the video · $0.40").click()
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.get(owner=scene).model.slug == "wan-cloud"
