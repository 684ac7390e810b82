"""The pages without scripts: what a plain browser, or a screen reader with htmx switched off, gets."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from generation.models import ApiToken, Preset, PreviewFrame, SourceImage, Status, VideoJob
from tests import factories
from tests.simulators.swarmui.simulator import SwarmSimulator

NOBODY = uuid.UUID(int=7)


@pytest.fixture
def page(client: Client, person: User) -> Client:
    """A browser in which `person` is signed in."""
    client.force_login(person)
    return client


def upload(content: bytes | None = None, name: str = "cat.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, factories.png() if content is None else content, "image/png")


def form(**values: Any) -> dict[str, Any]:
    defaults = {"prompt": "slow zoom in", "model": "motion-preview", "rights": "1"}
    return {name: value for name, value in (defaults | values).items() if value is not None}


def finished(owner: User, **values: Any) -> VideoJob:
    return factories.job(owner, status=Status.SUCCEEDED, video_key="out/1/1.mp4", progress=1, **values)


class TestCreate:
    def test_an_upload_and_a_prompt_become_a_queued_job(self, page: Client, person: User) -> None:
        answer = page.post("/", form(image=upload()))
        job = VideoJob.objects.get(owner=person)
        assert answer.headers["Location"] == f"/jobs/{job.pk}"
        assert (job.status, job.prompt, str(job.image)) == (Status.QUEUED, "slow zoom in", "cat.png")

    def test_every_setting_of_the_form_reaches_the_job(self, page: Client, person: User) -> None:
        given = {"size": "640x640", "num_frames": 33, "fps": 12, "steps": 2, "cfg_scale": 2.5, "seed": 99}
        page.post("/", form(image=upload(), negative_prompt="blur", focus_x="0.2", focus_y="0.9", **given))
        job = VideoJob.objects.get(owner=person)
        assert (job.size, job.frames, job.fps, job.steps, job.cfg_scale, job.seed) == tuple(given.values())
        assert (job.negative_prompt, job.focus_x, job.focus_y) == ("blur", 0.2, 0.9)

    def test_the_confirmed_rights_statement_is_kept(self, page: Client, person: User) -> None:
        page.post("/", form(image=upload()))
        job = VideoJob.objects.get(owner=person)
        assert job.rights_version
        assert job.rights_confirmed_at is not None
        assert timezone.now() - job.rights_confirmed_at < timedelta(minutes=1)

    def test_the_rights_statement_is_never_ticked_beforehand(self, page: Client) -> None:
        ticks = re.findall(r'<input type="checkbox" name="rights"[^>]*>', page.get("/").content.decode())
        assert ["checked" in tick for tick in ticks] == [False]

    def test_an_address_instead_of_a_picture_is_enough(self, page: Client, person: User) -> None:
        page.post("/", form(image_url="https://example.com/cat.png"))
        job = VideoJob.objects.get(owner=person)
        assert (job.image, job.image_url) == (None, "https://example.com/cat.png")

    def test_an_earlier_picture_can_be_used_again(self, page: Client, person: User) -> None:
        image = factories.source_image(person)
        page.post("/", form(image_id=image.pk))
        assert VideoJob.objects.get(owner=person).image == image

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"image": None}, "Choose a picture."),
            ({"image": b"GIF89a not a picture"}, "GIF files are not taken"),
            ({"image": b""}, "empty"),
            ({"image": None, "image_id": str(NOBODY)}, "That picture is gone"),
            ({"image": None, "image_id": "nonsense"}, "That picture is gone"),
            ({"image": None, "image_url": "http://example.com/a.png"}, "https"),
            ({"image": None, "image_url": "https://127.0.0.1/a.png"}, "domain name"),
            ({"prompt": ""}, "This field is required."),
            ({"prompt": "a" * 20_000}, "at most 2000 characters"),
            ({"prompt": "bell \x07"}, "control characters"),
            ({"model": "nobody"}, "not one of the available choices"),
            ({"model": "wan-2-2"}, "needs a SwarmUI server"),
            ({"size": "enormous"}, "must look like"),
            ({"size": "9999x9999"}, "pixels"),
            ({"num_frames": "1e309"}, "whole number"),
            ({"num_frames": "-5"}, "greater than or equal to 0"),
            ({"num_frames": "9" * 5000}, "whole number"),
            ({"num_frames": "100000"}, "takes 1 to 240"),
            ({"seconds": "60"}, "makes 0.0625 to 15 seconds at 16 frames a second"),
            ({"seconds": "nan"}, "Enter a number"),
            ({"variations": "9"}, "less than or equal to 8"),
            ({"cfg_scale": "nan"}, "Enter a number"),
            ({"cfg_scale": "inf"}, "Enter a number"),
            ({"seed": "-2"}, "greater than or equal to -1"),
            ({"rights": None}, "Confirm that you may use"),
        ],
    )
    def test_bad_input_is_answered_beside_its_field(self, page: Client, values: dict[str, Any], sentence: str) -> None:
        if isinstance(values.get("image"), bytes):
            values = values | {"image": upload(values["image"])}
        answer = page.post("/", form(**({"image": upload()} | values)))
        assert 400 <= answer.status_code < 500
        marked = re.findall(r'<p class="error" id="[^"]+">([^<]*)</p>', answer.content.decode())
        assert any(sentence in text for text in marked), marked
        assert not VideoJob.objects.exists()

    def test_what_was_typed_and_the_picture_survive_an_error(self, page: Client, person: User) -> None:
        shown = page.post(
            "/", form(image=upload(), prompt="<b>zoom</b>", num_frames="33", rights=None)
        ).content.decode()
        image = SourceImage.objects.get(owner=person)
        assert "&lt;b&gt;zoom&lt;/b&gt;" in shown
        assert f'name="image_id" value="{image.pk}"' in shown
        assert 'name="seconds" value="2.06"' in shown

    @pytest.mark.parametrize("prompt", ["🦊 läuft", "كاميرا تقترب ببطء", "line one\nline two"])
    def test_prompts_of_every_script_are_kept_as_typed(self, page: Client, person: User, prompt: str) -> None:
        as_browsers_send_it = prompt.replace("\n", "\r\n")
        page.post("/", form(image=upload(), prompt=as_browsers_send_it))
        assert VideoJob.objects.get(owner=person).prompt == prompt

    def test_somebody_elses_picture_is_no_picture(self, page: Client, stranger: User) -> None:
        theirs = factories.source_image(stranger)
        assert page.post("/", form(image_id=theirs.pk)).status_code == 422
        assert f'value="{theirs.pk}"' not in page.get(f"/?image={theirs.pk}").content.decode()

    def test_the_settings_of_a_video_fill_the_form(self, page: Client, person: User) -> None:
        job = finished(person, prompt="orbit left", frames=33, seed=4711, size="640x640")
        shown = page.get(f"/?from={job.pk}").content.decode()
        for part in ("orbit left", 'value="4711"', 'name="seconds" value="2.06"', str(job.image_id)):
            assert part in shown

    @pytest.mark.parametrize(
        "query", ["from=x", f"from={NOBODY}", "image=x", "preset=x", f"preset={NOBODY}", "model=x"]
    )
    def test_an_odd_address_still_shows_the_form(self, page: Client, query: str) -> None:
        assert page.get(f"/?{query}").status_code == 200

    def test_a_preset_fills_the_settings_with_and_without_scripts(self, page: Client, person: User) -> None:
        preset = Preset.objects.create(
            owner=person, name="Short", model=factories.preview_model(), values={"num_frames": 25}
        )
        fragment = page.get(f"/create/settings?preset={preset.pk}").content.decode()
        whole = page.post("/", form(action="preset", preset=preset.pk, rights=None)).content.decode()
        assert 'name="seconds" value="1.56"' in fragment
        assert 'name="seconds" value="1.56"' in whole
        assert "This field is required" not in whole

    def test_settings_are_saved_as_a_preset(self, page: Client, person: User) -> None:
        page.post("/create/preset", form(preset_name="Long", num_frames=161))
        preset = Preset.objects.get(owner=person)
        assert (preset.name, preset.values["num_frames"]) == ("Long", 161)

    def test_a_preset_that_does_not_fit_its_model_is_refused(self, page: Client) -> None:
        answer = page.post("/create/preset", form(preset_name="Long", num_frames=9999), headers={"HX-Request": "true"})
        assert (answer.status_code, Preset.objects.count()) == (422, 0)

    def test_values_that_another_model_does_not_take_become_its_defaults(self, page: Client) -> None:
        fragment = page.get("/create/settings?model=motion-preview&num_frames=9999").content.decode()
        assert 'name="seconds" value="5.06"' in fragment

    def test_the_estimate_is_one_line_of_words(self, page: Client) -> None:
        line = page.get("/create/estimate?model=motion-preview&num_frames=81").content.decode()
        assert "About 4 s" in line
        assert page.get("/create/estimate?model=motion-preview&num_frames=x").status_code == 200

    def test_the_gpu_model_says_that_it_is_simulated_in_a_demonstration(self, page: Client, settings: Settings) -> None:
        settings.DEMO = True
        shown = page.get("/").content.decode()
        assert "Simulated GPU" in shown
        assert "simulated</span>" in shown


class TestJob:
    def test_a_waiting_video_says_where_it_stands(self, page: Client, person: User) -> None:
        job = factories.job(person)
        shown = page.get(f"/jobs/{job.pk}").content.decode()
        assert "Waiting for its turn" in shown
        assert "Next in line" in shown
        assert f'data-job="{job.pk}"' in shown
        assert 'data-events="/api/events"' in shown

    def test_a_rendering_video_shows_its_newest_frame(self, page: Client, person: User) -> None:
        job = factories.job(person, status=Status.RENDERING, progress=0.425, message="Rendering")
        PreviewFrame.objects.create(job=job, jpeg=factories.png(image_format="JPEG"))
        shown = page.get(f"/jobs/{job.pk}/live").content.decode()
        assert "42 %" in shown
        assert f"/jobs/{job.pk}/preview" in shown
        assert page.get(f"/jobs/{job.pk}/preview").content[:2] == b"\xff\xd8"

    def test_a_finished_video_plays_and_is_downloaded_under_a_telling_name(self, page: Client, person: User) -> None:
        job = finished(person, prompt="Slow zoom: in!", seed=7)
        assert f'src="/jobs/{job.pk}/video"' in page.get(f"/jobs/{job.pk}").content.decode()
        assert page.get(f"/jobs/{job.pk}/video").headers["Location"].startswith("/files/")
        assert page.get(f"/jobs/{job.pk}/poster").status_code == 404

    def test_a_failed_video_says_why_and_what_to_do(self, page: Client, person: User) -> None:
        job = factories.job(person, status=Status.FAILED, error_code="engine_failed", error_message="It broke.")
        shown = page.get(f"/jobs/{job.pk}").content.decode()
        assert "It broke." in shown
        assert "Try again" in shown

    def test_cancelling_a_rendering_video_can_be_taken_back(self, page: Client, person: User) -> None:
        job = factories.job(person, status=Status.RENDERING)
        shown = page.post(f"/jobs/{job.pk}/cancel", follow=True).content.decode()
        assert "Being cancelled" in shown
        assert f"/jobs/{job.pk}/cancel/undo" in shown
        page.post(f"/jobs/{job.pk}/cancel/undo")
        job.refresh_from_db()
        assert (job.status, job.cancel_at) == (Status.RENDERING, None)

    def test_cancelling_too_late_is_said_kindly(self, page: Client, person: User) -> None:
        job = finished(person)
        answer = page.post(f"/jobs/{job.pk}/cancel", {"confirmed": "1"}, follow=True)
        assert "already ended" in answer.content.decode()

    @pytest.mark.parametrize(("new_seed", "same"), [("0", True), ("1", False)])
    def test_a_video_is_made_again_with_the_same_or_a_new_seed(
        self, page: Client, person: User, new_seed: str, same: bool
    ) -> None:
        job = finished(person, seed=2**40)
        page.post(f"/jobs/{job.pk}/retry", {"new_seed": new_seed})
        again = VideoJob.objects.get(parent=job)
        assert (again.seed == job.seed) is same

    def test_the_settings_of_a_video_become_a_preset(self, page: Client, person: User) -> None:
        job = finished(person, frames=33)
        page.post(f"/jobs/{job.pk}/preset", {"name": "Mine"})
        assert Preset.objects.get(owner=person, name="Mine").values["num_frames"] == 33

    def test_attempts_are_for_staff(self, client: Client, staff: User, page: Client, person: User) -> None:
        job, own = finished(person), finished(staff)
        for row in (job, own):
            factories.attempt(row, endpoint="https://gpu.internal:7801")
        assert "gpu.internal" not in page.get(f"/jobs/{job.pk}").content.decode()
        client.force_login(staff)
        assert "gpu.internal" in client.get(f"/jobs/{own.pk}").content.decode()


class TestSomebodyElsesThings:
    @pytest.mark.parametrize("part", ["", "/live", "/video", "/poster", "/loop", "/preview"])
    def test_their_video_is_not_there(self, page: Client, stranger: User, part: str) -> None:
        assert page.get(f"/jobs/{finished(stranger, poster_key='p', loop_key='l').pk}{part}").status_code == 404

    @pytest.mark.parametrize("act", ["cancel", "retry", "delete", "preset"])
    def test_their_video_cannot_be_touched(self, page: Client, stranger: User, act: str) -> None:
        theirs = factories.job(stranger)
        assert page.post(f"/jobs/{theirs.pk}/{act}", {"confirmed": "1", "name": "x"}).status_code == 404
        theirs.refresh_from_db()
        assert (theirs.status, theirs.deleted_at) == (Status.QUEUED, None)

    def test_their_pictures_presets_and_tokens_are_not_there(self, page: Client, stranger: User) -> None:
        image = factories.source_image(stranger)
        preset = Preset.objects.create(owner=stranger, name="x", model=factories.preview_model())
        token, _secret = ApiToken.objects.create(user=stranger, name="x")
        paths = [f"/pictures/{image.pk}/delete", f"/settings/presets/{preset.pk}/delete"]
        paths.append(f"/settings/tokens/{token.digest[:20]}/revoke")
        assert [page.post(path, {"confirmed": "1"}).status_code for path in paths] == [404, 404, 404]
        assert page.get(f"/pictures/{image.pk}/full").status_code == 404

    def test_their_videos_stay_out_of_library_and_live_cards(self, page: Client, stranger: User) -> None:
        theirs = factories.job(stranger, prompt="their secret")
        for path in ("/library", f"/jobs/{theirs.pk}/card"):
            assert "their secret" not in page.get(path).content.decode()


class TestLibrary:
    def test_filters_by_state_model_and_words(self, page: Client, person: User) -> None:
        finished(person, prompt="a red fox runs")
        factories.job(person, prompt="a blue bird")
        for query, expected in [
            ("status=active", {"a blue bird"}),
            ("status=succeeded", {"a red fox runs"}),
            ("q=FOX+red", {"a red fox runs"}),
            ("model=wan-2-2", set()),
            ("status=nonsense", {"a red fox runs", "a blue bird"}),
        ]:
            shown = page.get(f"/library?{query}").content.decode()
            assert {text for text in ("a red fox runs", "a blue bird") if text in shown} == expected, query

    def test_shows_every_video_once_page_by_page(self, page: Client, person: User) -> None:
        image, moment = factories.source_image(person), timezone.now()
        jobs = [finished(person, image=image, created_at=moment) for _ in range(50)]
        seen: list[str] = []
        address: str | None = "/library"
        while address:
            shown = page.get(address).content.decode()
            seen += re.findall(r'id="card-([^"]+)"', shown)
            found = re.search(r'class="load-more"><a class="button" href="([^"]+)"', shown)
            address = found[1].replace("&amp;", "&") if found else None
        assert sorted(seen) == sorted(str(job.pk) for job in jobs)

    @pytest.mark.parametrize("before", ["x", "2020-01-01_x", "2020-01-01T00:00:00_", "%00", "9" * 500])
    def test_a_damaged_address_shows_the_first_page(self, page: Client, person: User, before: str) -> None:
        finished(person)
        assert "card-" in page.get("/library", {"before": before}).content.decode()

    def test_asks_the_database_the_same_number_of_times_for_one_and_for_thirty(
        self, page: Client, person: User, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(30):
            factories.job(person)
        with django_assert_max_num_queries(14):
            page.get("/library")

    def test_a_card_is_brought_up_to_date_by_itself(self, page: Client, person: User) -> None:
        waiting, done = factories.job(person), finished(person)
        shown = page.get(f"/jobs/{waiting.pk}/card").content.decode()
        assert f'data-refresh="/jobs/{waiting.pk}/card"' in shown
        assert "Waiting for its turn" in shown
        assert "data-refresh" not in page.get(f"/jobs/{done.pk}/card").content.decode()


class TestSettings:
    def test_a_token_is_shown_once_and_works(self, page: Client, person: User) -> None:
        shown = page.post("/settings/tokens", {"name": "script"}).content.decode()
        [secret] = re.findall(r'id="secret">(i2v_\w+)<', shown)
        assert secret not in page.get("/settings").content.decode()
        assert Client().get("/api/jobs", headers={"Authorization": f"Token {secret}"}).status_code == 200

    @pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\x00b"])
    def test_a_token_needs_a_proper_name(self, page: Client, name: str) -> None:
        answer = page.post("/settings/tokens", {"name": name})
        assert (answer.status_code, ApiToken.objects.count()) == (422, 0)

    def test_revoking_a_token_asks_first(self, page: Client, person: User) -> None:
        token, _secret = ApiToken.objects.create(user=person, name="old")
        path = f"/settings/tokens/{token.digest[:20]}/revoke"
        assert "Revoke this token?" in page.post(path).content.decode()
        page.post(path, {"confirmed": "1"})
        assert not ApiToken.objects.exists()

    def test_a_preset_is_deleted_after_a_question(self, page: Client, person: User) -> None:
        preset = Preset.objects.create(owner=person, name="old", model=factories.preview_model())
        page.post(f"/settings/presets/{preset.pk}/delete")
        assert Preset.objects.exists()
        page.post(f"/settings/presets/{preset.pk}/delete", {"confirmed": "1"})
        assert not Preset.objects.exists()

    def test_a_picture_in_use_stays_and_an_unused_one_goes(self, page: Client, person: User) -> None:
        used, unused = factories.job(person).image, factories.source_image(person)
        for image in (used, unused):
            assert image is not None
            page.post(f"/pictures/{image.pk}/delete", {"confirmed": "1"})
        assert list(SourceImage.objects.all()) == [used]


class TestGpuSettings:
    def test_are_for_staff(self, page: Client) -> None:
        assert page.get("/staff/gpu").status_code == 403
        assert page.post("/staff/gpu/test", {"swarmui_url": "https://x.example"}).status_code == 403

    def test_a_bad_address_is_answered_beside_the_field(self, client: Client, staff: User) -> None:
        client.force_login(staff)
        answer = client.post("/staff/gpu", {"swarmui_url": "http://10.0.0.1:7801"})
        assert answer.status_code == 422
        assert 'id="err-url"' in answer.content.decode()

    def test_an_empty_address_means_no_gpu(self, client: Client, staff: User) -> None:
        client.force_login(staff)
        assert client.post("/staff/gpu", {"swarmui_url": ""}).status_code == 302
        assert "No address" in client.get("/staff/gpu").content.decode()

    def test_a_good_server_is_described_and_its_address_saved(
        self, client: Client, staff: User, settings: Settings
    ) -> None:
        client.force_login(staff)
        with SwarmSimulator() as swarm:
            settings.SWARMUI_PRIVATE_HOSTS = [swarm.url.removeprefix("http://")]
            address = {"swarmui_url": swarm.url}
            shown = client.post("/staff/gpu/test", address, headers={"HX-Request": "true"}).content.decode()
            assert "It answers" in shown
            assert "wan2.2_i2v_high_noise_14B_fp8_scaled" in shown
            client.post("/staff/gpu", address)
            assert "Answering" in client.get("/staff/gpu").content.decode()

    def test_testing_a_server_that_is_not_there_says_so(self, client: Client, staff: User, settings: Settings) -> None:
        settings.SWARMUI_PRIVATE_HOSTS = ["127.0.0.1:1"]
        client.force_login(staff)
        answer = client.post("/staff/gpu/test", {"swarmui_url": "http://127.0.0.1:1"}, headers={"HX-Request": "true"})
        assert "No connection" in answer.content.decode()


@pytest.mark.parametrize("path", ["/nothing", f"/jobs/{NOBODY}", f"/pictures/{NOBODY}/full"])
def test_what_is_not_there_is_a_page_that_says_so(page: Client, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_a_form_without_its_secret_is_refused_with_a_page(person: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    answer = strict.post("/", form())
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
