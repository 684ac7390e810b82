"""Model files on their way into a real S3 server, as an operator sends them."""

import hashlib
import os
import re
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from pytest_django import Settings

from gpu.errors import BadModelFile
from gpu.models import ModelFile
from gpu.services import model_files, model_uploads
from tests.generation.test_storage_s3 import Recorder, bucket, s3_url  # noqa: F401 (fixtures)

MB = 1024 * 1024
NAME = "wan_2.1_vae.safetensors"
KEY = f"models/VAE/Wan/{NAME}"
PART = 5 * MB  # what S3 takes at least


@pytest.fixture(autouse=True)
def small_world(db: None, bucket: Any, settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A known file in eight parts, of which four are sent at once."""
    path = tmp_path / "Models" / "VAE" / "Wan" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(7 * PART + PART // 2))
    return path


def row() -> ModelFile:
    return ModelFile.objects.get(name=NAME)


def run(*arguments: object, code: int = 0) -> str:
    out = StringIO()
    try:
        call_command("upload_models", *map(str, arguments), stdout=out)
        ended = 0
    except SystemExit as exc:
        ended = int(str(exc.code))
    assert ended == code, out.getvalue()
    return out.getvalue()


def put(path: Path, advance: Callable[[int], None] = lambda _: None) -> ModelFile:
    return model_uploads.upload(row(), path, advance=advance, part_bytes=PART)


def parts_sent(recorder: Recorder) -> list[int]:
    queries = [query for method, query, _ in recorder.sent if method == "PUT"]
    return sorted(int(found[1]) for query in queries if (found := re.search(r"partNumber=(\d+)", query)))


class Interrupted(Exception):
    """Stands for whatever ends an upload half-way."""


def interrupt_after(parts: int) -> Callable[[int], None]:
    """The progress callback that fails when so many parts have arrived."""
    lock, seen = threading.Lock(), [0]

    def advance(count: int) -> None:
        with lock:
            seen[0] += count > 0
            if seen[0] >= parts:
                raise Interrupted

    return advance


def test_a_folder_laid_out_like_swarmuis_is_uploaded_and_registered(file: Path) -> None:
    said = run(file.parents[2])

    assert f"uploaded: VAE/Wan/{NAME}" in said
    known = row()
    assert (known.size_bytes, known.sha256) == (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
    assert known.uploaded_at is not None
    assert default_storage.open(KEY).read() == file.read_bytes()


def test_what_is_there_is_not_sent_again(file: Path) -> None:
    run(file)
    before = row().uploaded_at
    recorder = Recorder()

    assert f"there already: VAE/Wan/{NAME}" in run(file)
    assert [method for method, *_ in recorder.sent if method in ("PUT", "POST")] == []
    assert row().uploaded_at == before


def test_a_lost_row_is_found_again_without_sending(file: Path) -> None:
    run(file)
    ModelFile.objects.update(size_bytes=0, sha256="", uploaded_at=None)

    assert "there already" in run(file)
    assert model_files.is_uploaded(row())


def test_an_interrupted_upload_goes_on_where_it_was(file: Path) -> None:
    # The first call of the callback counts what is there already, which is nothing; then come the parts.
    with pytest.raises(Interrupted):
        put(file, interrupt_after(2))
    recorder = Recorder()
    done: list[int] = []
    put(file, done.append)

    assert 1 <= len(parts_sent(recorder)) <= 6
    assert (sum(done), done[0] >= 2 * PART) == (file.stat().st_size, True)
    assert default_storage.open(KEY).read() == file.read_bytes()
    assert model_uploads.is_there(row(), size_bytes=row().size_bytes, sha256=row().sha256)


def test_other_content_does_not_go_on_with_an_old_upload(file: Path) -> None:
    with pytest.raises(Interrupted):
        put(file, interrupt_after(2))
    file.write_bytes(os.urandom(7 * PART + PART // 2))
    recorder = Recorder()
    put(file)

    assert parts_sent(recorder) == list(range(1, 9))
    assert default_storage.open(KEY).read() == file.read_bytes()


def test_an_upload_that_the_bucket_has_forgotten_starts_over(file: Path, bucket: Any) -> None:  # noqa: F811
    with pytest.raises(Interrupted):
        put(file, interrupt_after(2))
    for one in bucket.multipart_uploads.all():
        one.abort()
    put(file)

    assert default_storage.open(KEY).read() == file.read_bytes()


def test_an_older_version_in_the_bucket_is_replaced(file: Path) -> None:
    put(file)
    file.write_bytes(b"newer")
    run(file)

    assert (default_storage.open(KEY).read(), row().size_bytes) == (b"newer", 5)


def test_a_file_that_changes_meanwhile_is_not_registered(file: Path) -> None:
    def change(count: int) -> None:
        if count:
            with file.open("ab") as end:
                end.write(b"more")

    with pytest.raises(BadModelFile):
        put(file, change)
    assert not model_files.is_uploaded(row())


def test_a_dry_run_changes_nothing(file: Path) -> None:
    recorder = Recorder()

    assert f"would upload: VAE/Wan/{NAME} (0.04 GB) to {KEY}" in run("--dry-run", file)
    assert {method for method, *_ in recorder.sent} <= {"HEAD"}
    assert not model_files.is_uploaded(row())


def test_verifying_reads_everything_back(file: Path) -> None:
    run(file)
    assert f"verified: VAE/Wan/{NAME}" in run("--verify")
    default_storage.delete(KEY)

    assert f"WRONG: VAE/Wan/{NAME}" in run("--verify", code=1)


def test_a_damaged_object_is_found_by_verifying(file: Path, bucket: Any) -> None:  # noqa: F811
    put(file)
    bucket.put_object(Key=KEY, Body=bytes(file.stat().st_size), Metadata={"sha256": row().sha256})

    assert "WRONG" in run("--verify", code=1)


def test_a_file_that_is_not_known_needs_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "my_lora.safetensors"
    path.write_bytes(b"lora")
    run(path, code=2)
    run(path, "--folder", "Lora/Mine", "--needed-by", "wan-2-2")

    known = ModelFile.objects.get(name="my_lora.safetensors")
    assert (known.folder, known.r2_key) == ("Lora/Mine", "models/Lora/Mine/my_lora.safetensors")
    assert (known.needed_by, model_files.is_uploaded(known)) == (["wan-2-2"], True)


@pytest.mark.parametrize("folder", ["../etc", "/etc", "Lora//x", "Lo ra", "", "Lora/.."])
def test_folders_that_lead_elsewhere_are_refused(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"a")

    run(path, f"--folder={folder}", code=2)
    assert not ModelFile.objects.filter(name="a.safetensors").exists()


def test_what_cannot_be_uploaded_is_said(tmp_path: Path, settings: Settings) -> None:
    run(code=2)
    run(tmp_path / "nothing", code=2)
    run(tmp_path, code=2)
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    }
    run(tmp_path, code=2)


def test_a_bucket_that_refuses_is_said_without_its_words(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    storage: Any = default_storage
    settings.STORAGES = settings.STORAGES | {
        "default": settings.STORAGES["default"]
        | {"OPTIONS": settings.STORAGES["default"]["OPTIONS"] | {"secret_key": "not the secret"}}
    }
    assert storage.bucket_name
    run(file, code=1)

    assert "the bucket says 403" in capsys.readouterr().err
    assert not model_files.is_uploaded(row())
