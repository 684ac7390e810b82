"""The main job on the command line: a picture and a sentence become a video file."""

import signal
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from generation.errors import AlreadyOver, EngineNotConfigured
from generation.management.alone import is_alive, own_dispatcher
from generation.models import Status, VideoJob
from generation.queries import states_of
from generation.services import intake, outputs
from generation.services.jobs import JobRequest, cancel_job, submit_job
from i2v_site.errors import DomainError

FAILED, BAD_INPUT, NOTHING_RENDERS, CANCELLED = 1, 2, 3, 130
LOOK_EVERY_S = 0.3
TELL_ENGINE_WITHIN_S = 15
COPY_BYTES = 1024 * 1024

EXIT_CODES = """exit codes: 0 the video is there; 1 it failed; 2 the picture, a setting or the output file was refused;
3 the model needs a server that is not configured; 130 cancelled with Ctrl-C"""


class Command(BaseCommand):
    help = f"Make a video of a picture. {EXIT_CODES}"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("picture", type=Path, help="JPEG, PNG or WebP")
        parser.add_argument("prompt", help="what should happen, in one sentence")
        parser.add_argument("--model", help="as /api/models names it; default: the first one that can run now")
        parser.add_argument("--frames", type=int)
        parser.add_argument("--size", default="", help="like 832x480; default: what fits the picture")
        parser.add_argument("--seed", type=int, default=-1, help="-1: a random one")
        parser.add_argument("--out", type=Path, help="default: the picture's name with .mp4, here")
        parser.add_argument("--user", help="whose job it is; default: the first administrator")

    def handle(self, *, picture: Path, out: Path | None, **options: Any) -> None:
        self.console = Console(stderr=True, highlight=False)
        # Ended by a supervisor or a closed terminal is cancelled too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        target = _writable(out) if out else _free_name(picture)
        try:
            job = _submit(picture, options)
        except EngineNotConfigured as exc:
            _exit(NOTHING_RENDERS, exc.message)
        except DomainError as exc:
            _exit(BAD_INPUT, f"{exc.field}: {exc.message}" if exc.field else exc.message)
        except DatabaseError:
            _exit(BAD_INPUT, "The database is not set up yet. Run scripts/start once.")
        self._make(job, target)

    def _make(self, job: VideoJob, target: Path) -> None:
        with ExitStack() as helpers:
            try:
                self._follow(job, helpers)
            except KeyboardInterrupt:
                _cancel(job)
                _exit(CANCELLED, "Cancelled.")
        if job.status != Status.SUCCEEDED:
            _exit(FAILED, job.error_message or "It was cancelled by somebody else.")
        _copy(job.video_key, target)
        self.console.print(f"seed {job.seed}, {job.width}x{job.height}, {job.frames} frames at {job.fps} per second")
        self.stdout.write(str(target))

    def _follow(self, job: VideoJob, helpers: ExitStack) -> None:
        """Show the job's state until it is over; do ourselves what no running dispatcher or worker does."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        helped = False
        with Progress(*columns, TimeElapsedColumn(), console=self.console) as bar:
            task = bar.add_task("Queued", total=1)
            while True:
                state = states_of([job])[job.pk]
                place = f" (place {state.queue_position} in line)" if state.queue_position else ""
                bar.update(task, completed=state.progress, description=f"{state.message}{place}")
                if job.is_over:
                    return
                if not helped and not is_alive("dispatcher"):
                    helpers.enter_context(own_dispatcher())
                    helped = True
                if job.status == Status.STORING and not is_alive("worker"):
                    _store(job)
                time.sleep(LOOK_EVERY_S)
                job.refresh_from_db()


def _submit(picture: Path, options: dict[str, Any]) -> VideoJob:
    owner = _owner(options["user"])
    prompt = options["prompt"].strip()
    controls = any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in prompt)
    if controls or not 1 <= len(prompt) <= settings.PROMPT_MAX_CHARS:
        _exit(BAD_INPUT, f"prompt: Write 1 to {settings.PROMPT_MAX_CHARS} characters, without control characters.")
    try:
        with picture.open("rb") as file:
            image = intake.store_picture(owner=owner, file=file, name=picture.name)
    except OSError as exc:
        _exit(BAD_INPUT, f"{picture} cannot be read ({exc.strerror}).")
    request = JobRequest(
        prompt=prompt,
        image=image,
        model=options["model"],
        size=options["size"],
        num_frames=options["frames"],
        seed=options["seed"],
    )
    return submit_job(owner=owner, request=request)


def _owner(username: str | None) -> User:
    people = User.objects.filter(is_active=True).order_by("pk")
    owner = (people.filter(username=username) if username else people.filter(is_superuser=True)).first()
    if owner is None:
        who = f"There is no active person called {username}." if username else "There is no administrator yet."
        _exit(BAD_INPUT, f"{who} Run scripts/start once, or manage.py bootstrap.")
    return owner


def _store(job: VideoJob) -> None:
    attempt = job.attempts.filter(ended_at=None).first()
    if attempt is not None:
        outputs.store(attempt_id=str(attempt.pk))


def _cancel(job: VideoJob) -> None:
    """Cancel, and give the dispatcher time to stop the render at its engine. A second Ctrl-C does not wait."""
    with suppress(AlreadyOver, KeyboardInterrupt):
        cancel_job(job=job)
        deadline = time.monotonic() + TELL_ENGINE_WITHIN_S
        while VideoJob.objects.filter(pk=job.pk).exclude(lease_token="").exists() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)


def _writable(target: Path) -> Path:
    """Found out before the render, not after it."""
    if target.is_dir() or not target.parent.is_dir():
        _exit(BAD_INPUT, f"{target} is no file name in an existing folder.")
    try:
        with _beside(target):
            return target
    except OSError as exc:
        _exit(BAD_INPUT, f"{target} cannot be written ({exc.strerror}).")


def _free_name(picture: Path) -> Path:
    stem, number = picture.stem or "video", 1
    while (target := Path.cwd() / (f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4")).exists():
        number += 1
    return _writable(target)


def _copy(key: str, target: Path) -> None:
    """Whole or not at all: a half-written video under the wanted name would look finished."""
    with default_storage.open(key, "rb") as source, _beside(target) as part:
        with part.open("wb") as file:
            while piece := source.read(COPY_BYTES):
                file.write(piece)
        part.replace(target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    part = target.with_name(f".{target.name}.part")
    part.touch()
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _exit(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)
