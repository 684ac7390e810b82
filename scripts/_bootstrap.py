"""Makes a Python environment from a hash-pinned lock. Standard library only: nothing is installed yet."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def environment(name: str, lock_name: str) -> str:
    """The Python of the environment `name`, made or brought up to date when the lock has changed."""
    if sys.version_info < (3, 11):  # noqa: UP036 (this file also has to run where it is older)
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Run: python3.11 {sys.argv[0]}")
    folder, lock = os.path.join(ROOT, name), os.path.join(ROOT, lock_name)
    python = os.path.join(folder, "bin", "python")
    with open(lock, "rb") as file:
        wanted = f"{hashlib.sha256(file.read()).hexdigest()} {sys.version_info[:2]} {folder}"
    with _one_at_a_time():
        if _read(os.path.join(folder, "i2v-stamp")) != wanted or not os.path.exists(python):
            _make(folder, python, lock)
            _write(os.path.join(folder, "i2v-stamp"), wanted)
    return python


def _make(folder: str, python: str, lock: str) -> None:
    marker = os.path.join(folder, "i2v-incomplete")
    # An interrupted installation looks complete to pip: only a fresh start repairs it.
    if os.path.exists(marker) or not _works(python):
        print(f"Making {os.path.basename(folder)} (once; it takes a minute) ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(
            [sys.executable, "-m", "venv", folder],
            "The environment could not be made. On Debian: apt install python3-venv",
        )
    else:
        print(f"Bringing {os.path.basename(folder)} up to date ...", flush=True)
    _write(marker, "")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock]
    _run(install, "The packages could not be installed")
    os.remove(marker)


def _works(python: str) -> bool:
    try:
        return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(argv: "list[str]", complaint: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        sys.exit(f"{complaint} ({lines[-1].strip() if lines else f'code {done.returncode}'}).")


@contextmanager
def _one_at_a_time() -> "Iterator[None]":
    """Two starts at once must not install into one folder."""
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as exc:
        sys.exit(f"{path} cannot be written ({exc.strerror}).")
