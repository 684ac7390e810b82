"""kill -9 at every step of making a clip, with real processes: another one makes it, once, and nothing is left over."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generation.numbered import film, grey_of
from tests.running import ROOT, RunningPlatform

pytestmark = pytest.mark.timeout(180)

POINTS = ["clip.claimed", "clip.made", "clip.put", "clip.done"]

ASK = """
import pathlib
from tests.generation.numbered import finished
from django.contrib.auth.models import User
from generation.services.clips import Part, make_clip
ada = User.objects.create_user("ada")
job = finished(ada, pathlib.Path({film!r}).read_bytes())
for _ in range({count}):
    print(make_clip(owner=ada, kind="trim", parts=[Part(job, 1, 4)]).pk)
"""
MAKE = "from generation.services.clips import store_clip; store_clip(clip_id={pk!r})"
# Later: the leases are over, the sweep looks, and the tasks that it rings for are run by another worker.
RECOVER = """
from datetime import timedelta
from django.utils import timezone
from django_q.models import OrmQ
from generation.models import Clip
from generation.services.clip_sweeping import ring_for_clips
from generation.services.clips import store_clip
Clip.objects.filter(state="making").update(lease_until=timezone.now() - timedelta(seconds=1))
OrmQ.objects.all().delete()
ring_for_clips()
for row in OrmQ.objects.all():
    store_clip(clip_id=row.task["args"][0])
    store_clip(clip_id=row.task["args"][0])
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    running = RunningPlatform(tmp_path_factory.mktemp("platform"), QUEUE_WORKERS="9", LEASE_SECONDS="60")
    yield running
    running.stop()


def shell(running: RunningPlatform, code: str) -> str:
    return running.manage("shell", "--no-imports", "-c", code)


def killed(running: RunningPlatform, pk: str, point: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", MAKE.format(pk=pk)]
    env = running.env | {"I2V_CRASH_AT": point}
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)


def test_a_clip_survives_a_kill_at_every_step(platform: RunningPlatform, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(film([grey_of(number) for number in range(6)]))
    clips = shell(platform, ASK.format(film=str(source), count=len(POINTS))).split()
    workers = [killed(platform, pk, point) for pk, point in zip(clips, POINTS, strict=True)]
    for worker, point in zip(workers, POINTS, strict=True):
        said = worker.communicate()[1]
        assert f"crashpoint {point}" in said, said
        assert worker.returncode == -9
    shell(platform, RECOVER)

    rows = platform.rows("SELECT id, state, tries, frames FROM generation_clip")
    assert {pk: row for pk, *row in rows} == {
        pk.replace("-", ""): ["done", 1 if point == "clip.done" else 2, 3]
        for pk, point in zip(clips, POINTS, strict=True)
    }
    kept = {key for row in platform.rows("SELECT key, poster_key FROM generation_clip") for key in row}
    files = platform.folder / "files"
    assert {path.relative_to(files).as_posix() for path in files.glob("clip/*/*")} == kept
