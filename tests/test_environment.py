"""The environment that scripts/start makes for itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

PROGRAM = "import _bootstrap; print(_bootstrap.environment('.venv', 'requirements.lock'))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without dependencies, so that nothing is downloaded."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "_bootstrap.py", tmp_path / "scripts")
    (tmp_path / "requirements.lock").write_text("# nothing\n")
    return tmp_path


def make(project: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, cwd=project / "scripts", capture_output=True, text=True, check=False)


def test_the_environment_is_made_once_and_reused(project: Path) -> None:
    first, second = make(project), make(project)

    assert "Making .venv" in first.stdout
    assert second.stdout == f"{project}/.venv/bin/python\n"


def test_a_changed_lock_brings_the_environment_up_to_date(project: Path) -> None:
    make(project)
    (project / "requirements.lock").write_text("# something else\n")

    assert "Bringing .venv up to date" in make(project).stdout
    assert make(project).stdout == f"{project}/.venv/bin/python\n"


def test_an_interrupted_installation_is_begun_anew(project: Path) -> None:
    make(project)
    (project / ".venv" / "i2v-stamp").unlink()
    (project / ".venv" / "i2v-incomplete").touch()
    (project / ".venv" / "half").touch()

    assert "Making .venv" in make(project).stdout
    assert not (project / ".venv" / "half").exists()
    assert not (project / ".venv" / "i2v-incomplete").exists()


def test_a_package_without_its_hash_is_refused_in_one_sentence(project: Path) -> None:
    (project / "requirements.lock").write_text("rich==15.0.0\n")

    done = make(project)

    assert done.returncode == 1
    assert done.stderr.startswith("The packages could not be installed (")
    assert len(done.stderr.splitlines()) == 1


def test_an_old_python_is_told_what_is_needed(project: Path) -> None:
    program = f"import sys; sys.version_info = (3, 9, 2); {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project / "scripts", capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
