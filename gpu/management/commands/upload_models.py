"""Model files from this computer into the bucket, where rented machines fetch them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gpu.models import ModelFile
from gpu.services import model_files, model_uploads
from i2v_site.errors import DomainError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
EXIT_CODES = """exit codes: 0 everything is in the bucket; 1 something is not; 2 a path, a name or a setting was
refused; 130 interrupted with Ctrl-C (run it again, it goes on where it was)"""


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    row: ModelFile


class Command(BaseCommand):
    help = f"Upload model files for rented machines and register them. {EXIT_CODES}"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "paths",
            nargs="*",
            type=Path,
            help="files, or folders with known files, laid out like SwarmUI's Models or flat",
        )
        parser.add_argument("--folder", help="below SwarmUI's Models, for files that are not known yet: Lora/Wan")
        parser.add_argument("--needed-by", action="append", metavar="SLUG", help="catalogue row; repeat it; none: all")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument("--verify", action="store_true", help="read everything back from the bucket and compare")

    def handle(self, *, paths: list[Path], verify: bool, dry_run: bool, **options: Any) -> None:
        self.console = Console(stderr=True, highlight=False)
        if not paths and not verify:
            _exit(BAD_INPUT, "Name files or a folder to upload, or --verify.")
        try:
            model_files.bucket_client()
            sources = [one for path in paths for one in _sources(path, options["folder"], options["needed_by"])]
            failed = self._upload(sources, dry_run=dry_run)
            if verify and not dry_run:
                failed += self._verify(sources)
        except DomainError as exc:
            _exit(BAD_INPUT, exc.message)
        except KeyboardInterrupt:
            _exit(INTERRUPTED, "Interrupted. Run it again: it goes on where it was.")
        self._say_what_is_missing()
        if failed:
            _exit(FAILED, f"Not in the bucket as it should be: {', '.join(failed)}")

    def _upload(self, sources: list[Source], *, dry_run: bool) -> list[str]:
        failed = []
        for source in sources:
            try:
                self._upload_one(source, dry_run=dry_run)
            except (OSError, ClientError, BotoCoreError) as exc:
                self.console.print(f"{source.row}: {_reason(exc)}")
                failed.append(source.row.name)
        return failed

    def _upload_one(self, source: Source, *, dry_run: bool) -> None:
        row, size = source.row, source.path.stat().st_size
        with self._bar(f"sum {row.name}", size) as advance:
            sha256 = model_uploads.checksum(source.path, advance=advance)
        there = model_uploads.is_there(row, size_bytes=size, sha256=sha256)
        if dry_run:
            self.stdout.write(f"{'there already' if there else 'would upload'}: {row} ({_gb(size)}) to {row.r2_key}")
            return
        with self._bar(f"send {row.name}", size) as advance:
            model_uploads.upload(row, source.path, advance=advance)
        self.stdout.write(f"{'there already' if there else 'uploaded'}: {row} ({_gb(size)}) {sha256}")

    def _verify(self, sources: list[Source]) -> list[str]:
        named = {one.row.name for one in sources}
        failed = []
        for row in model_files.known_files():
            if not model_files.is_uploaded(row) or (named and row.name not in named):
                continue
            with self._bar(f"verify {row.name}", row.size_bytes) as advance:
                good = model_uploads.verify(row, advance=advance)
            self.stdout.write(f"{'verified' if good else 'WRONG'}: {row}")
            failed += [] if good else [row.name]
        return failed

    def _say_what_is_missing(self) -> None:
        for row in model_files.known_files():
            if not model_files.is_uploaded(row):
                self.console.print(f"still to be uploaded: {row}")

    @contextmanager
    def _bar(self, what: str, size: int) -> Iterator[Callable[[int], None]]:
        """One line that fills up, with speed and time left; what it gives out counts bytes."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=self.console) as bar:
            task = bar.add_task(what, total=size)
            yield lambda count: bar.advance(task, count)


def _sources(path: Path, folder: str | None, needed_by: list[str] | None) -> list[Source]:
    if path.is_file():
        known = model_files.find(path.name)
        target = known.folder if known else folder
        if target is None:
            _exit(BAD_INPUT, f"{path.name} is not known yet: say with --folder where SwarmUI looks for it.")
        return [Source(path, model_files.planned(name=path.name, folder=target, needed_by=needed_by))]
    if not path.is_dir():
        _exit(BAD_INPUT, f"{path} does not exist.")
    found = [
        Source(place, row)
        for row in model_files.known_files()
        for place in (path / row.folder / row.name, path / row.name)
        if place.is_file()
    ]
    if not found:
        _exit(BAD_INPUT, f"None of the known files is in {path}.")
    return found


def _reason(exc: Exception) -> str:
    if isinstance(exc, ClientError):
        # Its text may quote the request; the code says enough.
        return f"the bucket says {exc.response.get('Error', {}).get('Code', 'no')}"
    if isinstance(exc, OSError):
        return f"{exc.filename or 'the file'} cannot be read ({exc.strerror or exc})"
    return f"the bucket does not answer ({type(exc).__name__})"


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _exit(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)
