import io
import socket
import threading
import time
import uuid
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from generation.errors import PictureRefused
from generation.models import SourceImage, Status, VideoJob
from generation.services import intake
from generation.services.intake import check_image_url, fetch_job_picture, store_picture
from tests import factories
from tests.simulators.wire import Handler, Wire, authority, reply, serve


class PictureServer(Protocol):
    def __call__(self, handler: Handler) -> AbstractContextManager[Wire]: ...


@pytest.fixture
def picture_server(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> PictureServer:
    """Start an https server that the operator has named; retries do not pause."""
    known = authority(tmp_path, "127.0.0.1")
    settings.IMAGE_URL_CA = known.ca_file.read_text()
    settings.IMAGE_URL_PRIVATE_HOSTS = []
    monkeypatch.setattr(intake, "FETCH_PAUSES_S", (0.0, 0.0))

    class Running:
        def __init__(self, handler: Handler) -> None:
            self._serving = serve(handler, tls=known.server)

        def __enter__(self) -> Wire:
            wire = self._serving.__enter__()
            settings.IMAGE_URL_PRIVATE_HOSTS = [wire.host]
            return wire

        def __exit__(self, *exc: object) -> None:
            self._serving.__exit__(None, None, None)

    return Running


def waiting_job(owner: User, wire: Wire, path: str = "/cat.png") -> VideoJob:
    return factories.job(owner, image_url=f"https://{wire.host}{path}", width=None, height=None)


def fetched(job: VideoJob) -> VideoJob:
    fetch_job_picture(job_id=str(job.pk))
    job.refresh_from_db()
    return job


PNG = reply(factories.png(200, 100), Content_Type="image/png")


def test_a_jobs_picture_is_fetched_and_kept(person: User, picture_server: PictureServer) -> None:
    with picture_server(PNG) as wire:
        job = fetched(waiting_job(person, wire, "/a/cat.png?size=9"))

    assert job.image is not None
    assert (job.status, job.image.owner, job.image.width, job.image.name) == (Status.QUEUED, person, 200, "cat.png")
    assert wire.requests[0].startswith(b"GET /a/cat.png?size=9 HTTP/1.1\r\n")


def test_a_job_may_start_as_soon_as_its_picture_is_here(person: User, picture_server: PictureServer) -> None:
    later = timezone.now() + timedelta(minutes=5)
    with picture_server(PNG) as wire:
        job = waiting_job(person, wire)
        VideoJob.objects.filter(pk=job.pk).update(next_attempt_at=later)
        fetched(job)

    assert VideoJob.objects.due(timezone.now()).get() == job


def test_a_fetched_picture_that_the_person_has_already_is_kept_once(
    person: User, picture_server: PictureServer
) -> None:
    row = store_picture(owner=person, file=io.BytesIO(factories.png(200, 100)))
    with picture_server(PNG) as wire:
        assert fetched(waiting_job(person, wire)).image == row


def test_a_fetch_delivered_twice_asks_once(person: User, picture_server: PictureServer) -> None:
    with picture_server(PNG) as wire:
        job = waiting_job(person, wire)
        first = fetched(job).updated_at

        assert (fetched(job).updated_at, len(wire.requests)) == (first, 1)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_fetches_delivered_at_once_keep_one_picture(person: User, picture_server: PictureServer) -> None:
    both_here = threading.Barrier(2, timeout=10)

    def together(stream: socket.socket, head: bytes) -> None:
        both_here.wait()
        PNG(stream, head)

    def deliver() -> None:
        fetch_job_picture(job_id=str(job.pk))
        connection.close()

    with picture_server(together) as wire:
        job = waiting_job(person, wire)
        tasks = [threading.Thread(target=deliver) for _ in range(2)]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()

    job.refresh_from_db()
    assert (job.status, SourceImage.objects.count(), job.image) == (Status.QUEUED, 1, SourceImage.objects.get())


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("answer", [PNG, reply(status="404 Not Found")])
def test_a_job_cancelled_while_its_picture_is_fetched_stays_cancelled(
    person: User, picture_server: PictureServer, answer: Handler
) -> None:
    def after_a_cancel(stream: socket.socket, head: bytes) -> None:
        VideoJob.objects.filter(pk=job.pk).update(status=Status.CANCELLED)
        connection.close()
        answer(stream, head)

    with picture_server(after_a_cancel) as wire:
        job = waiting_job(person, wire)

        assert (fetched(job).status, job.image, job.error_code) == (Status.CANCELLED, None, "")
    assert len(wire.requests) == 1


def test_a_fetch_for_a_job_that_is_gone_does_nothing(db: None) -> None:
    fetch_job_picture(job_id=str(uuid.uuid4()))


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (reply(b"<html>", Content_Type="text/html"), "not_a_picture"),
        (reply(factories.png(), Content_Type="application/octet-stream"), "not_a_picture"),
        (reply(factories.png()), "not_a_picture"),
        (reply(b"hello", Content_Type="image/png"), "not_a_picture"),
        (reply(b"", Content_Type="image/png"), "empty"),
        (reply(b"GIF89a", Content_Type="image/gif"), "unsupported_type"),
        (reply(factories.png()[:90], Content_Type="image/png"), "damaged"),
        (reply(status="302 Found", Location="https://127.0.0.1/"), "redirect"),
        (reply(status="404 Not Found"), "http_error"),
        (reply(status="403 Forbidden"), "http_error"),
        (reply(factories.png(), Content_Type="image/png", Content_Encoding="gzip"), "encoded"),
    ],
)
def test_an_answer_that_is_no_picture_fails_the_job_and_says_why(
    person: User, picture_server: PictureServer, handler: Handler, code: str
) -> None:
    with picture_server(handler) as wire:
        job = fetched(waiting_job(person, wire))

    assert (job.status, job.error_code, len(wire.requests)) == (Status.FAILED, code, 1)
    assert job.error_message.endswith(".")
    assert job.finished_at is not None


def test_an_endless_picture_fails_the_job(person: User, picture_server: PictureServer, settings: Settings) -> None:
    def endless(stream: socket.socket, _: bytes) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        while True:
            stream.sendall(bytes(65536))

    settings.PICTURE_MAX_BYTES = 1024 * 1024
    with picture_server(endless) as wire:
        job = fetched(waiting_job(person, wire))

    assert (job.status, job.error_code) == (Status.FAILED, "too_big")


def test_a_server_in_trouble_is_asked_three_times(person: User, picture_server: PictureServer) -> None:
    with picture_server(reply(status="503 Service Unavailable")) as wire:
        job = fetched(waiting_job(person, wire))

    assert (job.status, job.error_code, len(wire.requests)) == (Status.FAILED, "unreachable", 3)


def test_a_server_that_recovers_in_time_gives_its_picture(person: User, picture_server: PictureServer) -> None:
    def cuts_the_first_answer_short(stream: socket.socket, head: bytes) -> None:
        if len(wire.requests) == 1:
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 500\r\n\r\n\x89PNG")
        else:
            PNG(stream, head)

    with picture_server(cuts_the_first_answer_short) as wire:
        job = fetched(waiting_job(person, wire))

    assert (job.image is not None, len(wire.requests)) == (True, 2)


def test_a_dripping_server_costs_no_more_than_the_time_allowed(
    person: User, picture_server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(stream: socket.socket, _: bytes) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        while True:
            stream.sendall(b"x")
            time.sleep(0.02)

    monkeypatch.setattr(intake, "FETCH_SECONDS", 0.5)
    with picture_server(drip) as wire:
        started = time.monotonic()
        job = fetched(waiting_job(person, wire))

    assert (job.status, job.error_code, time.monotonic() - started < 5) == (Status.FAILED, "unreachable", True)


def test_a_server_with_an_unknown_authority_is_not_trusted(
    person: User, picture_server: PictureServer, settings: Settings
) -> None:
    settings.IMAGE_URL_CA = ""
    with picture_server(PNG) as wire:
        job = fetched(waiting_job(person, wire))

    assert (job.status, job.error_code, wire.requests) == (Status.FAILED, "unreachable", [])


@pytest.mark.parametrize(
    "address", ["https://localhost/a.png", "https://localhost.localdomain/a.png", "https://127.1/a.png"]
)
def test_an_address_that_leads_inside_fails_the_job(person: User, picture_server: PictureServer, address: str) -> None:
    job = fetched(factories.job(person, image_url=address))

    assert (job.status, job.image) == (Status.FAILED, None)
    assert job.error_code in ("invalid", "not_public", "unknown_host", "unreachable")


@pytest.fixture
def plain(settings: Settings) -> None:
    settings.IMAGE_URL_PRIVATE_HOSTS = ["pictures.test:8443", "10.0.0.5:443"]
    settings.IMAGE_URL_CA = ""


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.jpg",
        "https://example.com:443/cat?size=2&x=%20#top",
        "HTTPS://Münchner.Bilder.de/Bär.png",
        "https://xn--bcher-kva.example/",
        "https://pictures.test:8443/cat.png",
        "https://10.0.0.5/cat.png",
    ],
)
def test_an_https_address_with_a_domain_name_may_be_fetched(plain: None, url: str) -> None:
    check_image_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "cat.png",
            "/cat.png",
            "//example.com/cat.png",
            "http://example.com/cat.png",
            "ftp://example.com/cat.png",
        ),
        *("file:///etc/passwd", "data:image/png;base64,AAAA", "javascript:alert(1)", "https://", "https:///cat.png"),
        *(
            "https://user:pass@example.com/",
            "https://@example.com/",
            "https://example.com:8443/",
            "https://example.com:80/",
        ),
        *(
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://0/",
        ),
        *("https://localhost/", "https://intranet/", "https://example.com\\@127.0.0.1/", "https://exa mple.com/"),
        *(
            "https://example.com/\n",
            "https://example.com/\x00",
            "https://①②⑦.0.0.1/",
            "https://127.0.0.1./",
            "https://a.0x7f/",
        ),
        *(
            "http://pictures.test:8443/",
            "http://10.0.0.5:443/",
            "https://10.0.0.6/",
            "https://example.com/" + "a" * 2030,
        ),
        *("https://\ud800.com/", "https://" + "a" * 64 + ".com/", "https://a..b.com/", "https://-.-/"),
    ],
)
def test_any_other_address_is_refused_at_once(plain: None, url: str) -> None:
    with pytest.raises(PictureRefused) as caught:
        check_image_url(url)

    assert caught.value.field == "image_url"
    assert caught.value.message.endswith(".")


def test_a_url_check_looks_nothing_up(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(*_: Any, **__: Any) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    check_image_url("https://example.com/cat.png")
