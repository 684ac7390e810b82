"""The create page beyond one picture and one prompt: pictures sent at once, seconds, batches, frames, hints."""

import html
import re
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from generation.models import Batch, SourceImage, Status, VideoJob, VideoModel
from generation.pages.moves import groups
from generation.pages.settings_part import SizeChoice
from tests import factories
from tests.generation import choosing_rows as rows
from tests.generation.test_pages import NOBODY, finished, form, upload

HTMX = {"HX-Request": "true"}


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


class TestUpload:
    def test_a_picture_is_kept_at_once_and_described(self, page: Client, person: User) -> None:
        answer = page.post("/pictures", {"image": upload()})
        image = SourceImage.objects.get(owner=person)
        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(image.pk),
            "name": "cat.png",
            "width": 128,
            "height": 96,
            "thumbnail": f"/pictures/{image.pk}/thumbnail",
            "full": f"/pictures/{image.pk}/full",
        }

    def test_the_same_picture_twice_is_one(self, page: Client) -> None:
        ids = {page.post("/pictures", {"image": upload()}).json()["id"] for _ in range(2)}
        assert len(ids) == SourceImage.objects.count() == 1

    @pytest.mark.parametrize(
        ("content", "status", "code"),
        [(None, 400, "invalid"), (b"GIF89a not a picture", 400, "unsupported_type"), (b"", 400, "empty")],
    )
    def test_what_is_no_picture_is_refused_in_words_and_leaves_nothing(
        self, page: Client, content: bytes | None, status: int, code: str
    ) -> None:
        answer = page.post("/pictures", {"image": upload(content)} if content is not None else {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.json()["error"]["message"].endswith(".")
        assert not SourceImage.objects.exists()
        assert not default_storage.exists("in")

    def test_who_is_signed_out_is_told_so_in_a_way_that_scripts_understand(self, client: Client, db: None) -> None:
        answer = client.post("/pictures", {"image": upload()})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_authenticated")
        assert not SourceImage.objects.exists()


class TestChoosingPictures:
    def test_ones_own_pictures_are_found_by_name_and_by_page(self, page: Client, person: User, stranger: User) -> None:
        for number in range(31):
            factories.source_image(person, name=f"cat {number:02}.png")
        factories.source_image(person, name="dog.png")
        factories.source_image(person, name="hidden cat.png", hidden_at=timezone.now())
        factories.source_image(stranger, name="their cat.png")
        first = page.get("/pictures?q=CAT", headers=HTMX).content.decode()
        [more] = re.findall(r'hx-get="([^"]+after=[^"]+)"', first)
        rest = page.get(html.unescape(more), headers=HTMX).content.decode()
        names = re.findall(r'data-name="([^"]+)"', first + rest)
        assert names == [f"cat {number:02}.png" for number in reversed(range(31))]

    def test_without_scripts_the_list_is_a_page_that_leads_back_with_a_picture(
        self, page: Client, person: User
    ) -> None:
        image = factories.source_image(person)
        shown = page.get("/pictures").content.decode()
        assert "<h1>Your pictures</h1>" in shown
        assert f'href="/?image={image.pk}"' in shown
        assert f'name="image_id" value="{image.pk}"' in page.get(f"/?image={image.pk}").content.decode()

    def test_only_ones_own_finished_videos_offer_frames(self, page: Client, person: User, stranger: User) -> None:
        mine, waiting, theirs = finished(person, prompt="mine"), factories.job(person), finished(stranger)
        shown = page.get("/create/videos", headers=HTMX).content.decode()
        assert re.findall(r'data-frames="([^"]+)"', shown) == [f"/create/videos/{mine.pk}"]
        answers = [page.get(f"/create/videos/{job.pk}").status_code for job in (mine, waiting, theirs)]
        assert answers == [200, 404, 404]

    @pytest.mark.parametrize(("path", "make"), [("/pictures", factories.source_image), ("/create/videos", finished)])
    def test_a_full_list_asks_as_often_as_a_short_one(self, page: Client, person: User, path: str, make: Any) -> None:
        counts = []
        for count in (1, 29):
            for _ in range(count):
                make(person)
            with CaptureQueriesContext(connection) as queries:
                page.get(path, headers=HTMX)
            counts.append(len(queries))
        assert counts[0] == counts[1]

    @pytest.mark.parametrize("query", ["q=%00", "after=x", "after=-1", "after=99999999999", "q=" + "x+" * 300])
    def test_an_odd_address_still_shows_the_list(self, page: Client, query: str) -> None:
        assert page.get(f"/pictures?{query}").status_code == 200


class TestSeconds:
    def test_seconds_become_the_nearest_frames_that_the_model_makes(self, page: Client, person: User) -> None:
        page.post("/", form(image=upload(), seconds="2.5", fps="20"))
        assert VideoJob.objects.get(owner=person).frames == 50

    def test_they_count_more_than_frames(self, page: Client, person: User) -> None:
        page.post("/", form(image=upload(), seconds="1", num_frames="81"))
        assert VideoJob.objects.get(owner=person).frames == 16

    def test_a_length_that_the_model_does_not_make_is_said_where_the_price_would_stand(self, page: Client) -> None:
        shown = page.post("/create/estimate", {"model": "motion-preview", "seconds": "90"}).content.decode()
        assert "makes 0.0625 to 15 seconds" in shown

    def test_another_model_is_asked_for_as_many_seconds(self, page: Client, settings: Settings) -> None:
        rows.cold_gpu(settings)
        asked = "/create/settings?model=wan-2-2&settings_of=motion-preview&seconds=3&fps=16"
        assert 'name="seconds" value="3.1"' in page.get(asked).content.decode()


class TestBatch:
    def test_pictures_by_prompts_by_seeds_become_one_batch(self, page: Client, person: User) -> None:
        images = [factories.source_image(person) for _ in range(2)]
        answer = page.post(
            "/",
            form(image_id=[image.pk for image in images], prompt="zoom in", prompts=["pan left", " "], variations="2"),
        )
        batch = Batch.objects.get(owner=person)
        assert answer.headers["Location"] == f"/library?batch={batch.pk}"
        made = [(job.image_id, job.prompt) for job in VideoJob.objects.filter(batch=batch).order_by("created_at")]
        wanted = [(image.pk, text) for image in images for text in ("zoom in", "pan left") for _ in range(2)]
        assert sorted(made, key=str) == sorted(wanted, key=str)
        assert len(set(VideoJob.objects.values_list("seed", flat=True))) == 8

    def test_one_of_everything_is_one_video_without_a_batch(self, page: Client, person: User) -> None:
        answer = page.post("/", form(image=upload(), prompts=[""], variations="1"))
        assert answer.headers["Location"] == f"/jobs/{VideoJob.objects.get(owner=person).pk}"
        assert not Batch.objects.exists()

    def test_every_picture_is_cut_around_its_own_focus(self, page: Client, person: User) -> None:
        images = [factories.source_image(person) for _ in range(2)]
        page.post("/", form(image_id=[i.pk for i in images], focus_x=["0.2", "0.9"], focus_y=["0.3", ""]))
        focus = {job.image_id: (job.focus_x, job.focus_y) for job in VideoJob.objects.all()}
        assert focus == {images[0].pk: (0.2, 0.3), images[1].pk: (0.9, 0.5)}

    def test_several_files_without_scripts_are_several_pictures(self, page: Client, person: User) -> None:
        files = [upload(), SimpleUploadedFile("dog.png", factories.png(64, 64), "image/png")]
        page.post("/", form(image=files))
        assert {str(job.image) for job in VideoJob.objects.filter(owner=person)} == {"cat.png", "dog.png"}

    @pytest.mark.parametrize(
        "values",
        [
            {"focus_x": ["nan", "0.5"]},
            {"focus_y": ["0.5", "1.5"]},
            {"variations": "0"},
            {"variations": "9"},
            {"prompts": ["x" * 2001]},
            {"prompts": ["bell \x07"]},
        ],
    )
    def test_what_is_wrong_with_one_of_them_makes_none(self, page: Client, values: dict[str, Any]) -> None:
        answer = page.post("/", form(image=upload(), **values))
        assert (answer.status_code, VideoJob.objects.count(), Batch.objects.count()) == (422, 0, 0)

    def test_too_many_are_refused_with_their_number(self, page: Client, person: User) -> None:
        images = [factories.source_image(person).pk for _ in range(9)]
        answer = page.post("/", form(image_id=images, variations="8"))
        assert 400 <= answer.status_code < 500
        assert "72 videos at once; at most 64" in answer.content.decode()
        assert not VideoJob.objects.exists()

    def test_a_strangers_picture_among_ones_own_makes_none(self, page: Client, person: User, stranger: User) -> None:
        ids = [factories.source_image(person).pk, factories.source_image(stranger).pk]
        answer = page.post("/", form(image_id=ids))
        assert (answer.status_code, VideoJob.objects.count()) == (422, 0)
        assert "That picture is gone" in answer.content.decode()

    def test_number_total_and_time_are_told_before_the_click(
        self, page: Client, person: User, settings: Settings
    ) -> None:
        rows.cold_gpu_and_cloud(settings)
        ids = [factories.source_image(person).pk for _ in range(3)]
        wish = {"model": "wan-cloud", "image_id": ids, "prompt": "a", "prompts": ["b"], "variations": "2"}
        shown = re.sub(r"\s+", " ", page.post("/create/estimate", wish).content.decode())
        assert "12 videos · at most $4.80 · about" in shown
        assert "Create 12 videos · at most $4.80" in shown

    def test_a_larger_batch_asks_no_more_often(self, page: Client, person: User) -> None:
        counts = []
        page.post("/create/estimate", {"model": "motion-preview"})  # what is remembered is remembered
        for count in (2, 20):
            ids = [factories.source_image(person).pk for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                page.post("/create/estimate", {"model": "motion-preview", "image_id": ids})
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestContinuing:
    def test_an_address_says_which_video_goes_on_and_the_job_keeps_it(self, page: Client, person: User) -> None:
        job, image = finished(person), factories.source_image(person)
        shown = page.get(f"/?image={image.pk}&continues={job.pk}&continues_frame=16").content.decode()
        assert f'name="continues" value="{job.pk}"' in shown
        page.post("/", form(image_id=image.pk, continues=job.pk, continues_frame="16"))
        made = VideoJob.objects.get(continues=job)
        assert (made.image, made.continues_frame) == (image, 16)

    def test_only_the_first_picture_of_a_batch_goes_on(self, page: Client, person: User) -> None:
        job, images = finished(person), [factories.source_image(person) for _ in range(2)]
        page.post("/", form(image_id=[i.pk for i in images], continues=job.pk, continues_frame="3"))
        assert [made.image for made in VideoJob.objects.filter(continues=job)] == [images[0]]

    @pytest.mark.parametrize("whose", ["a stranger's", "nobody's"])
    def test_a_video_that_is_not_ones_own_is_not_continued(
        self, page: Client, person: User, stranger: User, whose: str
    ) -> None:
        pk = finished(stranger).pk if whose == "a stranger's" else NOBODY
        assert f'value="{pk}"' not in page.get(f"/?continues={pk}&continues_frame=1").content.decode()
        page.post("/", form(image=upload(), continues=pk, continues_frame="1"))
        assert VideoJob.objects.get(owner=person).continues is None


class TestEndPicture:
    @pytest.fixture
    def ending(self, db: None) -> VideoModel:
        VideoModel.objects.filter(slug="motion-preview").update(takes_end_image=True)
        return factories.preview_model()

    def test_is_offered_and_kept_where_the_model_takes_one(
        self, page: Client, person: User, ending: VideoModel
    ) -> None:
        end = factories.source_image(person)
        assert "Picture to end with" in page.get("/?model=motion-preview").content.decode()
        page.post("/", form(image=upload(), end_image_id=end.pk))
        assert VideoJob.objects.get(owner=person).end_image == end

    def test_is_sent_as_a_file_without_scripts(self, page: Client, person: User, ending: VideoModel) -> None:
        end = SimpleUploadedFile("end.png", factories.png(64, 64), "image/png")
        page.post("/", form(image=upload(), end_image=end))
        assert str(VideoJob.objects.get(owner=person).end_image) == "end.png"

    def test_of_a_stranger_is_refused(self, page: Client, stranger: User, ending: VideoModel) -> None:
        theirs = factories.source_image(stranger)
        answer = page.post("/", form(image=upload(), end_image_id=theirs.pk))
        assert (answer.status_code, VideoJob.objects.count()) == (422, 0)

    def test_is_not_offered_elsewhere(self, page: Client) -> None:
        assert "Picture to end with" not in page.get("/?model=motion-preview").content.decode()


class TestHints:
    def test_a_hint_comes_with_a_button_that_works_without_scripts(self, page: Client) -> None:
        prompt = "Image of a dog that runs, camera pans left, no cats"
        shown = page.post("/create/hints", {"prompt": prompt, "model": "motion-preview"}).content.decode()
        changes = [parse_qs(html.unescape(text)) for text in re.findall(r'name="apply" value="([^"]+)"', shown)]
        moved = {"prompt": ["Image of a dog that runs, camera pans left"], "negative_prompt": ["cats"]}
        assert moved in changes
        again = page.post(
            "/", form(prompt=prompt, apply="prompt=A+dog&negative_prompt=cats", settings_of="motion-preview")
        )
        assert ">A dog</textarea>" in again.content.decode()
        assert ">cats</textarea>" in again.content.decode()

    def test_what_the_model_reads_is_considered(self, page: Client) -> None:
        VideoModel.objects.filter(slug="motion-preview").update(prompt_reads_chars=20)
        asked = {"prompt": "The camera pushes in slowly to the door", "model": "motion-preview"}
        assert "reads about 20 characters" in page.post("/create/hints", asked).content.decode()

    def test_no_phrase_of_the_chips_is_remarked_upon(self) -> None:
        phrases = [move.phrase for group in groups() for move in group.moves]
        assert len(phrases) == len({phrase.lower() for phrase in phrases})
        assert not [one for one in phrases for other in phrases if one != other and one in other]


class TestWithoutScripts:
    def test_a_prompt_is_added_and_a_picture_removed_and_the_rest_stays(self, page: Client, person: User) -> None:
        first, second = factories.source_image(person), factories.source_image(person)
        given = form(image_id=[first.pk, second.pk], focus_x=["0.1", "0.8"], prompts=["pan left"], action="add_prompt")
        shown = page.post("/", given).content.decode()
        assert shown.count('name="prompts"') == 2 + 1  # and the one that scripts copy
        removed = page.post("/", form(image_id=[first.pk, second.pk], focus_x=["0.1", "0.8"], remove=first.pk))
        content = removed.content.decode()
        assert re.findall(r'name="image_id" value="([^"]*)"', content) == [str(second.pk), ""]
        assert 'name="focus_x" value="0.8"' in content
        assert not VideoJob.objects.exists()


class TestDraft:
    def test_the_browser_hears_that_what_it_kept_was_sent(self, page: Client) -> None:
        answer = page.post("/", form(image=upload(), draft="abc123"))
        assert answer.cookies["i2v_sent"].value == "abc123"

    @pytest.mark.parametrize(
        "values", [{"draft": "a b"}, {"draft": "x" * 41}, {"draft": ""}, {"draft": "a", "prompt": ""}]
    )
    def test_but_not_of_what_was_refused_or_is_no_mark(self, page: Client, values: dict[str, str]) -> None:
        assert "i2v_sent" not in page.post("/", form(image=upload(), **values)).cookies

    def test_only_an_untouched_form_is_filled_from_what_the_browser_kept(self, page: Client, person: User) -> None:
        job = factories.job(person, status=Status.QUEUED)
        fresh = [" data-fresh" in page.get(path).content.decode() for path in ("/", f"/?from={job.pk}")]
        assert fresh == [True, False]
        assert " data-fresh" not in page.post("/", form()).content.decode()


@pytest.mark.parametrize(
    ("width", "height", "name"),
    [
        (832, 480, "16:9"),
        (480, 832, "9:16"),
        (640, 640, "1:1"),
        (1280, 720, "16:9"),
        (960, 640, "3:2"),
        (640, 208, "40:13"),
    ],
)
def test_sizes_are_called_by_their_usual_shape(width: int, height: int, name: str) -> None:
    assert SizeChoice(f"{width}x{height}", width, height).aspect == name
