import base64
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from PIL import Image
from pytest_django import Settings

from generation.errors import PictureInUse, PictureRefused
from generation.models import SourceImage, Status, VideoJob
from generation.services.decoding import _decode
from generation.services.intake import delete_picture, store_data_url, store_picture
from tests import factories


def refusal(owner: User, content: bytes, name: str = "picture.png") -> PictureRefused:
    with pytest.raises(PictureRefused) as caught:
        store_picture(owner=owner, file=io.BytesIO(content), name=name)
    assert SourceImage.objects.count() == 0
    assert stored_files() == []
    return caught.value


def stored_files() -> list[Path]:
    root = Path(default_storage.path(""))
    return [path for path in root.rglob("*") if path.is_file()]


def frames(image_format: str, count: int = 3, size: tuple[int, int] = (64, 64)) -> bytes:
    pictures = [Image.new("RGB", size, (n * 20, 0, 0)) for n in range(count)]
    out = io.BytesIO()
    pictures[0].save(out, image_format, save_all=True, append_images=pictures[1:], lossless=True)
    return out.getvalue()


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def test_a_picture_is_kept_with_its_size_and_a_thumbnail(person: User) -> None:
    row = store_picture(owner=person, file=io.BytesIO(factories.png(1000, 600)), name="C:\\photos\\Mona Lisa.png")

    assert (row.width, row.height, row.content_type, row.name) == (1000, 600, "image/png", "Mona Lisa.png")
    assert row.key.startswith(f"in/{row.pk}/")
    assert default_storage.size(row.key) == row.size_bytes
    with default_storage.open(row.thumbnail_key) as file, Image.open(file) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (512, 307))


@pytest.mark.parametrize(("sent", "kept"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/png")])
def test_the_content_decides_the_type(person: User, sent: str, kept: str) -> None:
    content = factories.png(image_format=sent)
    file = SimpleUploadedFile("holiday.pdf", content, content_type="text/html")

    row = store_picture(owner=person, file=file)

    assert (row.content_type, row.name) == (kept, "holiday.pdf")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (frames("GIF"), "GIF"),
        (factories.png(image_format="BMP"), "BMP"),
        (factories.png(image_format="TIFF"), "TIFF"),
        (factories.png(image_format="AVIF"), "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "Video"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?>\n<SVG xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"8BPS\0\1", "Photoshop"),
        (b"PK\3\4rest", "ZIP"),
    ],
)
def test_other_types_are_refused_by_name(person: User, head: bytes, found: str) -> None:
    error = refusal(person, head)

    assert (error.code, error.message) == ("unsupported_type", f"{found} files are not taken: use JPEG, PNG or WebP.")


@pytest.mark.parametrize("content", [b"hello", b"<html>", b"\x89PN", b"\xff\xd8", b"RIFF1234WAVE", bytes(5000)])
def test_what_is_not_a_picture_is_refused(person: User, content: bytes) -> None:
    assert refusal(person, content).code == "not_a_picture"


def test_an_empty_file_is_refused(person: User) -> None:
    assert refusal(person, b"").code == "empty"


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_an_animated_picture_is_refused(person: User, image_format: str) -> None:
    assert refusal(person, frames(image_format)).code == "animated"


def test_a_tiny_file_of_many_large_frames_is_refused_undecoded(person: User, settings: Settings) -> None:
    bomb = frames("WEBP", 12, (4000, 4000))
    # Two canvases of WebP's decoder fit, frames do not.
    settings.PICTURE_DECODE_MB = 256

    assert len(bomb) < 20_000
    assert refusal(person, bomb).code == "animated"


@pytest.mark.parametrize(("width", "height"), [(63, 100), (100, 63), (1, 1)])
def test_a_picture_too_small_for_a_video_is_refused(person: User, width: int, height: int) -> None:
    assert refusal(person, factories.png(width, height)).code == "too_small"


@pytest.mark.parametrize("size", [(8193, 64), (64, 8193), (8000, 5001), (20_000, 20_000)])
def test_a_picture_with_too_many_pixels_is_refused_undecoded(person: User, size: tuple[int, int]) -> None:
    out = io.BytesIO()
    Image.new("1", size).save(out, "PNG")

    assert refusal(person, out.getvalue()).code == "too_large_dimensions"


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_ends_early_is_refused(person: User, image_format: str) -> None:
    content = factories.png(200, 200, image_format=image_format)

    assert refusal(person, content[: len(content) // 2]).code == "damaged"


def test_a_file_over_the_limit_is_refused_while_it_comes_in(person: User, settings: Settings) -> None:
    settings.PICTURE_MAX_BYTES = 2 * 1024 * 1024
    endless = io.BytesIO(bytes(3 * 1024 * 1024))

    with pytest.raises(PictureRefused, match="at most 2 MB") as caught:
        store_picture(owner=person, file=endless)

    assert (caught.value.code, endless.tell() <= 2 * 1024 * 1024 + 65536) == ("too_big", True)


def test_a_decoder_that_takes_too_long_is_ended(person: User, settings: Settings) -> None:
    settings.PICTURE_DECODE_SECONDS = 0

    assert refusal(person, factories.png()).code == "timeout"


def test_a_decoder_that_hangs_without_using_the_processor_is_ended(tmp_path: Path, settings: Settings) -> None:
    settings.PICTURE_DECODE_SECONDS = 1
    os.mkfifo(tmp_path / "source")  # opening it waits for a writer that never comes

    with pytest.raises(PictureRefused, match="too long"):
        _decode(tmp_path)


def test_a_decoder_that_takes_too_much_memory_is_ended(person: User, settings: Settings) -> None:
    settings.PICTURE_DECODE_MB = 120

    assert refusal(person, factories.png(6000, 5000)).code == "too_complex"


def test_nothing_of_an_upload_stays_in_the_spool(person: User, settings: Settings) -> None:
    store_picture(owner=person, file=io.BytesIO(factories.png()))
    with pytest.raises(PictureRefused):
        store_picture(owner=person, file=io.BytesIO(b"rubbish"))

    assert list(settings.SPOOL_DIR.iterdir()) == []


def test_the_same_picture_is_kept_once_for_one_person(person: User, stranger: User) -> None:
    first = store_picture(owner=person, file=io.BytesIO(factories.png()), name="a.png")
    again = store_picture(owner=person, file=io.BytesIO(factories.png()), name="b.png")
    other = store_picture(owner=stranger, file=io.BytesIO(factories.png()), name="a.png")

    assert (again.pk, other.pk != first.pk, len(stored_files())) == (first.pk, True, 4)


class MeetingStorage(FileSystemStorage):
    """Lets the first two saves happen only together: both callers have then found no row of this picture."""

    meeting = threading.Barrier(2, timeout=20)

    def save(self, *args: Any, **kwargs: Any) -> str:
        self.meeting.wait()
        return super().save(*args, **kwargs)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_same_picture_sent_twice_at_once_is_kept_once(person: User, settings: Settings) -> None:
    backend = {"BACKEND": f"{__name__}.MeetingStorage", "OPTIONS": {"location": settings.SPOOL_DIR / "files"}}
    settings.STORAGES = settings.STORAGES | {"default": backend}

    rows = at_once(2, lambda: store_picture(owner=person, file=io.BytesIO(factories.png())).pk)

    assert (len(rows), len(set(rows)), len(stored_files())) == (2, 1, 2)


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """The results of `call` from `count` threads that start together."""
    start, results = threading.Barrier(count), []

    def run() -> None:
        start.wait()
        try:
            results.append(call())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("line\nbreak\x00\x1b[31m.png", "line break[31m.png"),
        ("  فيديو 🎬.png ", "فيديو 🎬.png"),
        ("x" * 300, "x" * 120),
        ("/", ""),
        ("<script>.png", "<script>.png"),
    ],
)
def test_a_file_name_is_plain_text(person: User, given: str, kept: str) -> None:
    assert store_picture(owner=person, file=io.BytesIO(factories.png()), name=given).name == kept


def test_a_data_url_is_kept_like_a_file(person: User) -> None:
    row = store_data_url(owner=person, data_url=data_url(factories.png(300, 200)), name="pasted.png")

    assert row == store_picture(owner=person, file=io.BytesIO(factories.png(300, 200)))
    assert (row.width, row.height, row.name) == (300, 200, "pasted.png")


def test_a_data_url_longer_than_one_slice_is_read_whole(person: User) -> None:
    noise = Image.effect_noise((500, 500), 90)
    out = io.BytesIO()
    noise.save(out, "PNG")

    assert len(out.getvalue()) > 150_000
    assert store_data_url(owner=person, data_url=data_url(out.getvalue())).width == 500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "data:image/png,abc",
        "data:text/html;base64,AAAA",
        "data:image/png;charset=utf-8;base64,AAAA",
        " " + data_url(factories.png()),
        data_url(factories.png()) + "\n",
        data_url(factories.png()) + "A",
        data_url(factories.png()).replace("iVBOR", "iV-OR"),
        "data:image/png;base64,AA==AAAA",
        "data:image/png;base64," + "AAA=" * 20_000,
        "data:image/png;base64," + "A" * 65535 + "=AAAA",
        "data:image/png;base64,ÄÄÄÄ",
        "data:image/png;base64,\ud800AAA",
    ],
)
def test_a_malformed_data_url_is_refused(person: User, text: str) -> None:
    with pytest.raises(PictureRefused) as caught:
        store_data_url(owner=person, data_url=text)

    assert (caught.value.code, caught.value.field) == ("bad_data_url", "image")


def test_a_data_url_without_content_is_refused_as_empty(person: User) -> None:
    with pytest.raises(PictureRefused, match="empty"):
        store_data_url(owner=person, data_url="data:image/png;base64,")


def test_a_data_url_over_the_limit_is_refused_undecoded(person: User, settings: Settings) -> None:
    settings.PICTURE_MAX_BYTES = 1024 * 1024

    with pytest.raises(PictureRefused, match="at most 1 MB"):
        store_data_url(owner=person, data_url="data:image/png;base64," + "!" * 1_500_000)


def test_deleting_a_picture_removes_its_row_and_files(person: User, django_capture_on_commit_callbacks: Any) -> None:
    row = store_picture(owner=person, file=io.BytesIO(factories.png()))
    job = factories.job(person, image=row, status=Status.CANCELLED)

    with django_capture_on_commit_callbacks(execute=True):
        delete_picture(image=row)
        delete_picture(image=row)

    assert (SourceImage.objects.count(), stored_files()) == (0, [])
    assert VideoJob.objects.get(pk=job.pk).image is None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERING, Status.STORING])
def test_a_picture_that_a_running_job_needs_is_not_deleted(person: User, status: Status) -> None:
    row = store_picture(owner=person, file=io.BytesIO(factories.png()))
    factories.job(person, image=row, status=status)

    with pytest.raises(PictureInUse):
        delete_picture(image=row)

    assert len(stored_files()) == 2
