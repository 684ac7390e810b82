"""Making a video by hand: with the mouse, by dropping and pasting, with the keyboard alone, and without scripts."""

import base64

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import FilePayload, Page, expect

from generation.models import Preset, VideoJob
from tests import factories
from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

PICTURE: FilePayload = {"name": "cat.png", "mimeType": "image/png", "buffer": factories.png(320, 180)}
WIDE: FilePayload = {"name": "wide.png", "mimeType": "image/png", "buffer": factories.png(800, 200)}
GIF: FilePayload = {"name": "a.gif", "mimeType": "image/gif", "buffer": b"GIF89a"}
# Puts a picture into a drop or paste event, as the system would.
GIVE = """([kind, data]) => {
    const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File([bytes], "given.png", { type: "image/png" }));
    const event = kind === "drop"
        ? new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: given, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


def submit(tab: Page) -> None:
    tab.get_by_label("I have the rights").check()
    tab.get_by_role("button", name="Create the video", exact=True).click()


def test_an_upload_becomes_a_video_in_the_making(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    tab.get_by_label("What should happen?").fill("slow zoom in")
    submit(tab)
    expect(tab.get_by_role("heading", name="Waiting for its turn")).to_be_visible()
    assert str(VideoJob.objects.get(owner=ada).image) == "cat.png"


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_anywhere_on_the_page(ada: User, tab: Page, kind: str) -> None:
    sign_in(tab)
    tab.evaluate(GIVE, [kind, base64.b64encode(factories.png(200, 300)).decode()])
    expect(tab.get_by_text("given.png")).to_be_visible()
    tab.get_by_label("What should happen?").fill("pan left")
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    assert str(VideoJob.objects.get(owner=ada).image) == "given.png"


def test_what_is_wrong_stands_beside_its_field_and_the_picture_is_kept(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    submit(tab)
    expect(tab.locator("#err-prompt")).to_have_text("This field is required.")
    expect(tab.get_by_label("What should happen?")).to_be_focused()
    tab.get_by_label("What should happen?").fill("zoom")
    submit(tab)
    tab.wait_for_url("**/jobs/*")


def test_a_file_that_is_no_picture_is_refused_before_it_is_sent(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=GIF)
    expect(tab.locator("[data-picture-error]")).to_have_text("Choose a JPEG, PNG or WebP picture.")


def test_the_crop_follows_the_click_and_the_arrow_keys(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=WIDE)
    tab.locator("input[name=size][value='640x640']").check()
    box = tab.get_by_alt_text("The picture you chose").bounding_box()
    assert box is not None
    tab.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    tab.get_by_role("group", name="What is kept of the picture").press("ArrowRight")
    tab.get_by_label("What should happen?").fill("zoom")
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.get(owner=ada).focus_x == pytest.approx(0.77, abs=0.01)


def test_an_earlier_picture_is_picked_from_the_list(ada: User, tab: Page) -> None:
    image = factories.source_image(ada, name="old.png")
    sign_in(tab)
    factories.source_image(ada, name="other.png")
    tab.get_by_role("link", name="Your pictures").click()
    tab.get_by_label("Search by name").fill("OLD")
    expect(tab.get_by_role("link", name="other.png")).to_have_count(0)
    tab.get_by_role("link", name="old.png").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    tab.get_by_label("What should happen?").fill("zoom")
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.get(owner=ada).image == image


def test_a_preset_changes_the_settings_and_keeps_picture_and_prompt(ada: User, tab: Page) -> None:
    Preset.objects.create(owner=ada, name="Short", model=factories.preview_model(), values={"num_frames": 25})
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    tab.get_by_label("What should happen?").fill("zoom")
    tab.get_by_label("Preset", exact=True).select_option(label="Short (Motion preview (CPU))")
    expect(tab.get_by_label("Length in seconds")).to_have_value("1.56")
    expect(tab.get_by_text("25 frames at 16 fps")).to_be_visible()
    expect(tab.get_by_text("About 1.2 s")).to_be_visible()
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.get(owner=ada).frames == 25


def test_settings_are_kept_as_a_preset_without_leaving_the_page(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.get_by_text("Advanced settings").click()
    tab.get_by_label("Save these settings as a preset").fill("Mine")
    tab.get_by_label("Save these settings as a preset").press("Enter")
    expect(tab.get_by_text("Saved “Mine”.")).to_be_visible()
    assert Preset.objects.filter(owner=ada, name="Mine").exists()


def test_a_video_is_made_with_the_keyboard_alone(ada: User, tab: Page) -> None:
    factories.source_image(ada, name="old.png")
    tab.goto("/account/login/")
    reach(tab, "Login")
    tab.keyboard.type("ada")
    reach(tab, "Password")
    tab.keyboard.type("correct horse")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
    reach(tab, "Your pictures")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("link", name="old.png")).to_be_visible()
    reach(tab, "old.png")
    tab.keyboard.press("Enter")
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    reach(tab, "What should happen?")
    tab.keyboard.type("slow zoom in")
    reach(tab, "I have the rights")
    tab.keyboard.press("Space")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_url("**/jobs/*")
    assert VideoJob.objects.filter(owner=ada, prompt="slow zoom in").exists()


def reach(tab: Page, name: str) -> None:
    """Press Tab until what is called `name` has the focus, and the focus can be seen."""
    called = """() => { const on = document.activeElement;
        return [on.labels?.[0]?.innerText, on.innerText, on.querySelector?.("img")?.alt].join(" ");
    }"""
    for _ in range(60):
        tab.keyboard.press("Tab")
        if name in tab.evaluate(called):
            return
    pytest.fail(f"Tab never reaches {name!r}.")


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_a_video_is_made_without_scripts(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    tab.get_by_label("What should happen?").fill("zoom")
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    expect(tab.get_by_role("heading", name="Waiting for its turn")).to_be_visible()
