"""A frame of a finished video becomes one of its person's pictures, exactly."""

import io
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from PIL import Image

from generation.errors import FrameRefused, NoVideo
from generation.models import SourceImage, Status, VideoJob
from generation.services.deleting import delete_job
from generation.services.frames import take_frame
from generation.services.intake import store_picture
from tests import factories
from tests.generation.numbered import film, finished, grey_of

COUNT = 40


@pytest.fixture(scope="module")
def content() -> bytes:
    return film([grey_of(number) for number in range(COUNT)], keyframes=10)


def grey(image: SourceImage) -> int:
    with default_storage.open(image.key) as file, Image.open(file) as picture:
        return int(picture.convert("L").getpixel((48, 32)))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1, 9, 10, 23, 39])
def test_exactly_the_frame_that_was_asked_for_is_kept(person: User, content: bytes, number: int) -> None:
    image = take_frame(owner=person, job=finished(person, content), frame=number)

    assert abs(grey(image) - grey_of(number)) <= 3
    assert (image.width, image.height, image.content_type, image.from_frame) == (96, 64, "image/png", number)
    assert default_storage.exists(image.thumbnail_key)


def test_without_a_number_it_is_the_last_one_and_says_of_which_video(person: User, content: bytes) -> None:
    now = timezone.now()
    job = finished(person, content, prompt="a fox/dog runs", rights_version="2026-11", rights_confirmed_at=now)
    image = take_frame(owner=person, job=job)

    assert (image.from_job, image.from_frame, image.name) == (job, COUNT - 1, "Frame 40 of a fox dog runs")
    assert (image.rights_version, image.rights_confirmed_at) == ("2026-11", now)
    assert abs(grey(image) - grey_of(COUNT - 1)) <= 3


def test_the_same_frame_twice_is_one_picture(person: User, content: bytes) -> None:
    job = finished(person, content)
    first, second = (take_frame(owner=person, job=job, frame=5) for _ in range(2))

    assert first == second
    assert SourceImage.objects.filter(from_job=job).count() == 1


def test_a_frame_that_the_person_had_as_a_picture_keeps_its_name_and_rights(person: User, content: bytes) -> None:
    job = finished(person, content, rights_version="new", rights_confirmed_at=timezone.now())
    frame = take_frame(owner=person, job=job, frame=5)
    with default_storage.open(frame.key) as file:
        kept = io.BytesIO(file.read())
    frame.delete()
    mine = store_picture(owner=person, file=kept, name="mine.png")
    SourceImage.objects.filter(pk=mine.pk).update(rights_version="old")
    again = take_frame(owner=person, job=job, frame=5)

    assert (again, again.name, again.rights_version) == (mine, "mine.png", "old")


def test_the_frame_stays_when_its_video_is_deleted(person: User, content: bytes) -> None:
    job = finished(person, content)
    image = take_frame(owner=person, job=job, frame=3)
    delete_job(job=job)
    VideoJob.objects.all().delete()

    image.refresh_from_db()
    assert (image.from_job, image.from_frame) == (None, 3)
    assert default_storage.exists(image.key)


def test_a_frame_behind_the_end_is_refused(person: User, content: bytes) -> None:
    with pytest.raises(FrameRefused, match="no frame with this number"):
        take_frame(owner=person, job=finished(person, content), frame=COUNT)


@pytest.mark.parametrize(
    "values", [{"status": Status.RENDERING}, {"hidden_at": timezone.now()}, {"video_key": "out/gone.mp4"}]
)
def test_without_a_video_that_may_be_seen_there_is_no_frame(
    person: User, content: bytes, values: dict[str, object]
) -> None:
    job = finished(person, content)
    VideoJob.objects.filter(pk=job.pk).update(**values)
    job.refresh_from_db()

    with pytest.raises(NoVideo):
        take_frame(owner=person, job=job)
    assert SourceImage.objects.exclude(from_frame=None).count() == 0


class TestPage:
    def test_scripts_get_the_picture_as_json(self, client: Client, person: User, content: bytes) -> None:
        client.force_login(person)
        job = finished(person, content)
        answer = client.post(f"/jobs/{job.pk}/frame", {"frame": 7}, headers={"accept": "*/*"})

        image = SourceImage.objects.get(from_job=job)
        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(image.pk),
            "name": image.name,
            "width": 96,
            "height": 64,
            "thumbnail": f"/pictures/{image.pk}/thumbnail",
            "full": f"/pictures/{image.pk}/full",
        }

    def test_without_scripts_it_leads_to_the_form_that_continues(
        self, client: Client, person: User, content: bytes
    ) -> None:
        client.force_login(person)
        job = finished(person, content)
        answer = client.post(f"/jobs/{job.pk}/frame", headers={"accept": "text/html,*/*;q=0.8"})

        image = SourceImage.objects.get(from_job=job)
        start = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert start == {"image": [str(image.pk)], "continues": [str(job.pk)], "continues_frame": ["39"]}

    @pytest.mark.parametrize(("frame", "status"), [("40", 400), ("-1", 400), ("x", 400)])
    def test_a_frame_that_is_none_is_refused_with_a_sentence(
        self, client: Client, person: User, content: bytes, frame: str, status: int
    ) -> None:
        client.force_login(person)
        job = finished(person, content)
        answer = client.post(f"/jobs/{job.pk}/frame", {"frame": frame}, headers={"accept": "application/json"})

        assert answer.status_code == status
        assert "no frame" in answer.json()["error"]["message"]
        assert SourceImage.objects.filter(from_job=job).count() == 0

    def test_somebody_elses_video_is_not_there(self, client: Client, stranger: User, content: bytes) -> None:
        client.force_login(stranger)
        job = finished(factories.person("bob"), content)

        assert client.post(f"/jobs/{job.pk}/frame").status_code == 404
        assert client.post(f"/jobs/{uuid.uuid4()}/frame").status_code == 404
