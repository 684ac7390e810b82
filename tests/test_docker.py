"""The image of a rented machine, as far as that can be judged without building it, and the shell that runs there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.services.provisioning import SWARMUI_PORT
from tests.services import missing

DOCKER = Path(__file__).parents[1] / "docker"
DOCKERFILE = DOCKER / "Dockerfile.swarmui"
START = Path(__file__).parents[1] / "gpu" / "machine" / "start.sh"


def complaints(tool: str, *arguments: object) -> str:
    found = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        missing(tool, "a development dependency")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False).stdout


def test_the_dockerfile_is_clean() -> None:
    assert complaints("hadolint", "--no-color", DOCKERFILE) == ""


@pytest.mark.parametrize("script", [START, DOCKER / "swarmui" / "swarmui.sh"], ids=lambda path: path.name)
def test_the_scripts_of_a_machine_are_clean(script: Path) -> None:
    assert complaints("shellcheck", "--shell=bash", "--exclude=SC1091", script) == ""


def test_everything_is_pinned_and_every_pin_is_explained() -> None:
    text = DOCKERFILE.read_text()
    pins = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))

    assert set(pins) == set(re.findall(r"\$\{?([A-Z_]+)\}?", text)) & set(pins)
    for name, value in pins.items():
        assert re.search(rf"^# {name}\b", text, re.MULTILINE), f"{name} is not explained"
        assert re.fullmatch(r"[0-9a-f]{40}|\d+\.\d+\.\d+|\S+:\S*\d\S*", value), f"{name} is not pinned"
        assert "latest" not in value
    assert not re.search(r"git clone|--branch|@main|@master", text)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("Settings.fds", "\tImageMetadataIncludeModelHash: false"),
        ("Settings.fds", "\tPortCanChange: false"),
        ("Backends.fds", "\t\tAutoUpdate: false"),
        ("Backends.fds", "\t\tExtraArgs: --use-sage-attention"),
        ("swarmui.conf", "user=user"),
    ],
)
def test_the_settings_are_those_of_a_machine_that_nobody_watches(file: str, line: str) -> None:
    assert line in (DOCKER / "swarmui" / file).read_text().splitlines()


def test_swarmui_listens_only_behind_the_gate() -> None:
    # Caddy takes the outer port; the inner one is PORTAL_CONFIG's.
    inner = f"1{SWARMUI_PORT}"
    start = (DOCKER / "swarmui" / "swarmui.sh").read_text()

    assert f"--host 127.0.0.1 --port {inner}" in start
    assert f"127.0.0.1:{inner}" in DOCKERFILE.read_text()


def test_what_is_copied_exists() -> None:
    copied = re.findall(r"(?<=\s)swarmui/\S+", DOCKERFILE.read_text())

    assert copied
    assert all((DOCKER / name).is_file() for name in copied)
