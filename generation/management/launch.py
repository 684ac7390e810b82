"""What `manage.py serve` does before its children start: look, prepare, and say what is wrong in one sentence."""

import hashlib
import os
import socket
import tempfile
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import DatabaseError, connection
from redis import Redis, RedisError

EXAMPLE_PICTURE = settings.BASE_DIR / "generation" / "static" / "generation" / "example.jpg"
EXAMPLE_PROMPT = "slow push in, gentle pan to the right"


class CannotStart(Exception):
    """One sentence for the person who started it."""


def check_ports(host: str, port: int) -> None:
    for number, use in ((port, "pages"), (port + 1, "live updates")):
        if not is_free(host, number):
            raise CannotStart(f"Port {number} (for {use}) is not free on {host}. Choose another with --port.")


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
        # As the servers do it: a port that only rests after its last owner is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1", *, together: int = 2) -> int:
    """The first of so many free ports side by side."""
    for _ in range(100):
        with closing(socket.socket()) as listener:
            listener.bind((host, 0))
            port = int(listener.getsockname()[1])
        if port + together <= 65_536 and all(is_free(host, port + number) for number in range(together)):
            return port
    raise CannotStart(f"There are no {together} free ports side by side.")


def check_folders() -> None:
    for folder in (settings.DATA_DIR, settings.SPOOL_DIR):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as exc:
            raise CannotStart(
                f"The data folder {folder} cannot be written ({exc.strerror}). Choose another with I2V_DATA_DIR."
            ) from exc


def check_services() -> None:
    """The database, and Redis and the bucket when they are configured, answer."""
    try:
        connection.ensure_connection()
    except DatabaseError as exc:
        raise CannotStart(f"The database does not answer: {_first_line(exc)}") from exc
    if settings.REDIS_URL:
        try:
            Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5).ping()
        except RedisError as exc:
            raise CannotStart(f"Redis (REDIS_URL) does not answer: {type(exc).__name__}.") from exc
    if settings.S3_BUCKET:
        try:
            default_storage.exists("ready-probe")
        except Exception as exc:
            # boto3 raises dozens of kinds; their texts hold addresses and key ids.
            raise CannotStart(f"The bucket {settings.S3_BUCKET} does not answer: {type(exc).__name__}.") from exc


def prepare() -> None:
    """Bring the database and the static files up to date; quick when they are."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as exc:
        raise CannotStart(f"The database could not be brought up to date: {_first_line(exc)}") from exc
    stamp, wanted = settings.STATIC_ROOT / ".collected", _static_fingerprint()
    if not stamp.exists() or stamp.read_text() != wanted:
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.write_text(wanted)


def _static_fingerprint() -> str:
    """Changes with every static file; compressing them all again would take seconds at each start."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            facts = os.stat(Path(storage.path(path)))
            digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
