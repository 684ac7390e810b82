"""Making a video by hand: with the mouse, by dropping and pasting, with the keyboard alone, and without scripts."""

import base64

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import FilePayload, Page, expect

from generation.models import Batch, Preset, VideoJob
from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.test_watch import finish

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


def submit(tab: Page, button: str = "Create the video") -> None:
    tab.get_by_label("I have the rights").check()
    tab.get_by_role("button", name=button, exact=True).click()


def settle(tab: Page) -> None:
    """Wait for the page's questions to be answered: htmx complains of one that a new page cuts off."""
    tab.wait_for_load_state("networkidle")


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


def test_a_picture_that_was_sent_is_there_in_another_tab_too(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    expect(tab.locator("[data-picture]:not(.pending)")).to_have_count(1)
    tab.get_by_label("What should happen?").fill("slow zoom in")
    settle(tab)
    tab.close(run_before_unload=True)

    other = tab.context.new_page()
    other.goto("/")

    expect(other.locator("[data-restored]")).to_be_visible()
    other.wait_for_function("() => document.querySelector('[data-preview]').naturalWidth > 0")
    settle(other)


def test_what_was_typed_survives_a_reload_and_a_lost_session(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    expect(tab.locator("[data-picture]:not(.pending)")).to_have_count(1)
    tab.get_by_label("What should happen?").fill("slow zoom in")
    tab.get_by_role("button", name="Add another prompt").click()
    tab.get_by_label("Prompt 2").fill("pan left")
    tab.get_by_label("Length in seconds").fill("2")
    tab.get_by_text("Advanced settings").click()
    tab.get_by_role("button", name="Draw a seed").click()
    tab.get_by_label("I have the rights").check()
    settle(tab)
    tab.reload()
    expect(tab.locator("[data-restored]")).to_be_visible()
    expect(tab.get_by_alt_text("The picture you chose")).to_be_visible()
    expect(tab.get_by_label("Prompt 2")).to_have_value("pan left")
    expect(tab.get_by_label("I have the rights")).not_to_be_checked()
    settle(tab)
    Session.objects.all().delete()
    tab.get_by_label("Variations").select_option("2")
    expect(tab.get_by_text("You are signed out.")).to_be_visible()
    tab.get_by_label("Variations").select_option("1")
    settle(tab)
    submit(tab, "Create 2 videos")
    tab.get_by_label("Login").fill("ada")
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Sign in", exact=True).click()
    expect(tab.get_by_label("Length in seconds")).to_have_value("2")
    expect(tab.locator("#id_seed")).not_to_have_value("")
    settle(tab)
    submit(tab, "Create 2 videos")
    tab.wait_for_url("**/library?batch=*")
    settle(tab)
    jobs = VideoJob.objects.filter(owner=ada)
    assert {(str(job.image), job.prompt, job.frames) for job in jobs} == {
        ("cat.png", "slow zoom in", 32),
        ("cat.png", "pan left", 32),
    }
    tab.goto("/")
    expect(tab.locator("#estimate")).to_contain_text("About")
    expect(tab.get_by_label("What should happen?")).to_have_value("")


def test_pictures_by_prompts_are_one_batch_with_its_number_on_the_button(ada: User, tab: Page) -> None:
    old = factories.source_image(ada, name="old.png")
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE, WIDE])
    expect(tab.locator("[data-picture]:not(.pending)")).to_have_count(2)
    tab.get_by_role("button", name="Add more pictures").click()
    tab.get_by_role("link", name="old.png").click()
    tab.get_by_role("button", name="Done").click()
    tab.get_by_role("button", name="Remove wide.png").click()
    tab.get_by_label("What should happen?").fill("slow zoom in on it")
    tab.get_by_label("Variations").select_option("3")
    expect(tab.locator("#total")).to_contain_text("6 videos · free · about")
    submit(tab, "Create 6 videos")
    tab.wait_for_url("**/library?batch=*")
    batch = Batch.objects.get(owner=ada)
    assert [str(job.image) for job in batch.jobs.order_by("created_at")] == ["cat.png"] * 3 + [str(old)] * 3


def test_chips_and_hints_change_the_prompt_and_can_be_taken_back(ada: User, tab: Page) -> None:
    sign_in(tab)
    prompt, chip = tab.get_by_label("What should happen?"), tab.get_by_role("button", name="Orbit left")
    prompt.fill("A dog runs over the grass, no people")
    chip.click()
    expect(prompt).to_have_value("A dog runs over the grass, no people, the camera orbits to the left")
    tab.get_by_role("button", name="Push in").click()  # one camera cannot do both
    expect(prompt).to_have_value("A dog runs over the grass, no people, the camera pushes in slowly")
    expect(chip).to_have_attribute("aria-pressed", "false")
    tab.get_by_role("button", name="Move “people” there").click()
    expect(prompt).to_have_value("A dog runs over the grass, the camera pushes in slowly")
    expect(tab.locator("#id_negative_prompt")).to_have_value("people")
    tab.get_by_role("button", name="Undo").click()
    expect(prompt).to_have_value("A dog runs over the grass, no people, the camera pushes in slowly")
    expect(tab.locator("#id_negative_prompt")).to_have_value("")


def test_a_video_goes_on_from_a_chosen_frame(ada: User, tab: Page) -> None:
    job = factories.job(ada, prompt="the first part", frames=16)
    finish(job)
    sign_in(tab)
    tab.get_by_role("link", name="A frame of a video").click()
    tab.get_by_role("link", name="the first part").click()
    slider = tab.get_by_role("slider", name="Frame")
    expect(slider).to_be_focused()
    for _ in range(3):
        slider.press("ArrowRight")
    tab.get_by_role("button", name="Use this frame").click()
    expect(tab.get_by_text("Begins with a frame of an earlier video")).to_be_visible()
    tab.get_by_label("What should happen?").fill("and then it turns away")
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    made = VideoJob.objects.get(continues=job)
    assert (made.continues_frame, made.image.from_frame if made.image else None) == (3, 3)


def test_a_locked_seed_stays_for_the_next_video(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[PICTURE])
    tab.get_by_label("What should happen?").fill("slow zoom in")
    tab.get_by_text("Advanced settings").click()
    tab.get_by_label("Seed", exact=True).fill("4711")
    tab.locator(".lock").click()
    settle(tab)
    submit(tab)
    tab.wait_for_url("**/jobs/*")
    settle(tab)
    tab.goto("/")
    expect(tab.get_by_label("Seed", exact=True)).to_have_value("4711")
    expect(tab.get_by_text("seed locked")).to_be_visible()
    tab.locator(".lock").click()
    expect(tab.get_by_label("Seed", exact=True)).to_have_value("")


@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_on_a_phone_the_button_stays_in_sight_and_the_crop_is_dragged(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.set_input_files("#id_image", files=[WIDE])
    expect(tab.locator("[data-picture]:not(.pending)")).to_have_count(1)
    expect(tab.locator("#go")).to_be_in_viewport()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    box = tab.locator("[data-crop]").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*middle)
    tab.mouse.down()
    tab.mouse.move(middle[0] - 60, middle[1], steps=3)
    tab.mouse.up()
    moved = tab.locator("[data-crop]").bounding_box()
    assert moved is not None
    assert moved["x"] == pytest.approx(box["x"] - 60, abs=1)
