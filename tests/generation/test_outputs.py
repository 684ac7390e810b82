"""Storing results: fetched from a real engine over a real socket, or from where a dispatcher left them."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from generation.models import Attempt, Provider, SourceImage, Status, VideoJob
from generation.services import jobs
from generation.services.deleting import delete_job, purge_job
from generation.services.media import check_video
from generation.services.outputs import MAX_TRIES, store, sweep_orphans
from generation.services.stored_files import keys_of_attempt, put, stored
from tests import factories
from tests.generation.test_media import video


class Server:
    """What SwarmUI's /View answers; `answers` are used up one by one, the last one stays."""

    def __init__(self, content: bytes) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {"Content-Type": "video/mp4"}, content)]
        self.asked: list[str] = []
        self.before_the_end: Callable[[], None] = lambda: None
        self.url = ""

    def next(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = server.next(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:-10])
            self.wfile.flush()
            server.before_the_end()
            self.wfile.write(body[-10:])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return video(tmp_path_factory.mktemp("video") / "v.mp4").read_bytes()


@pytest.fixture
def server(content: bytes, settings: Settings) -> Iterator[Server]:
    with serving(Server(content)) as running:
        settings.SWARMUI_PRIVATE_HOSTS = [running.url.removeprefix("http://")]
        yield running


@pytest.fixture(autouse=True)
def unsigned(settings: Settings) -> None:
    """Stored bytes are the engine's here; what signing changes is the subject of test_provenance."""
    settings.PROVENANCE = False


def storing(owner: User, *, server: Server | None = None, spooled: bytes = b"", **values: Any) -> Attempt:
    """A job whose result is known, at a server or spooled by a dispatcher."""
    job = factories.job(owner, status=Status.STORING, progress=0.97, **values)
    if server:
        ref = {"endpoint": server.url, "path": "View/local/raw/jobs/abc.mp4"}
        return factories.attempt(job, engine=Provider.SWARMUI, endpoint=server.url, result_ref=ref)
    attempt = factories.attempt(job, engine=Provider.PREVIEW)
    key = f"spool/{attempt.pk}.mp4"
    default_storage.save(key, ContentFile(spooled))
    attempt.result_ref = {"spool": key, "bytes": len(spooled), "sha256": hashlib.sha256(spooled).hexdigest()}
    attempt.save()
    return attempt


def keys() -> list[str]:
    return sorted(key for prefix in ("out", "spool") for key, _ in stored(prefix))


def job_of(attempt: Attempt) -> VideoJob:
    return VideoJob.objects.get(pk=attempt.job_id)


def test_a_result_at_the_engine_becomes_a_finished_video(
    person: User, server: Server, content: bytes, settings: Settings
) -> None:
    attempt = storing(person, server=server)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    attempt.refresh_from_db()
    assert (job.status, job.progress, job.lease_token, job.finished_at is not None) == (Status.SUCCEEDED, 1, "", True)
    assert [job.video_key, job.poster_key, job.loop_key] == keys_of_attempt(job.pk, attempt.pk)
    assert default_storage.open(job.video_key).read() == content
    assert (job.video_bytes, job.video_sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (attempt.outcome, attempt.ended_at is not None) == (Attempt.Outcome.STORED, True)
    assert attempt.engine_metadata["stored"] == {"width": 320, "height": 240, "frames": 32, "fps": 16.0}
    assert set(attempt.timings) == {"fetch", "check", "judge", "put"}
    assert list(settings.SPOOL_DIR.iterdir()) == []


def test_what_the_video_is_not_although_it_was_asked_for_is_kept_with_the_attempt(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    attempt.request_sent = {"expects": {"frames": 81}}
    attempt.engine_metadata = {"drift": ["The seed was ignored."]}
    attempt.save()
    store(attempt_id=str(attempt.pk))

    attempt.refresh_from_db()
    assert attempt.drift == ["The seed was ignored.", "81 frames were asked for; the video has 32."]


def test_a_spooled_preview_becomes_a_finished_video_and_leaves_the_spool(person: User, content: bytes) -> None:
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    assert job.status == Status.SUCCEEDED
    assert keys() == sorted(keys_of_attempt(job.pk, attempt.pk))
    assert default_storage.open(job.video_key).read() == content


def test_poster_and_loop_can_be_looked_at(person: User, content: bytes) -> None:
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    assert default_storage.open(job.poster_key).read(3) == b"\xff\xd8\xff"
    assert check_video(Path(default_storage.path(job.loop_key))).frames == 16


def test_a_task_delivered_twice_stores_once(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    store(attempt_id=str(attempt.pk))
    finished = job_of(attempt).finished_at
    store(attempt_id=str(attempt.pk))

    assert len(server.asked) == 1
    assert job_of(attempt).finished_at == finished


def test_a_job_that_another_worker_holds_is_left_alone(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    VideoJob.objects.update(lease_token="theirs", lease_until=timezone.now() + timedelta(seconds=60))
    store(attempt_id=str(attempt.pk))

    assert server.asked == []
    assert job_of(attempt).lease_token == "theirs"


def test_a_worker_that_died_is_followed_by_another_that_adopts_what_was_put(
    person: User, server: Server, content: bytes
) -> None:
    attempt = storing(person, server=server)
    VideoJob.objects.update(lease_token="dead", lease_until=timezone.now() - timedelta(seconds=1))
    video_key = keys_of_attempt(attempt.job_id, attempt.pk)[0]
    default_storage.save(video_key, ContentFile(content))
    inode = os.stat(default_storage.path(video_key)).st_ino
    store(attempt_id=str(attempt.pk))

    assert job_of(attempt).status == Status.SUCCEEDED
    assert os.stat(default_storage.path(video_key)).st_ino == inode


def test_half_a_file_under_the_key_is_replaced(person: User, server: Server, content: bytes) -> None:
    attempt = storing(person, server=server)
    default_storage.save(keys_of_attempt(attempt.job_id, attempt.pk)[0], ContentFile(b"x" * len(content)))
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    assert default_storage.open(job.video_key).read() == content
    assert keys() == sorted(keys_of_attempt(job.pk, attempt.pk))


def from_another_process(change: Callable[[], object]) -> Callable[[], None]:
    def act() -> None:
        try:
            change()
        finally:
            connection.close()

    return act


After = Callable[[Callable[[], object]], None]


class MeddledStorage(FileSystemStorage):
    """Something happens in the moment between a put and the row."""

    after_put: Callable[[], None] = staticmethod(lambda: None)

    def save(self, name: Any, content: Any, max_length: int | None = None) -> str:
        saved = super().save(name, content, max_length)
        if name.startswith(("out/", "clip/")):
            self.after_put()
        return saved


@pytest.fixture
def after_put(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> After:
    backend = settings.STORAGES["default"] | {"BACKEND": f"{__name__}.MeddledStorage"}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    return lambda act: monkeypatch.setattr(MeddledStorage, "after_put", staticmethod(from_another_process(act)))


def take_over() -> None:
    VideoJob.objects.update(lease_token="theirs", lease_until=timezone.now() + timedelta(seconds=60))


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_job_cancelled_while_it_is_stored_leaves_no_file(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    server.before_the_end = from_another_process(lambda: jobs.cancel_job(job=VideoJob.objects.get()))
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    attempt.refresh_from_db()
    assert (job.status, job.lease_token, job.video_key) == (Status.CANCELLED, "", "")
    assert (attempt.outcome, attempt.ended_at is not None) == (Attempt.Outcome.CANCELLED, True)
    assert keys() == []


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_job_deleted_just_after_its_video_was_put_leaves_no_file(
    person: User, server: Server, after_put: After
) -> None:
    attempt = storing(person, server=server)
    after_put(lambda: delete_job(job=VideoJob.objects.get()))
    store(attempt_id=str(attempt.pk))

    assert job_of(attempt).status == Status.CANCELLED
    assert keys() == []


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_worker_that_lost_its_lease_while_fetching_puts_nothing(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    server.before_the_end = from_another_process(take_over)
    store(attempt_id=str(attempt.pk))

    assert (job_of(attempt).status, job_of(attempt).lease_token) == (Status.STORING, "theirs")
    assert keys() == []


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_worker_that_lost_its_lease_while_putting_leaves_the_file_to_the_next(
    person: User, server: Server, after_put: After
) -> None:
    attempt = storing(person, server=server)
    after_put(take_over)
    store(attempt_id=str(attempt.pk))

    assert (job_of(attempt).status, job_of(attempt).lease_token) == (Status.STORING, "theirs")
    assert keys() == keys_of_attempt(attempt.job_id, attempt.pk)[:1]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_lease_is_renewed_while_a_slow_engine_sends(person: User, server: Server, settings: Settings) -> None:
    settings.LEASE_SECONDS = 2
    attempt = storing(person, server=server)
    leases: set[datetime | None] = set()

    def slowly() -> None:
        deadline = time.monotonic() + 10
        while len(leases) < 3 and time.monotonic() < deadline:
            leases.add(VideoJob.objects.get().lease_until)
            time.sleep(0.05)

    server.before_the_end = from_another_process(slowly)
    store(attempt_id=str(attempt.pk))

    assert len(leases) == 3
    assert job_of(attempt).status == Status.SUCCEEDED


def test_a_truncated_download_is_fetched_again(person: User, server: Server, content: bytes) -> None:
    attempt = storing(person, server=server)
    good = server.answers[0]
    server.answers = [(200, {"Content-Type": "video/mp4", "Content-Length": str(len(content) + 99)}, content), good]
    store(attempt_id=str(attempt.pk))
    waiting = job_of(attempt)
    store(attempt_id=str(attempt.pk))

    assert (waiting.status, waiting.lease_token) == (Status.STORING, "")
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > timezone.now()
    assert job_of(attempt).status == Status.SUCCEEDED


def test_a_video_cut_off_without_a_word_is_fetched_again(person: User, server: Server, content: bytes) -> None:
    attempt = storing(person, server=server)
    good = server.answers[0]
    server.answers = [(200, {"Content-Type": "video/mp4"}, content[: len(content) * 2 // 3]), good]
    store(attempt_id=str(attempt.pk))
    assert job_of(attempt).status == Status.STORING
    store(attempt_id=str(attempt.pk))

    assert job_of(attempt).status == Status.SUCCEEDED


def test_what_is_no_video_fails_the_job_with_a_sentence(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    server.answers = [(200, {"Content-Type": "video/mp4"}, b"<html>not a video</html>" * 50)]
    for _ in range(3):
        store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    attempt.refresh_from_db()
    assert (job.status, job.error_code, attempt.outcome) == (Status.FAILED, "bad_result", Attempt.Outcome.FAILED)
    assert "not an MP4" in job.error_message
    assert len(server.asked) == 2
    assert keys() == []


def test_a_video_over_the_limit_fails_at_once(person: User, server: Server, settings: Settings) -> None:
    settings.RESULT_MAX_BYTES = 1000
    attempt = storing(person, server=server)
    store(attempt_id=str(attempt.pk))

    assert (job_of(attempt).status, job_of(attempt).error_code) == (Status.FAILED, "result_too_large")


def test_a_spooled_video_over_the_limit_fails_at_once(person: User, content: bytes, settings: Settings) -> None:
    settings.RESULT_MAX_BYTES = 1000
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))

    assert (job_of(attempt).status, keys()) == (Status.FAILED, [])


def test_an_engine_that_stays_away_fails_the_job_after_several_tries(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    server.answers = [(503, {}, b"away for a while")]
    pauses = []
    for _ in range(MAX_TRIES + 2):
        store(attempt_id=str(attempt.pk))
        pauses.append(job_of(attempt).next_attempt_at or timezone.now())

    job = job_of(attempt)
    assert (job.status, job.error_code) == (Status.FAILED, "storing_failed")
    assert len(server.asked) == MAX_TRIES
    assert pauses[0] < pauses[1] < pauses[2]


def test_a_result_that_kills_its_worker_each_time_ends_too(person: User, server: Server) -> None:
    attempt = storing(person, server=server)
    Attempt.objects.update(store_tries=MAX_TRIES)
    store(attempt_id=str(attempt.pk))

    assert (job_of(attempt).error_code, server.asked) == ("storing_failed", [])


def test_trouble_with_our_own_storage_is_no_fault_of_the_video(
    person: User, content: bytes, settings: Settings, tmp_path: Path
) -> None:
    attempt = storing(person, spooled=content)
    blocked = Path(default_storage.path("out"))
    blocked.write_text("a file where a folder must be")
    store(attempt_id=str(attempt.pk))
    assert job_of(attempt).status == Status.STORING
    blocked.unlink()
    store(attempt_id=str(attempt.pk))

    assert job_of(attempt).status == Status.SUCCEEDED


def test_a_missing_attempt_is_nothing(db: None) -> None:
    store(attempt_id="5e1b4a4e-0000-4000-8000-000000000000")


def stored_job(person: User, content: bytes) -> VideoJob:
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))
    return job_of(attempt)


def test_purging_deletes_files_and_row_of_a_deleted_job_only(person: User, content: bytes) -> None:
    kept, gone = stored_job(person, content), stored_job(person, content)
    delete_job(job=gone)
    factories.end_grace()
    for job in (kept, gone, gone):
        purge_job(job_id=str(job.pk))

    assert list(VideoJob.objects.all()) == [kept]
    assert keys() == sorted([kept.video_key, kept.poster_key, kept.loop_key])
    assert not Path(default_storage.path(f"out/{gone.pk}")).exists()


def test_a_deleted_job_that_is_still_held_loses_its_files_but_not_its_row(person: User, content: bytes) -> None:
    job = stored_job(person, content)
    delete_job(job=job)
    factories.end_grace()
    VideoJob.objects.update(lease_token="dispatcher", lease_until=timezone.now())
    purge_job(job_id=str(job.pk))

    assert keys() == []
    assert VideoJob.objects.count() == 1


def age(*names: str) -> None:
    old = time.time() - 25 * 3600
    for name in names:
        os.utime(default_storage.path(name), (old, old))


def test_only_old_files_without_a_row_are_swept(person: User, content: bytes, settings: Settings) -> None:
    job = stored_job(person, content)
    waiting = storing(person, spooled=content)
    open_key = keys_of_attempt(waiting.job_id, waiting.pk)[0]
    for key in (
        "in/lost.png",
        "in/fresh.png",
        f"out/{waiting.pk}/lost.mp4",
        "out/lost.mp4",
        "spool/lost.mp4",
        open_key,
    ):
        default_storage.save(key, ContentFile(b"x"))
    default_storage.save("elsewhere/file", ContentFile(b"not ours to delete"))
    pictures = list(SourceImage.objects.values_list("key", flat=True))
    lost = ["in/lost.png", f"out/{waiting.pk}/lost.mp4", "out/lost.mp4", "spool/lost.mp4"]
    age(*lost, *pictures, job.video_key, job.poster_key, job.loop_key, open_key, "elsewhere/file")
    age(f"spool/{waiting.pk}.mp4")

    assert sweep_orphans() == len(lost)
    assert not any(default_storage.exists(key) for key in lost)
    kept = [*pictures, job.video_key, job.poster_key, job.loop_key, open_key, "elsewhere/file", "in/fresh.png"]
    assert all(default_storage.exists(key) for key in [*kept, f"spool/{waiting.pk}.mp4"])
    assert sweep_orphans() == 0


def test_what_killed_workers_left_in_the_spool_folder_is_swept(db: None, settings: Settings) -> None:
    folder = settings.SPOOL_DIR / "store-abc"
    folder.mkdir(parents=True)
    (folder / "video.mp4").write_bytes(b"x")
    (settings.SPOOL_DIR / "fresh.part").write_bytes(b"x")
    old = time.time() - 25 * 3600
    os.utime(folder, (old, old))

    assert sweep_orphans() == 1
    assert [path.name for path in settings.SPOOL_DIR.iterdir()] == ["fresh.part"]


def test_putting_twice_keeps_one_file(tmp_path: Path, db: None) -> None:
    for content in (b"first", b"second"):
        (tmp_path / "f").write_bytes(content)
        put("out/a/b.mp4", tmp_path / "f")

    assert keys() == ["out/a/b.mp4"]
    assert default_storage.open("out/a/b.mp4").read() == b"second"
