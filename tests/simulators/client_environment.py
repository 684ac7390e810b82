"""Official clients, each in a virtual environment of its own: what they pin collides with what we use."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.services import give_up

INSTALL_SECONDS = 400


def programs_of(package: str, version: str) -> Path:
    """The folder with its programs and its interpreter, made once per computer; the test gives up without it."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(tempfile.gettempdir()) / f"{package}-{version}-py{python}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _install(f"{package}=={version}", folder)
    return folder / "bin"


def _install(requirement: str, folder: Path) -> None:
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=120)
        command = [str(folder / "bin" / "pip"), "install", "--quiet", requirement]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        reason = str(exc.stderr or exc).strip().splitlines()[-1:]
        give_up(f"pip cannot install {requirement}: {reason}")
    (folder / "installed").touch()
