"""`serve --check`: everything started for real, one video made over HTTP, looked at frame by frame, all stopped."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
from django.conf import settings
from django.contrib.auth.models import User

from generation.management.launch import EXAMPLE_PICTURE, EXAMPLE_PROMPT, CannotStart, free_port, is_free
from generation.models import VideoJob
from generation.services.bootstrap import create_token
from generation.services.intake import delete_picture
from i2v_site.errors import DomainError
from i2v_site.supervise import Undertaker

WIDTH, HEIGHT, FRAMES, FPS = 832, 480, 49, 16
UP_WITHIN_S = 120
VIDEO_WITHIN_S = 300
STOPPED_WITHIN_S = 40
# Names the process that already runs in the throw-away data folder.
FOLDER = "I2V_CHECK_FOLDER"


class CheckFailed(Exception):
    """What did not work, in one sentence."""


def run(*, say: Callable[[str], None]) -> int:
    """0 when the main job works; DATABASE_URL, REDIS_URL and S3_* are used when they are set."""
    if FOLDER not in os.environ:
        return _run_in_own_folder()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    begun = time.monotonic()
    try:
        with _platform(port, address, say), _checker(address) as client:
            _check(client, say)
        _expect_free(port)
    except (CheckFailed, CannotStart, httpx.HTTPError) as exc:
        say(f"FAILED  {exc or type(exc).__name__}")
        return 1
    say(f"ok      everything stopped; the check took {time.monotonic() - begun:.0f} s")
    return 0


def _expect_free(port: int) -> None:
    if not (is_free("127.0.0.1", port) and is_free("127.0.0.1", port + 1)):
        raise CheckFailed("Something still listens after the stop.")


def _run_in_own_folder() -> int:
    """The check again, in a process whose settings point at a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="i2v-check-", ignore_cleanup_errors=True) as folder:
        kept = {name: value for name, value in os.environ.items() if name not in ("SITE_URL", "LIVE_URL")}
        environment = kept | {"I2V_DATA_DIR": folder, FOLDER: folder}
        process = subprocess.Popen([sys.executable, *sys.argv], env=environment)
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The Ctrl-C reached it too; the folder stays until it is done with it.
            return process.wait() or 130


@contextmanager
def _platform(port: int, address: str, say: Callable[[str], None]) -> Iterator[None]:
    """`serve` as a child, up and ready."""
    argv = [
        sys.executable,
        str(settings.BASE_DIR / "manage.py"),
        "serve",
        "--without-administrator",
        "--port",
        str(port),
    ]
    log_path = Path(os.environ[FOLDER]) / "serve.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    undertaker = Undertaker(settings.BASE_DIR)
    undertaker.add(process.pid)
    try:
        _wait_until_ready(process, address)
        say(f"ok      web, live, worker and dispatcher run at {address}")
        yield
    except BaseException:
        sys.stderr.write(log_path.read_text(errors="replace"))
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise CheckFailed(f"It did not stop within {STOPPED_WITHIN_S} s.") from None
        finally:
            undertaker.remove(process.pid)
            undertaker.close()


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str) -> None:
    answer = ""
    for _ in range(UP_WITHIN_S * 2):
        if process.poll() is not None:
            raise CheckFailed(f"It ended with code {process.returncode}.")
        try:
            response = httpx.get(f"{address}/ready", timeout=10, trust_env=False)
        except httpx.HTTPError as exc:
            answer = type(exc).__name__
        else:
            if response.is_success:
                return
            answer = response.text
        time.sleep(0.5)
    raise CheckFailed(f"It was not ready within {UP_WITHIN_S} s: {answer}")


@contextmanager
def _checker(address: str) -> Iterator[httpx.Client]:
    """A person made for this check, with a token; gone afterwards."""
    user = User.objects.create_user(f"check-{uuid.uuid4().hex[:12]}")
    try:
        headers = {"Authorization": f"Token {create_token(user=user, name='check')}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as client:
            yield client
    finally:
        for image in user.source_images.all():
            # In use by a video when the check has failed in its middle; the hourly sweep finds the file.
            with suppress(DomainError):
                delete_picture(image=image)
        user.delete()


def _check(client: httpx.Client, say: Callable[[str], None]) -> None:
    job = _submit(client)
    say(f"ok      the example picture and a prompt were accepted as job {job['id']}")
    done = _wait_until_over(client, job["id"])
    say(f"ok      the video was rendered and stored by {done['model']}")
    video = _download(client, done["video_url"])
    say(f"ok      the video was downloaded ({len(video):,} bytes)")
    seen = look_at(video)
    wanted = Seen(width=WIDTH, height=HEIGHT, frames=FRAMES, fps=FPS)
    if seen != wanted:
        raise CheckFailed(f"The video is {seen}, not {wanted}.")
    say(f"ok      it decodes: {seen}, as asked")
    _expect(client.delete(f"/api/jobs/{job['id']}"), 204)
    _wait_until_purged(job["id"])
    say("ok      the job was deleted with its files")


def _submit(client: httpx.Client) -> dict[str, Any]:
    fields = {
        "prompt": EXAMPLE_PROMPT,
        "model": "motion-preview",
        "size": f"{WIDTH}x{HEIGHT}",
        "num_frames": str(FRAMES),
        "fps": str(FPS),
        "seed": "7",
    }
    with EXAMPLE_PICTURE.open("rb") as picture:
        answer = client.post("/api/jobs", data=fields, files={"image": picture})
    return dict(_expect(answer, 201).json())


def _wait_until_over(client: httpx.Client, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + VIDEO_WITHIN_S
    while time.monotonic() < deadline:
        job = dict(_expect(client.get(f"/api/jobs/{job_id}"), 200).json())
        if job["status"] == "succeeded":
            return job
        if job["status"] in ("failed", "cancelled"):
            raise CheckFailed(f"The job {job['status']}: {job['error']}")
        time.sleep(0.5)
    raise CheckFailed(f"The job was not over within {VIDEO_WITHIN_S} s: {job['status']}, {job['message']}")


def _wait_until_purged(job_id: str) -> None:
    for _ in range(120):
        if not VideoJob.objects.filter(pk=job_id).exists():
            return
        time.sleep(0.5)
    raise CheckFailed("The files of the deleted job were not removed within 60 s.")


def _download(client: httpx.Client, url: str) -> bytes:
    # A presigned link carries its own right; our token must not go to the bucket.
    return _expect(httpx.get(httpx.URL(client.base_url).join(url), timeout=60, trust_env=False), 200).content


def _expect(response: httpx.Response, status: int) -> httpx.Response:
    if response.status_code != status:
        raise CheckFailed(
            f"{response.request.method} {response.request.url.path} answered {response.status_code}, not {status}: "
            f"{response.text[:300]}"
        )
    return response


@dataclass(frozen=True, slots=True)
class Seen:
    """What a video really is, found by decoding all of it."""

    width: int
    height: int
    frames: int
    fps: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.frames} frames at {self.fps:g} per second"


def look_at(video: bytes) -> Seen:
    """Decode every frame. Raises CheckFailed when that is not possible."""
    with tempfile.TemporaryFile() as file:
        file.write(video)
        file.seek(0)
        try:
            with av.open(file, "r") as container:
                stream = container.streams.video[0]
                sizes = [(frame.width, frame.height) for frame in container.decode(stream)]
                fps = float(stream.average_rate or 0)
        except (av.FFmpegError, IndexError) as exc:
            raise CheckFailed(f"The video does not decode: {exc}") from exc
    if len(set(sizes)) != 1:
        raise CheckFailed(f"The video has {len(sizes)} frames of {len(set(sizes))} sizes.")
    width, height = sizes[0]
    return Seen(width=width, height=height, frames=len(sizes), fps=fps)
