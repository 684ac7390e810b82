"""kill -9 at every phase, against the SwarmUI simulator: one render per job is started and no job is lost."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import factories
from tests.running import RunningPlatform, until
from tests.simulators.swarmui import SwarmSimulator

pytestmark = pytest.mark.timeout(180)

DISPATCHER_POINTS = ["render.before_sending", "render.sending_saved", "render.result_known", "render.storing_saved"]
WORKER_POINTS = ["store.claimed", "store.fetched", "store.signed", "store.put", "store.succeeded"]


@pytest.fixture(scope="module")
def swarm() -> Iterator[SwarmSimulator]:
    with SwarmSimulator(time_scale=1, seconds=1.5, load_seconds=0.2, cheap=True) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, swarm: SwarmSimulator) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("platform")
    host = swarm.url.removeprefix("http://")
    platform = RunningPlatform(folder, SWARMUI_PRIVATE_HOSTS=host, SWARMUI_ABSENT_SECONDS="1")
    try:
        platform.start("web")
        platform.api.post("/api/gpu/config", json={"swarmui_url": swarm.url}).raise_for_status()
        yield platform
    finally:
        sys.stderr.write(platform.logs())
        platform.stop()


@pytest.fixture(autouse=True)
def nothing_left(running: RunningPlatform) -> Iterator[None]:
    yield
    for name in ("dispatcher", "worker"):
        with suppress(KeyError):
            running.kill(name)


def submit(running: RunningPlatform) -> str:
    answer = running.api.post(
        "/api/jobs",
        data={"prompt": "the dog runs", "model": "wan-2-2", "size": "256x256", "num_frames": 9},
        files={"image": ("dog.png", factories.png(256, 256))},
    )
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["id"])


def finish(running: RunningPlatform, pk: str) -> None:
    until(running.has_status(pk, "succeeded", "failed"), what=f"the end of {pk}")
    job = running.job(pk)
    assert job["status"] == "succeeded", job
    assert running.api.get(job["video_url"]).content[4:8] == b"ftyp"


@pytest.mark.parametrize("point", DISPATCHER_POINTS)
def test_a_dispatcher_killed_at_a_named_point_starts_one_render(
    running: RunningPlatform, swarm: SwarmSimulator, point: str
) -> None:
    started = swarm.state()["started"]
    running.start("dispatcher", I2V_CRASH_AT=point)
    pk = submit(running)
    until(lambda: running.has_crashed("dispatcher", point), what=point)
    running.kill("dispatcher")

    running.start("dispatcher")
    running.start("worker")

    finish(running, pk)
    assert swarm.state()["started"] - started == 1


@pytest.mark.parametrize("phase", ["waiting", "rendering"])
def test_a_dispatcher_killed_while_the_gpu_works_adopts_the_render(
    running: RunningPlatform, swarm: SwarmSimulator, phase: str
) -> None:
    started = swarm.state()["started"]
    running.start("dispatcher")
    pk = submit(running)
    until(lambda: swarm.state()["started"] > started, what="the render to start")
    if phase == "rendering":
        until(lambda: running.job(pk)["progress"] > 0.1, what="progress")
    running.kill("dispatcher")

    running.start("dispatcher")
    running.start("worker")

    finish(running, pk)
    assert swarm.state()["started"] - started == 1


def test_a_result_that_is_ready_while_nobody_looks_is_found(running: RunningPlatform, swarm: SwarmSimulator) -> None:
    before = swarm.state()
    running.start("dispatcher")
    pk = submit(running)
    until(lambda: swarm.state()["started"] > before["started"], what="the render to start")
    running.kill("dispatcher")
    until(lambda: swarm.state()["finished"] > before["finished"], what="the render to end")

    running.start("dispatcher")
    running.start("worker")

    finish(running, pk)
    assert swarm.state()["started"] - before["started"] == 1


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_killed_while_it_stores_loses_nothing(
    running: RunningPlatform, swarm: SwarmSimulator, point: str
) -> None:
    started = swarm.state()["started"]
    running.start("dispatcher")
    running.start("worker", I2V_CRASH_AT=point)
    pk = submit(running)
    until(lambda: running.has_crashed("worker", point), what=point)
    running.kill("worker")

    running.start("worker")

    finish(running, pk)
    assert swarm.state()["started"] - started == 1


def test_the_web_process_killed_in_between_loses_nothing(running: RunningPlatform, swarm: SwarmSimulator) -> None:
    started = swarm.state()["started"]
    pk = submit(running)
    running.kill("web")
    running.start("dispatcher")
    running.start("worker")
    running.start("web")

    finish(running, pk)
    assert swarm.state()["started"] - started == 1
