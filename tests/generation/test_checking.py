"""The public check of a file: what is told of ours, of changed and foreign ones, and of what is no file at all."""

import io
import os
from pathlib import Path
from typing import Any

import av
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.models import Blocked, Provider, VideoJob
from generation.services.outputs import store
from tests import factories
from tests.generation.test_fingerprints import scene
from tests.generation.test_media import video
from tests.generation.test_outputs import job_of, storing


@pytest.fixture(autouse=True)
def signing(settings: Settings, tmp_path: Path) -> None:
    settings.PROVENANCE, settings.DATA_DIR = True, tmp_path / "data"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return scene(tmp_path_factory.mktemp("scene") / "v.mp4").read_bytes()


@pytest.fixture
def ours(person: User, content: bytes) -> VideoJob:
    attempt = storing(person, spooled=content, model=factories.wan_model(), prompt="a secret wish")
    type(attempt).objects.filter(pk=attempt.pk).update(engine=Provider.SWARMUI)
    store(attempt_id=str(attempt.pk))
    return job_of(attempt)


def bytes_of(job: VideoJob) -> bytes:
    with default_storage.open(job.video_key) as file:
        return bytes(file.read())


def told(content: bytes, name: str = "v.mp4") -> dict[str, Any]:
    file = SimpleUploadedFile(name, content)
    answer = APIClient().post("/api/check", {"file": file}, format="multipart")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_our_own_file_is_known_signed_and_said_to_be_by_ai(ours: VideoJob) -> None:
    answer = told(bytes_of(ours))

    assert answer["made_here"] == {"on": f"{ours.finished_at:%Y-%m-%d}", "by_ai": True, "is_clip": False}
    marks = answer["credentials"]
    assert (marks["present"], marks["intact"], marks["trusted"], answer["knows_nothing"]) == (True, True, True, False)


def test_one_changed_byte_breaks_the_mark_and_the_look_still_tells(ours: VideoJob) -> None:
    changed = bytearray(bytes_of(ours))
    changed[-1] ^= 1
    answer = told(bytes(changed))

    assert (answer["made_here"], answer["credentials"]["intact"]) == (None, False)
    assert len(answer["looks_like"]) == 1


def test_a_copy_that_was_saved_again_has_no_mark_and_looks_like_ours(ours: VideoJob, tmp_path: Path) -> None:
    answer = told(scene(tmp_path / "copy.mp4", width=208, height=160, crf=34).read_bytes())

    assert (answer["made_here"], answer["credentials"]["present"]) == (None, False)
    assert [one["by_ai"] for one in answer["looks_like"]] == [True]


def test_a_frame_of_ours_as_a_picture_looks_like_it(ours: VideoJob, content: bytes) -> None:
    out = io.BytesIO()
    container: Any
    with av.open(io.BytesIO(content)) as container:
        next(container.decode(video=0)).to_image().save(out, "JPEG", quality=80)
    answer = told(out.getvalue(), "frame.jpg")

    assert (answer["media"], len(answer["looks_like"]), answer["made_here"]) == ("picture", 1, None)


@pytest.mark.django_db
def test_a_foreign_file_is_not_known_and_that_proves_nothing(client: Client, tmp_path: Path) -> None:
    foreign = video(tmp_path / "v.mp4").read_bytes()

    assert told(foreign)["knows_nothing"]
    page = client.post("/check", {"file": SimpleUploadedFile("v.mp4", foreign)})
    assert (page.status_code, "That proves nothing" in page.content.decode()) == (200, True)


def test_a_file_that_was_taken_down_is_said_to_be(client: Client, ours: VideoJob) -> None:
    content = bytes_of(ours)
    Blocked.objects.create(sha256=ours.video_sha256)

    assert told(content)["taken_down"]
    page = client.post("/check", {"file": SimpleUploadedFile("v.mp4", content)}).content.decode()
    assert "This file was taken down here" in page


def test_nothing_personal_is_told(client: Client, ours: VideoJob) -> None:
    file = SimpleUploadedFile("v.mp4", bytes_of(ours))
    page = client.post("/check", {"file": file}).content.decode()

    assert "Made here, by AI" in page
    assert not any(word in page for word in ("secret wish", "ada", str(ours.pk)))


@pytest.mark.django_db
@pytest.mark.parametrize(("content", "code"), [
    (b"", "invalid"), (b"hello", "unsupported_type"), (b"%PDF-1.7", "unsupported_type"),
])  # fmt: skip
def test_what_is_no_video_or_picture_is_refused_in_a_sentence(content: bytes, code: str) -> None:
    answer = APIClient().post("/api/check", {"file": SimpleUploadedFile("x", content)}, format="multipart")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.django_db
@pytest.mark.parametrize("head", [b"\0\0\0\x18ftypisom", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFFxxxxWEBP"])
def test_garbage_behind_a_good_beginning_is_simply_not_known(head: bytes) -> None:
    answer = told(head + os.urandom(5000))

    assert (answer["knows_nothing"], answer["looks_like"]) == (True, [])


@pytest.mark.django_db
def test_a_huge_file_is_refused_by_its_announced_length_and_by_its_bytes(client: Client, settings: Settings) -> None:
    settings.CHECK_MAX_BYTES = 100_000
    huge = b"\0\0\0\x18ftyp" + bytes(900_000)
    assert client.post("/check", {"file": SimpleUploadedFile("v.mp4", huge)}).status_code == 413
    asked = APIClient().post("/api/check", {"file": SimpleUploadedFile("v.mp4", huge)}, format="multipart")
    assert asked.status_code == 413

    a_little = {"file": SimpleUploadedFile("v.mp4", b"\0\0\0\x18ftyp" + bytes(200_000))}
    answer = client.post("/check", a_little)
    assert (answer.status_code, "too big" in answer.content.decode()) == (422, True)
    assert list(settings.SPOOL_DIR.iterdir()) == []


@pytest.mark.django_db
def test_without_a_file_the_page_asks_for_one(client: Client) -> None:
    assert client.post("/check").status_code == 422
    assert client.get("/check").status_code == 200


@pytest.mark.django_db
def test_one_address_may_not_check_without_end(client: Client, settings: Settings) -> None:
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] | {"check": "2/min"}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": rates}
    codes = [client.post("/check").status_code for _ in range(3)]

    assert codes == [422, 422, 429]
    assert APIClient().post("/api/check", {}, format="multipart").status_code == 429


def test_a_file_is_not_kept(ours: VideoJob, settings: Settings) -> None:
    before = sorted(Path(default_storage.path("")).rglob("*"))
    told(bytes_of(ours))

    assert sorted(Path(default_storage.path("")).rglob("*")) == before
    assert list(settings.SPOOL_DIR.iterdir()) == []
