"""Knowing our files again: by their digest, and by how they look after another size and encoding."""

from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from pytest_django import Settings
from pytest_django.fixtures import DjangoAssertNumQueries

from generation.models import Fingerprint, Status
from generation.services import fingerprints, looks
from generation.services.media import check_video
from generation.services.outputs import store
from tests import factories
from tests.generation.test_media import video
from tests.generation.test_outputs import job_of, storing


def scene(path: Path, *, seed: int = 1, width: int = 320, height: int = 240, frames: int = 24, crf: int = 20) -> Path:
    """A video of coarse patches that move: other seeds look different, other sizes and qualities look the same."""
    patches = np.random.default_rng(seed).integers(0, 255, (9, 32), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(16))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": str(crf)}
        for number in range(frames):
            part = patches[:, number // 4 : number // 4 + 12]
            grey = np.kron(part, np.ones((30, 30), np.uint8))[:240, :320]
            frame = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, axis=2), format="rgb24")
            out.mux(stream.encode(frame.reformat(width, height, "yuv420p")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("scene") / "v.mp4")


def remembered(path: Path, owner: User, **values: Any) -> Fingerprint:
    job = factories.job(owner)
    return fingerprints.remember(key=f"out/{job.pk}/v.mp4", path=path, sha256="a" * 64, job=job, **values)


def test_a_look_is_written_as_those_that_are_stored() -> None:
    """One bit for each of 8 x 8 steps to the right that becomes brighter, row by row."""
    brighter, darker, even = range(0, 90, 10), range(90, 0, -10), [50] * 9
    up_and_down = [0, 20, 0, 20, 0, 20, 0, 20, 0]
    rows = [brighter, darker, up_and_down, even, brighter, even, even, darker]

    assert looks.look_of_grey([grey for row in rows for grey in row]) == "ff00aa00ff000000"


def test_five_looks_are_kept_of_a_video_and_fewer_of_a_shorter_one(original: Path, tmp_path: Path) -> None:
    assert len(check_video(original).looks) == 5
    assert len(check_video(scene(tmp_path / "v.mp4", frames=3)).looks) == 3


def test_a_smaller_and_coarser_copy_is_found_and_another_video_is_not(
    person: User, original: Path, tmp_path: Path
) -> None:
    kept = remembered(original, person)
    copy = check_video(scene(tmp_path / "copy.mp4", width=208, height=160, crf=34))
    other = check_video(scene(tmp_path / "other.mp4", seed=2))

    assert [found.fingerprint for found in fingerprints.similar(copy.looks)] == [kept]
    assert fingerprints.similar(other.looks) == []


def test_one_frame_of_a_video_is_found_as_a_picture(person: User, original: Path) -> None:
    kept = remembered(original, person)
    with av.open(str(original)) as container:
        frame = next(container.decode(video=0)).to_image()

    assert [found.fingerprint for found in fingerprints.similar([looks.look_of_image(frame)])] == [kept]


def test_the_nearest_come_first_and_no_more_than_asked(
    person: User, original: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    mine = check_video(original).looks
    changed = [f"{int(look, 16) ^ 7:016x}" for look in mine]
    far = remembered(original, person, looks=changed)
    near = remembered(original, person, looks=mine)
    remembered(original, person, looks=changed)

    with django_assert_num_queries(2):
        found = fingerprints.similar(mine, limit=2)
    assert [one.fingerprint for one in found] == [near, far]


def test_even_pictures_are_like_nothing(person: User, tmp_path: Path) -> None:
    plain = video(tmp_path / "plain.mp4")
    remembered(plain, person)

    facts = check_video(plain)
    assert fingerprints.similar(facts.looks) == []
    assert not looks.is_same(facts.looks, facts.looks)


def test_identical_is_the_same_bytes_or_the_same_looks_whatever_is_known_of_the_file(person: User) -> None:
    mine, other = ["1e1e0f0f33335555"] * 5, ["fedcba9876543210"] * 5

    def known(sha256: str, looks: list[str]) -> Fingerprint:
        job = factories.job(person)
        return fingerprints.remember(key=f"out/{job.pk}.mp4", path=Path("x"), sha256=sha256, job=job, looks=looks)

    first, same_looks, same_bytes = known("a" * 64, mine), known("b" * 64, mine), known("a" * 64, [])
    known("c" * 64, other)

    for about in ({"job": first.job}, {"sha256": "a" * 64}):
        assert set(fingerprints.identical(**about)) == {first, same_looks, same_bytes}
    assert fingerprints.identical(sha256="d" * 64) == []


def test_a_file_that_is_no_mp4_is_known_by_its_digest_alone(person: User, tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")

    assert remembered(tmp_path / "a.gif", person).looks == []


def test_remembering_a_file_again_changes_its_one_row(person: User, original: Path) -> None:
    first = remembered(original, person)
    fingerprints.remember(key=first.key, path=original, sha256="b" * 64, job=first.job)

    assert Fingerprint.objects.get().sha256 == "b" * 64


def test_a_stored_video_is_remembered_as_it_left_us(person: User, original: Path, settings: Settings) -> None:
    settings.PROVENANCE = True
    attempt = storing(person, spooled=original.read_bytes())
    store(attempt_id=str(attempt.pk))

    job, row = job_of(attempt), Fingerprint.objects.get()
    assert (row.job, row.key, row.sha256) == (job, job.video_key, job.video_sha256)
    assert row.looks == check_video(original).looks


def test_videos_older_than_fingerprints_catch_up_and_those_without_a_file_are_named(
    person: User, original: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, gone = (factories.job(person, status=Status.SUCCEEDED, video_key=f"out/{name}.mp4") for name in "ab")
    factories.job(person)
    default_storage.save(old.video_key, ContentFile(original.read_bytes()))

    for remembered_now in ("1 of 2", "0 of 1"):
        call_command("fingerprint")
        told = capsys.readouterr()
        assert f"{remembered_now} videos" in told.out
        assert told.err == f"{gone.pk}: its file is gone.\n"

    row = Fingerprint.objects.get()
    assert (row.job, row.key, row.sha256) == (old, old.video_key, sha256(original.read_bytes()).hexdigest())
    assert row.looks == check_video(original).looks
