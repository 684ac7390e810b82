"""`manage.py generate`, as a person runs it: alone, with nothing else started."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import pytest

from tests import factories
from tests.running import ROOT, RunningPlatform, until


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A database with an administrator, and no process. Shared, because to make one takes seconds."""
    platform = RunningPlatform(tmp_path_factory.mktemp("data"))
    yield platform
    platform.stop()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(factories.png(256, 192))
    return path


def start(platform: RunningPlatform, *args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "manage.py"), "generate", *map(str, args)]
    # Whoever runs the tests in the background ignores Ctrl-C, and children inherit that.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command,
        cwd=platform.folder,
        env=platform.env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=listen,  # noqa: PLW1509 (it runs no code of ours between fork and exec)
    )


def generate(platform: RunningPlatform, *args: object) -> tuple[int, str, str]:
    """The exit code, and what was said on standard output and standard error."""
    process = start(platform, *args)
    said, complained = process.communicate(timeout=100)
    return process.returncode, said, complained


def test_a_picture_and_a_prompt_become_the_video_asked_for_though_nothing_else_runs(
    platform: RunningPlatform, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "wanted.mp4"

    code, said, complained = generate(
        platform, picture, "slow zoom in", "--frames", 17, "--size", "128x96", "--seed", 3, "--out", out
    )

    assert (code, said) == (0, f"{out}\n"), complained
    with av.open(str(out), "r") as video:
        frames = [(frame.width, frame.height) for frame in video.decode(video=0)]
    assert frames == [(128, 96)] * 17


def test_without_a_name_for_it_the_video_is_put_beside_earlier_ones(platform: RunningPlatform, picture: Path) -> None:
    (platform.folder / "picture.mp4").write_bytes(b"an earlier video")

    code, said, complained = generate(platform, picture, "pan", "--frames", 5, "--size", "128x96")

    assert (code, said) == (0, f"{platform.folder}/picture-2.mp4\n"), complained
    assert (platform.folder / "picture.mp4").read_bytes() == b"an earlier video"


@pytest.mark.parametrize(
    ("extra", "code", "why"),
    [
        (("--frames", 9999), 2, "num_frames: This model takes"),
        (("--model", "nonsense"), 2, "model: There is no such model"),
        (("--model", "wan-2-2"), 3, "needs a SwarmUI server"),
        (("--user", "nobody"), 2, "no active person called nobody"),
        (("--out", "/nowhere/video.mp4"), 2, "no file name in an existing folder"),
    ],
)
def test_a_refusal_has_its_exit_code_and_one_sentence(
    platform: RunningPlatform, picture: Path, extra: tuple[object, ...], code: int, why: str
) -> None:
    answer, said, complained = generate(platform, picture, "zoom", *extra)

    assert (answer, said) == (code, "")
    assert why in complained
    assert len(complained.splitlines()) == 1


def test_a_file_that_is_no_picture_is_refused(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")

    code, _said, complained = generate(platform, tmp_path / "notes.txt", "zoom")

    assert code == 2
    assert "not a picture" in complained


def test_ctrl_c_cancels_the_job_and_leaves_no_file(platform: RunningPlatform, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "never.mp4"
    process = start(platform, picture, "zoom", "--size", "1280x720", "--frames", "240", "--out", out)
    look = "from generation.models import *; print(getattr(VideoJob.objects.first(), 'status', ''))"
    until(lambda: "rendering" in platform.manage("shell", "-v0", "-c", look), what="the render")

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert "cancelled" in platform.manage("shell", "-v0", "-c", look)
    assert not out.exists()
