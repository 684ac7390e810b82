"""The whole way on one machine: a video waits, a GPU is rented, boots, renders, is used up and given back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import factories
from tests.running import RunningPlatform, until
from tests.simulators.vastai import VastSimulator

pytestmark = pytest.mark.timeout(180)
POLICY = {"renting": True, "gpu_provider": "vastai", "max_machines": 1, "idle_minutes": 0, "image": "vastai/swarmui:1"}


@pytest.fixture
def vast() -> Iterator[VastSimulator]:
    with VastSimulator(scale=30, swarm={"seconds": 1.0, "time_scale": 1.0, "cheap": True}) as market:
        yield market


@pytest.fixture
def running(tmp_path: Path, vast: VastSimulator) -> Iterator[RunningPlatform]:
    platform = RunningPlatform(
        tmp_path, VASTAI_URL=vast.url, VASTAI_API_KEY=vast.api_key, RECONCILE_SECONDS="1", DEPLOYMENT="flow"
    )
    try:
        platform.manage("shell", "-c", f"from gpu.services.policy import save_policy; save_policy(values={POLICY!r})")
        for name in ("web", "worker", "dispatcher"):
            platform.start(name)
        yield platform
    finally:
        platform.stop()


def test_a_video_makes_a_gpu_come_and_go(running: RunningPlatform, vast: VastSimulator) -> None:
    answer = running.api.post(
        "/api/jobs",
        data={"prompt": "the dog runs", "model": "wan-2-2", "size": "256x256", "num_frames": 9},
        files={"image": ("dog.png", factories.png(256, 256))},
    )
    assert answer.status_code == 201, answer.text
    pk = answer.json()["id"]

    until(running.has_status(pk, "succeeded", "failed"), seconds=90, what="the video")
    assert running.job(pk)["status"] == "succeeded", running.logs()
    assert running.job(pk)["cost_usd"] > 0
    until(lambda: not vast.instances(alive=True), seconds=60, what="the machine to be given back")

    assert len(vast.instances()) == 1
    (machine,) = running.api.get("/api/gpu/instances").json()["results"]
    until(lambda: _state(running, machine["id"]) == "destroyed", seconds=60, what="the confirmation")


def _state(running: RunningPlatform, pk: str) -> str:
    return str(running.api.get(f"/api/gpu/instances/{pk}").json()["state"])
