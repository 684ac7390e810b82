"""Many videos as one ZIP: whole, named, harmless, and never whole in memory."""

import csv
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from generation.models import Status, VideoJob
from generation.services import packing, stored_files
from generation.services.library import add_tags
from tests import factories
from tests.generation.test_storage_s3 import bucket, s3_url  # noqa: F401 (fixtures)
from tests.web import ROOT, running_web

PIECE = stored_files.PIECE_BYTES


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def stored(owner: User, content: bytes = b"a film", **values: Any) -> VideoJob:
    job = factories.job(owner, status=Status.SUCCEEDED, video_key="x", video_bytes=len(content), progress=1, **values)
    job.video_key = f"out/{job.pk}/1.mp4"
    job.save()
    default_storage.save(job.video_key, ContentFile(content))
    return job


def fetched(page: Client, *jobs: VideoJob) -> zipfile.ZipFile:
    answer: Any = page.post("/library/zip", {"ids": [str(job.pk) for job in jobs]})
    assert answer.headers["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def table(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read("videos.csv").decode("utf-8-sig"))))


def test_videos_come_out_of_a_bucket_piece_by_piece_and_one_that_is_gone_is_named(
    bucket: Any,  # noqa: F811 (the fixture)
    page: Client,
    person: User,
) -> None:
    content = os.urandom(3 * PIECE + 17)
    whole, gone = stored(person, content, prompt="whole"), stored(person, prompt="gone")
    bucket.Object(gone.video_key).delete()
    archive = fetched(page, whole, gone)

    rows = {row["id"]: row for row in table(archive)}
    assert archive.read(rows[str(whole.pk)]["file"]) == content
    assert [rows[str(job.pk)]["problem"] for job in (whole, gone)] == ["", "The file is gone."]


def test_videos_stand_in_it_under_good_names_with_what_made_them(page: Client, person: User) -> None:
    first, second = stored(person, b"one", prompt="Slow zoom: in!", seed=7), stored(person, b"two", prompt="läuft")
    add_tags(owner=person, ids=[first.pk], names=["keep"])
    archive = fetched(page, first, second)
    assert archive.testzip() is None
    assert archive.namelist() == ["slow-zoom-in-7.mp4", "lauft-7.mp4", "videos.csv"]
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert archive.read("slow-zoom-in-7.mp4") == b"one"
    assert [(row["file"], row["prompt"], row["seed"], row["tags"], row["problem"]) for row in table(archive)] == [
        ("slow-zoom-in-7.mp4", "Slow zoom: in!", "7", "keep", ""),
        ("lauft-7.mp4", "läuft", "7", "", ""),
    ]


@pytest.mark.parametrize("prompt", ["../../etc/passwd", "..\\evil", "\u202egnp.exe", "CON", "🦊", "a/b", "." * 80])
def test_no_prompt_makes_a_dangerous_or_an_equal_name(page: Client, person: User, prompt: str) -> None:
    names = fetched(page, stored(person, prompt=prompt), stored(person, prompt=prompt)).namelist()
    assert len(set(names)) == 3
    assert all(name.isascii() and not set(name) & set('/\\:*?"<>|') and not name.startswith(".") for name in names)


def test_a_prompt_is_no_formula_in_the_table(page: Client, person: User) -> None:
    assert table(fetched(page, stored(person, prompt="=cmd|calc")))[0]["prompt"] == "'=cmd|calc"


def test_a_vanished_file_is_noted_and_breaks_nothing(page: Client, person: User) -> None:
    jobs = [stored(person, bytes([number]) * 10, seed=number) for number in range(3)]
    default_storage.delete(jobs[1].video_key)
    archive = fetched(page, *jobs)
    assert archive.testzip() is None
    assert [row["problem"] for row in table(archive)] == ["", "The file is gone.", ""]
    assert archive.read("slow-zoom-in-2.mp4") == b"\x02" * 10


def test_a_file_that_breaks_off_is_noted(page: Client, person: User) -> None:
    job = stored(person, b"half")
    VideoJob.objects.filter(pk=job.pk).update(video_bytes=8)
    assert "broke off" in table(fetched(page, job))[0]["problem"]


def test_only_ones_own_finished_videos_that_may_be_seen_are_in_it(page: Client, person: User, stranger: User) -> None:
    mine, waiting, theirs = stored(person), factories.job(person), stored(stranger)
    hidden = stored(person, hidden_at=timezone.now())
    assert len(table(fetched(page, mine, waiting, theirs, hidden))) == 1
    refused = page.post("/library/zip", {"ids": [str(theirs.pk), str(hidden.pk)]}, follow=True)
    assert "nothing to pack" in refused.content.decode()


def test_too_many_and_too_large_are_refused_with_the_limit(
    page: Client, person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored(person)
    ids = ",".join([str(job.pk), *(f"00000000-0000-0000-0000-{number:012}" for number in range(200))])
    assert "At most 200 videos" in page.get(f"/library/zip?ids={ids}", follow=True).content.decode()
    VideoJob.objects.filter(pk=job.pk).update(video_bytes=packing.MAX_BYTES + 1)
    assert "at most 4.0" in page.get(f"/library/zip?ids={job.pk}", follow=True).content.decode()


def test_no_more_than_a_piece_is_read_before_the_one_before_it_was_taken(page: Client, person: User) -> None:
    job = stored(person, b"x" * (20 * PIECE))
    answer: Any = page.post("/library/zip", {"ids": [str(job.pk)]})
    pieces: Iterator[bytes] = iter(answer.streaming_content)
    sizes = [len(next(pieces)) for _ in range(10)]
    assert max(sizes) <= PIECE
    default_storage.delete(job.video_key)  # an open file stays readable; nothing else was read ahead
    assert sum(sizes) + sum(len(piece) for piece in pieces) > 20 * PIECE


MAKE_TWO_VIDEOS = """
import os
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from generation.models import VideoJob
from tests import factories
from tests.generation.test_library_zip import stored
owner = User.objects.get(username="user0")
first, second = stored(owner, b"first" * 100_000, seed=1), stored(owner, seed=2)
path = settings.DATA_DIR / "files" / second.video_key
path.unlink()
os.mkfifo(path)
session = SessionStore()
session.update({"_auth_user_id": str(owner.pk), "_auth_user_hash": owner.get_session_auth_hash()})
session["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[-1]
session.create()
print("made", session.session_key, first.pk, second.pk, path)
"""


def test_the_web_process_sends_the_first_video_before_it_has_the_second(tmp_path: Path) -> None:
    """The second file is a pipe that nobody has written to yet: whoever reads it waits."""
    environment = {"I2V_DATA_DIR": str(tmp_path), "SECRET_KEY": "x" * 50}
    with running_web(environment) as people:
        web = next(people)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", MAKE_TWO_VIDEOS]
        said = subprocess.run(
            command, cwd=ROOT, env=inherited | environment, check=True, capture_output=True, text=True
        ).stdout
        _, key, first, second, pipe = next(line for line in said.splitlines() if line.startswith("made ")).split()
        received = b""
        cookies = {"sessionid": key}
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{web.port}", cookies=cookies, timeout=20, trust_env=False) as http,
            http.stream("GET", f"/library/zip?ids={first},{second}") as answer,
        ):
            pieces = answer.iter_raw()
            while len(received) < 500_000:
                received += next(pieces)
            Path(pipe).write_bytes(b"second")
            received += b"".join(pieces)
    archive = zipfile.ZipFile(io.BytesIO(received))
    assert archive.read("slow-zoom-in-1.mp4") == b"first" * 100_000
    assert archive.read("slow-zoom-in-2.mp4") == b"second"
