"""The visible label: who decides, what is drawn, and what the signed mark says of it."""

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import c2pa
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from generation.models import Preferences, Provider, VideoJob
from generation.services import jobs, labels, rights
from generation.services.intake import store_picture
from generation.services.jobs import JobRequest
from generation.services.media import check_video, derive
from generation.services.outputs import store
from generation.services.provenance import verify
from tests import factories
from tests.generation.test_media import video
from tests.generation.test_outputs import job_of, storing


def corner(path: Path) -> Any:
    """How much brightness differs in the lower right quarter of each frame; an even picture: not at all."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [float(np.ptp(frame[frame.shape[0] * 3 // 4 :, frame.shape[1] // 2 :])) for frame in frames]


def labelled(tmp_path: Path, **values: Any) -> Path:
    path = video(tmp_path / "v.mp4", **values)
    derive(path, poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4", label=labels.GENERATED)
    return path


@pytest.mark.parametrize("size", [(320, 240), (64, 64), (480, 832)])
def test_the_label_is_in_every_frame_and_the_video_keeps_its_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    path = labelled(tmp_path, width=size[0], height=size[1], rate="30000/1001")

    facts = check_video(path)
    assert (facts.width, facts.height, facts.frames, round(facts.fps, 2)) == (*size, 32, 29.97)
    assert min(corner(path)) > 60
    assert min(corner(tmp_path / "l.mp4")) > 20
    assert not (tmp_path / "v.labelled.mp4").exists()


def test_outside_of_the_label_the_picture_stays_as_it_is(tmp_path: Path) -> None:
    with av.open(str(labelled(tmp_path))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    for number in (0, 15, 31):
        assert abs(int(frames[number][:120].mean()) - number * 5 % 256) <= 3


def test_sound_is_carried_over(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as out:
        moving: Any = out.add_stream("libx264", rate=16)
        moving.width, moving.height, moving.pix_fmt = 128, 96, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000)
        for _ in range(16):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), format="rgb24")
            out.mux(moving.encode(frame))
        tone = av.AudioFrame.from_ndarray(np.ones((1, 16000), np.float32) * 0.1, format="fltp", layout="mono")
        tone.sample_rate = 16000
        out.mux(sound.encode(tone))
        out.mux(moving.encode(None))
        out.mux(sound.encode(None))
    derive(tmp_path / "v.mp4", poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4", label=labels.PREVIEW)

    with av.open(str(tmp_path / "v.mp4")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 16000


@pytest.mark.parametrize(("provider", "words"), [("preview", labels.PREVIEW), ("swarmui", labels.GENERATED)])
def test_a_stored_video_shows_its_label_and_its_mark_says_so(
    person: User, tmp_path: Path, settings: Settings, provider: str, words: str
) -> None:
    settings.PROVENANCE, settings.DATA_DIR = True, tmp_path / "data"
    model = factories.preview_model() if provider == Provider.PREVIEW else factories.wan_model()
    spooled = video(tmp_path / "v.mp4").read_bytes()
    attempt = storing(person, spooled=spooled, visible_label=True, model=model)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    stored = Path(default_storage.path(job.video_key))
    assert (job.status, verify(stored).intact, min(corner(stored)) > 60) == ("succeeded", True, True)
    with stored.open("rb") as file, c2pa.Reader("video/mp4", file) as reader:
        assert f"The visible label “{words}” was drawn into it" in reader.json()


def test_without_provenance_the_digest_is_of_the_labelled_file(
    person: User, tmp_path: Path, settings: Settings
) -> None:
    settings.PROVENANCE = False
    attempt = storing(person, spooled=video(tmp_path / "v.mp4").read_bytes(), visible_label=True)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    assert job.video_bytes == default_storage.size(job.video_key)
    with default_storage.open(job.video_key) as file:
        assert hashlib.sha256(file.read()).hexdigest() == job.video_sha256


@pytest.mark.parametrize(("setting", "asked", "drawn"), [
    ("off", True, False), ("optional", True, True), ("optional", False, False), ("always", False, True),
])  # fmt: skip
def test_the_operator_settles_whether_people_may_decide(
    person: User, settings: Settings, setting: str, asked: bool, drawn: bool
) -> None:
    settings.VISIBLE_LABEL = setting
    request = JobRequest(prompt="zoom in", image=factories.source_image(person), visible_label=asked)

    assert jobs.submit_job(owner=person, request=request).visible_label is drawn


def test_a_program_that_says_nothing_gets_what_its_person_has_set(api: APIClient, person: User) -> None:
    api.patch("/api/preferences", {"visible_label": True}, format="json")
    wish = {"image_id": str(factories.source_image(person).pk), "prompt": "zoom in"}
    api.post("/api/jobs", wish, format="json")
    api.post("/api/jobs", wish | {"visible_label": False}, format="json")

    assert list(VideoJob.objects.order_by("created_at").values_list("visible_label", flat=True)) == [True, False]


def test_the_label_is_a_box_of_the_preferences_page_unless_the_operator_settled_it(
    client: Client, person: User, settings: Settings
) -> None:
    client.force_login(person)
    client.post("/settings/preferences", {"rule": "ask", "mail": "off", "visible_label": "on"})
    assert Preferences.objects.get(person=person).visible_label
    assert b'name="visible_label" checked' in client.get("/settings/preferences").content

    settings.VISIBLE_LABEL = "off"
    client.post("/settings/preferences", {"rule": "ask", "mail": "off"})
    assert Preferences.objects.get(person=person).visible_label
    assert b"visible_label" not in client.get("/settings/preferences").content


def test_the_statement_is_kept_with_each_picture_that_is_used(person: User) -> None:
    first, last, other = (factories.source_image(person) for _ in range(3))
    said = {"rights_version": "2026-11", "rights_confirmed_at": timezone.now()}
    job = factories.job(person, image=first, end_image=last, **said)
    rights.note_on_pictures(job)

    for picture in (first, last):
        picture.refresh_from_db()
        assert (picture.rights_version, picture.rights_confirmed_at) == ("2026-11", job.rights_confirmed_at)
    other.refresh_from_db()
    assert (other.rights_version, other.rights_confirmed_at) == ("", None)


def test_submitting_keeps_the_statement_with_the_picture_in_the_same_transaction(person: User) -> None:
    picture = factories.source_image(person)
    job = jobs.submit_job(owner=person, request=JobRequest(prompt="in", image=picture, rights_version="2026-11"))

    picture.refresh_from_db()
    assert picture.rights_confirmed_at == job.rights_confirmed_at


def test_an_older_statement_does_not_replace_a_newer_one(person: User) -> None:
    picture = factories.source_image(person, rights_version="2027-01", rights_confirmed_at=timezone.now())
    before = timezone.now() - timedelta(days=9)
    said = {"rights_version": "2026-11", "rights_confirmed_at": before}
    old = factories.job(person, image=picture, status="cancelled", **said)
    jobs.retry_job(job=old)

    picture.refresh_from_db()
    assert picture.rights_version == "2027-01"


def test_a_picture_used_without_a_statement_has_none(person: User) -> None:
    picture = store_picture(owner=person, file=io.BytesIO(factories.png()))
    jobs.submit_job(owner=person, request=JobRequest(prompt="zoom in", image=picture))

    picture.refresh_from_db()
    assert (picture.rights_version, picture.rights_confirmed_at) == ("", None)


@pytest.mark.parametrize(("said", "version"), [({"rights_confirmed": True}, rights.RIGHTS_VERSION), ({}, "")])
@pytest.mark.parametrize("path", ["jobs", "swarmui/generate-video", "batches"])
def test_a_program_may_confirm_the_statement_and_else_nothing_is_kept(
    api: APIClient, person: User, path: str, said: dict[str, bool], version: str
) -> None:
    picture, words = factories.source_image(person), "zoom in"
    one = {"image_id": str(picture.pk), "prompt": words}
    body = {"image_ids": [str(picture.pk)], "prompts": [words]} if path == "batches" else one
    answer = api.post(f"/api/{path}", body | {"model": "motion-preview"} | said, format="json")
    assert answer.status_code in (201, 202), answer.content

    job = VideoJob.objects.get()
    picture.refresh_from_db()
    assert (job.rights_version, picture.rights_version) == (version, version)
    assert (job.rights_confirmed_at, job.rights_confirmed_at is not None) == (
        picture.rights_confirmed_at,
        bool(version),
    )


def test_what_a_program_thinks_of_only_is_confirmed_nowhere(api: APIClient, person: User) -> None:
    picture = factories.source_image(person)
    wish = {"image_id": str(picture.pk), "prompt": "in", "rights_confirmed": True}
    for path, more in (("jobs", {"dry_run": True}), ("estimate", {})):
        assert api.post(f"/api/{path}", wish | more, format="json").status_code == 200

    picture.refresh_from_db()
    assert picture.rights_version == ""
