"""What the create page and the page of a video say about models and money, without scripts."""

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from generation.models import Preferences, Status, VideoJob, VideoModel
from generation.templatetags.prices import cents, exact, price, roughly, usual_price
from tests import factories
from tests.generation import choosing_rows as rows

RENTED = {"seconds": 45.0, "usd": 0.031, "usd_high": 0.052, "usd_basis": "history", "paid_for": "a rented GPU"}
CLOUD = {"seconds": 40.0, "usd": 0.4, "usd_high": 0.4, "usd_basis": "price", "paid_for": "fal.ai's price"}
FREE = {"seconds": 4.0, "usd": 0.0, "usd_high": 0.0, "usd_basis": "free", "paid_for": "free"}


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def text_of(answer: Any) -> str:
    """The words of an answer, as they are read."""
    bare = re.sub(r"<(script|style|noscript)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def shown(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.status_code
    return text_of(answer)


def card(answer: Any, slug: str) -> str:
    """The words about one model's readiness and price."""
    [found] = re.findall(rf'<p class="model-price" id="price-{slug}".*?</p>', answer.content.decode(), re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())


def form(**values: Any) -> dict[str, Any]:
    return {"prompt": "The camera pushes in slowly", "model": "motion-preview", "rights": "1"} | values


class TestWords:
    @pytest.mark.parametrize(
        ("found", "words", "short"),
        [
            (RENTED, "about $0.03, up to $0.06", "about $0.03"),
            (CLOUD, "$0.40", "$0.40"),
            (CLOUD | {"usd": 0.2025, "usd_high": 0.2025}, "$0.21", "$0.21"),
            (FREE, "free", ""),
            (FREE | {"paid_for": "your own server"}, "your own server", ""),
            (RENTED | {"usd": 0.004, "usd_high": 0.009}, "less than $0.01", "less than $0.01"),
            (RENTED | {"usd": 0.004, "usd_high": 0.03}, "less than $0.01, up to $0.03", "less than $0.01"),
            (RENTED | {"usd": 0.03, "usd_high": 0.03}, "about $0.03", "about $0.03"),
            ({}, "", ""),
        ],
    )
    def test_a_price_is_said_with_its_upper_end_never_below_it(
        self, found: dict[str, Any], words: str, short: str
    ) -> None:
        assert (price(found), usual_price(found)) == (words, short)

    def test_amounts_and_times_are_said_as_people_say_them(self) -> None:
        assert [cents(Decimal(usd)) for usd in ("0", "0.004", "0.035", "-0.2", "1234.5")] == [
            *("", "less than $0.01", "$0.04", "$0.20", "$1,234.50")
        ]
        assert [exact(Decimal(usd)) for usd in ("0", "0.00001", "0.0312", "0.4", "12.3456")] == [
            *("$0.00", "less than $0.0001", "$0.0312", "$0.40", "$12.35")
        ]
        assert [roughly(seconds) for seconds in (None, 4.04, 45.4, 89, 350, 3600, 4200)] == [
            *("", "4 s", "45 s", "89 s", "6 min", "1 h", "1 h 10 min")
        ]


class TestChoosing:
    def test_every_model_says_whether_it_is_ready_and_what_it_takes(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        answer = page.get("/")
        assert card(answer, "motion-preview") == "ready now 4 s · free"
        assert card(answer, "wan-cloud") == "ready now 40 s · $0.40"
        assert re.match(r"cold, about \d+ min 71 s · about \$0\.\d\d, up to \$0\.\d\d", card(answer, "wan-2-2"))

    def test_a_model_that_cannot_run_says_why_and_cannot_be_chosen(self, page: Client) -> None:
        answer = page.get("/")
        assert "not available No SwarmUI server is configured" in card(answer, "wan-2-2")
        assert re.search(r'value="wan-2-2" disabled', answer.content.decode())

    def test_a_model_behind_others_says_how_long_it_waits(self, page: Client, stranger: User) -> None:
        for _ in range(30):
            factories.job(stranger, image=None, image_url="https://example.com/a.png")
        assert card(page.get("/"), "motion-preview").startswith("in line, about ")

    def test_a_cold_gpu_and_a_ready_cloud_are_a_choice_of_two(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        words = shown(page, "/")
        assert re.search(r"Run on fal\.ai now for \$0\.40, or wait about \d+ min for about \$0\.\d\d\.", words)
        assert re.search(r"Create the video · about \$0\.\d\d", words)  # the GPU: nothing goes to the cloud unasked

    def test_the_cloud_is_taken_by_its_button_also_without_scripts(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        image = {"image_id": factories.source_image(User.objects.get()).pk, "settings_of": "wan-2-2"}
        answer = page.post("/", form(model="wan-2-2", num_frames="81", fps="16", apply="model=wan-cloud", **image))
        assert re.search(r'value="wan-cloud" checked', answer.content.decode())
        assert "Create the video · $0.40" in text_of(answer)
        assert not VideoJob.objects.exists()

    def test_no_choice_is_offered_while_a_gpu_is_ready(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        rows.machine()
        assert "Run on fal.ai now" not in shown(page, "/")

    def test_nobody_who_never_wants_the_cloud_is_asked_about_it(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        Preferences.objects.create(person=person, rule=Preferences.Rule.NEVER_CLOUD)
        assert "Run on fal.ai now" not in shown(page, "/")

    def test_a_rule_that_chose_says_so_and_why_and_the_job_keeps_it(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        VideoModel.objects.filter(provider="fal").exclude(slug="wan-cloud").update(enabled=False)
        Preferences.objects.create(person=person, rule=Preferences.Rule.SOONEST)
        answer = page.get("/")
        assert "was chosen by your rule “The soonest”. The soonest of 2" in text_of(answer)
        [token] = re.findall(r'name="chosen_by" value="([^"]+)"', answer.content.decode())
        image = factories.source_image(person)
        page.post("/", form(model="wan-cloud", image_id=image.pk, chosen_by=html.unescape(token)))
        assert VideoJob.objects.get().chosen_because.startswith("The soonest of 2")

    @pytest.mark.parametrize("token", ["", "x", "WyJtb3Rpb24tcHJldmlldyIsIm1pbmUiXQ:forged"])
    def test_a_reason_that_we_did_not_give_is_not_kept(self, page: Client, person: User, token: str) -> None:
        page.post("/", form(image_id=factories.source_image(person).pk, chosen_by=token))
        assert VideoJob.objects.get().chosen_because == ""

    def test_a_rule_that_would_choose_another_model_by_now_says_so(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        VideoModel.objects.filter(provider="fal").exclude(slug="wan-cloud").update(enabled=False)
        Preferences.objects.create(person=person, rule=Preferences.Rule.SOONEST)
        [token] = re.findall(r'name="chosen_by" value="([^"]+)"', page.get("/").content.decode())
        rows.machine()
        VideoModel.objects.filter(slug="wan-2-2").update(typical_seconds=5)
        data = {"model": "wan-cloud", "num_frames": 81, "chosen_by": html.unescape(token)}
        assert "it would choose Wan 2.2 (GPU)" in text_of(page.post("/create/estimate", data))

    def test_a_model_with_fixed_durations_offers_them_in_seconds(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        fragment = page.get("/create/settings?model=wan-cloud&settings_of=wan-2-2&num_frames=121&fps=16")
        [choice] = re.findall(r'<select id="id_num_frames".*?</select>', fragment.content.decode(), re.DOTALL)
        options = re.findall(r'<option value="(\d+)"( selected)?>([^<]*)</option>', choice)
        assert options == [("81", " selected", "5.1 seconds (81 frames)"), ("161", "", "10.1 seconds (161 frames)")]

    def test_another_model_is_asked_for_as_long_a_video(self, page: Client, settings: Settings) -> None:
        settings.FAL_KEY = "a-key"
        rows.cloud_model(
            min_fps=24,
            max_fps=24,
            default_fps=24,
            frame_choices=[121, 241],
            min_frames=121,
            max_frames=241,
            default_frames=121,
        )
        fragment = page.get("/create/settings?model=wan-cloud&settings_of=motion-preview&num_frames=161&fps=16")
        assert '<option value="241" selected>' in fragment.content.decode()

    def test_showing_the_settings_again_keeps_everything_that_was_typed(self, page: Client, person: User) -> None:
        given = {"fps": "12", "steps": "3", "cfg_scale": "2.5", "seed": "9", "negative_prompt": "blur"}
        image = factories.source_image(person)
        answer = page.post("/", form(action="update", settings_of="motion-preview", image_id=image.pk, **given))
        content = answer.content.decode()
        for name in ("fps", "steps", "cfg_scale", "seed"):
            assert f'name="{name}" value="{given[name]}"' in content, name
        assert ">blur</textarea>" in content
        assert re.search(r'name="rights" value="1" required checked', content)
        assert f'name="image_id" value="{image.pk}"' in content

    def test_an_address_never_ticks_the_rights(self, page: Client) -> None:
        assert not re.search(
            r'name="rights"[^>]* checked', page.get("/?rights=1&model=motion-preview").content.decode()
        )

    def test_as_many_queries_for_ten_models_as_for_two(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        VideoModel.objects.exclude(slug__in=("wan-2-2", "wan-cloud")).update(enabled=False)
        counts = []
        for _ in range(2):
            page.get("/")  # what is remembered is remembered
            for path in ("/", "/create/estimate?model=wan-2-2&num_frames=81"):
                with CaptureQueriesContext(
                    connection,
                ) as queries:
                    page.get(path)
                counts.append(len(queries))
            VideoModel.objects.filter(provider__in=("fal", "preview")).update(enabled=True)
        assert counts[:2] == counts[2:]


class TestWarnings:
    def test_a_warning_comes_with_a_button_that_applies_its_suggestion(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu(settings)
        data = {"model": "wan-2-2", "num_frames": 121, "prompt": "The camera pushes in slowly"}
        answer = page.post("/create/estimate", data)
        assert "longer videos drift" in text_of(answer)
        assert 'name="apply" value="num_frames=81"' in answer.content.decode()

    def test_a_suggestion_is_applied_without_scripts_and_the_rest_is_kept(
        self, page: Client, settings: Settings
    ) -> None:
        rows.cold_gpu(settings)
        given = form(model="wan-2-2", settings_of="wan-2-2", num_frames="121", steps="6", apply="num_frames=81")
        content = page.post("/", given).content.decode()
        assert 'name="seconds" value="5.1"' in content
        assert "81 frames at 16 fps" in content
        assert 'name="steps" value="6"' in content

    def test_a_button_changes_nothing_but_settings(self, page: Client, person: User) -> None:
        theirs = factories.source_image(person)
        given = form(apply=f"image_id={theirs.pk}&seed=4711", settings_of="motion-preview")
        content = page.post("/", given).content.decode()
        assert f'name="image_id" value="{theirs.pk}"' not in content
        assert "4711" not in content

    def test_a_picture_is_judged_by_its_size(self, page: Client, person: User, settings: Settings) -> None:
        rows.cold_gpu(settings)
        data = {"model": "wan-2-2", "image_id": factories.source_image(person, width=200, height=150).pk}
        assert "The picture is small" in text_of(page.post("/create/estimate", data))

    @pytest.mark.parametrize("broken", [{"num_frames": "x"}, {"model": "nobody"}, {"variations": "-1"}])
    def test_what_is_no_setting_yet_is_answered_with_nothing(self, page: Client, broken: dict[str, str]) -> None:
        assert page.post("/create/estimate", {"model": "motion-preview"} | broken).content == b""

    def test_a_cap_that_is_nearly_reached_says_what_is_left(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        rows.cap(person.pk, "5", spent="4.5")
        answer = page.post("/create/estimate", {"model": "wan-cloud", "num_frames": 81})
        assert "Only $0.50 are left under your cap of $5.00 a day." in text_of(answer)

    def test_a_reached_cap_refuses_in_words_and_keeps_the_form(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        rows.cap(person.pk, "5", spent="4.9")
        image = factories.source_image(person)
        answer = page.post("/", form(model="wan-cloud", image_id=image.pk, num_frames="161", seed="77"))
        words, content = text_of(answer), answer.content.decode()
        assert answer.status_code == 402
        assert "The video was not started. This video may cost up to $0.40, but only $0.10 are left" in words
        assert "Choose something cheaper, wait until tomorrow (UTC), or ask the operator" in words
        for kept in ('<option value="161" selected>', 'value="77"', str(image.pk), "The camera pushes in slowly"):
            assert kept in content
        assert not VideoJob.objects.exists()


def video(owner: User, **values: Any) -> VideoJob:
    defaults = {"status": Status.SUCCEEDED, "video_key": "out/1/1.mp4", "progress": 1, "estimate": RENTED}
    return factories.job(owner, **defaults | values)


class TestBill:
    def test_both_parts_of_a_price_are_shown_and_that_it_is_not_final(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        model, machine = rows.cold_gpu(settings), rows.machine()
        money = {"cost_usd": "0.0312", "direct_usd": "0.0072", "share_usd": "0.0241", "reserved_usd": "0.05"}
        job = video(person, model=model, cost_is_final=False, **{name: Decimal(usd) for name, usd in money.items()})
        factories.attempt(job, machine=machine.pk, timings={"rendering": 50.0, "finishing": 2.0}, outcome="stored")
        words = shown(page, f"/jobs/{job.pk}")
        assert "Cost $0.0312 not final yet" in words
        assert "Own seconds $0.0072 52 s at $0.4985 an hour" in words
        assert "Share $0.0241 of boot, download, idle time and storage" in words
        assert "Not charged $0.0001 above what was promised" in words
        assert "Expected 45 s, about $0.03, up to $0.06" in words
        assert "It took 52 s" in words
        assert "never costs more than $0.05" in words

    def test_a_free_video_does_not_talk_of_dollars(self, page: Client, person: User) -> None:
        job = video(person, estimate=FREE)
        words = shown(page, f"/jobs/{job.pk}")
        assert "Cost free" in words
        assert "$" not in words

    def test_a_video_of_the_cloud_has_one_price(self, page: Client, person: User, settings: Settings) -> None:
        _gpu, cloud = rows.cold_gpu_and_cloud(settings)
        job = video(
            person,
            model=cloud,
            estimate=CLOUD,
            steps=4,
            cost_usd=Decimal("0.4"),
            direct_usd=Decimal("0.4"),
            reserved_usd=Decimal("0.4"),
            chosen_because="The soonest of 3: in about 40 s.",
        )
        words = shown(page, f"/jobs/{job.pk}")
        assert "Cost $0.40 Paid for fal.ai's price, one call Expected 40 s, $0.40" in words
        assert "Why this model The soonest of 3: in about 40 s." in words
        assert "of boot, download, idle time" not in words

    def test_a_waiting_video_says_what_is_set_aside(self, page: Client, person: User, settings: Settings) -> None:
        job = factories.job(
            person, model=rows.cold_gpu(settings), estimate=RENTED, reserved_usd=Decimal("0.052"), cost_is_final=False
        )
        words = shown(page, f"/jobs/{job.pk}")
        assert "Cost about $0.03, up to $0.06" in words
        assert "$0.0520 are set aside for it. It never costs more." in words

    def test_a_call_that_was_billed_although_cancelled_says_so(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        _gpu, cloud = rows.cold_gpu_and_cloud(settings)
        told = "It was finished and billed before it could be stopped: $0.40 were charged."
        usd = {"cost_usd": Decimal("0.4"), "reserved_usd": Decimal("0.4")}
        job = factories.job(person, model=cloud, status=Status.CANCELLED, message=told, estimate=CLOUD, **usd)
        words = shown(page, f"/jobs/{job.pk}")
        assert told in words
        assert "Cost $0.40" in words
        assert "Nothing was made" not in words

    @pytest.mark.parametrize(
        ("is_final", "sentence"),
        [(True, "Nothing was made, and you pay nothing."), (False, "It may have been too late")],
    )
    def test_a_cancelled_call_says_whether_it_is_paid(
        self, page: Client, person: User, settings: Settings, is_final: bool, sentence: str
    ) -> None:
        _gpu, cloud = rows.cold_gpu_and_cloud(settings)
        job = factories.job(
            person,
            model=cloud,
            status=Status.CANCELLED,
            estimate=CLOUD,
            cost_is_final=is_final,
            reserved_usd=Decimal("0.4"),
        )
        assert sentence in shown(page, f"/jobs/{job.pk}")

    def test_the_prompt_really_used_and_what_was_ignored_are_told(self, page: Client, person: User) -> None:
        job = video(person)
        kept = {"prompt": "A slow, graceful zoom <b>in</b>"}
        factories.attempt(job, engine_metadata=kept, drift=["81 frames were asked for; the video has 80."])
        answer = page.get(f"/jobs/{job.pk}")
        assert "A slow, graceful zoom &lt;b&gt;in&lt;/b&gt;" in answer.content.decode()
        assert "81 frames were asked for; the video has 80." in text_of(answer)

    def test_a_prompt_that_was_used_as_asked_is_not_told_twice(self, page: Client, person: User) -> None:
        job = video(person)
        factories.attempt(job, engine_metadata={"prompt": f"{job.prompt} \n"})
        assert "What was really used" not in shown(page, f"/jobs/{job.pk}")

    def test_the_price_comes_with_the_part_that_changes(self, page: Client, person: User) -> None:
        job = video(person, estimate=FREE)
        live = page.get(f"/jobs/{job.pk}/live").content.decode()
        assert re.search(r'id="job-money" hx-swap-oob="true"', live)


class TestFinal:
    def test_a_draft_becomes_the_final_in_one_click(self, page: Client, person: User, settings: Settings) -> None:
        rows.cold_gpu(settings)
        draft = video(person, prompt="orbit left", seed=41, focus_x=0.2, width=832, height=480, frames=81)
        assert "Make the final · about $0.04 with Wan 2.2 (GPU)" in shown(page, f"/jobs/{draft.pk}")
        answer = page.post(f"/jobs/{draft.pk}/final/wan-2-2")
        final = VideoJob.objects.get(parent=draft)
        assert answer.headers["Location"] == f"/jobs/{final.pk}"
        same = ("prompt", "seed", "focus_x", "image_id", "width", "height")
        assert [getattr(final, name) for name in same] == [getattr(draft, name) for name in same]

    def test_what_costs_more_than_a_little_is_asked_about_first(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        draft = video(person, width=832, height=480)
        asked = page.post(f"/jobs/{draft.pk}/final/wan-cloud")
        assert "Make the final with Wan 2.2 on fal.ai? It costs $0.40." in text_of(asked)
        assert not VideoJob.objects.filter(parent=draft).exists()
        page.post(f"/jobs/{draft.pk}/final/wan-cloud", {"confirmed": "1"})
        assert VideoJob.objects.get(parent=draft).model.slug == "wan-cloud"

    def test_a_few_step_draft_is_offered_more_steps_and_says_the_difference(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        draft = video(
            person, model=rows.cold_gpu(settings), steps=2, frames=81, width=832, height=480, cost_usd=Decimal("0.01")
        )
        assert re.search(r"\(\$0\.\d\d more than the draft\)", shown(page, f"/jobs/{draft.pk}"))

    def test_a_finished_video_is_offered_no_final(self, page: Client, person: User, settings: Settings) -> None:
        gpu, _cloud = rows.cold_gpu_and_cloud(settings)
        done = video(person, model=gpu, steps=4)
        assert "Make the final" not in shown(page, f"/jobs/{done.pk}")

    def test_a_draft_whose_picture_is_gone_is_still_shown(self, page: Client, person: User, settings: Settings) -> None:
        rows.cold_gpu(settings)
        draft = video(person, image=None, image_url="")
        assert "Make the final" not in shown(page, f"/jobs/{draft.pk}")
        assert page.post(f"/jobs/{draft.pk}/final/wan-2-2", follow=True).status_code == 200

    def test_a_refused_final_says_why(self, page: Client, person: User, settings: Settings) -> None:
        rows.cold_gpu_and_cloud(settings)
        rows.cap(person.pk, "1", spent="0.9")
        draft = video(person, width=832, height=480)
        answer = page.post(f"/jobs/{draft.pk}/final/wan-cloud", {"confirmed": "1"}, follow=True)
        assert "only $0.10 are left under your own cap" in text_of(answer)

    def test_somebody_elses_draft_is_not_there(self, page: Client, stranger: User, settings: Settings) -> None:
        rows.cold_gpu(settings)
        assert page.post(f"/jobs/{video(stranger).pk}/final/wan-2-2").status_code == 404


class TestLibrary:
    def test_a_card_says_what_a_video_cost_and_that_it_is_a_draft(self, page: Client, person: User) -> None:
        video(person, cost_usd=Decimal("0.0312"), estimate=RENTED)
        assert "Draft slow zoom in Motion preview (CPU) · $0.03" in shown(page, "/library")

    def test_a_free_card_has_no_price(self, page: Client, person: User) -> None:
        video(person)
        assert "$" not in shown(page, "/library")
