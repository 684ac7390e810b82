#!/usr/bin/env python3
"""How long a GPU idles between two videos: ours, a plain sequential client, and the best that is possible.

One simulated GPU, 20 jobs, a 5 MB picture up and a 10 MB video down per job. Time is scaled: renders are `--scale`
times as long and the line 1/`--scale` times as fast, so the relation of both stays. What our own code costs is not
scaled: a real GPU idles less than the table says.
"""

import argparse
import base64
import io
import os
import time
from dataclasses import dataclass
from typing import Any

import _bench
import httpx
from rich.table import Table

JOBS, SEQUENTIAL_JOBS = 20, 6
PICTURE_SIDES = (1536, 1088)  # noise of this size is a PNG of 5 MB
VIDEO_MB, GAP_S, FRAMES = 10, 0.05, 17
CASES = [(seconds, mbit) for seconds in (14, 71) for mbit in (20, 50, 100)]


@dataclass(frozen=True)
class Case:
    seconds: float
    mbit: float
    scale: float

    def options(self) -> list[str]:
        """For the simulator; its clock runs scaled, its line does not, so that is scaled here."""
        given = {
            "seconds": self.seconds,
            "gap-seconds": GAP_S,
            "load-seconds": 0,
            "time-scale": self.scale,
            "bandwidth-mbit": self.mbit / self.scale,
            "result-mb": VIDEO_MB,
        }
        return [part for name, value in given.items() for part in (f"--{name}", str(value))] + ["--cheap"]

    def limit(self) -> float:
        """The busy share of a GPU that always has the next job at hand."""
        return self.seconds / (self.seconds + GAP_S)


def busy_share(port: int) -> float:
    gpu = _bench.sim(port, "state")["gpus"][0]
    idle = sum(gpu["gaps_seconds"])
    return float(gpu["busy_seconds"] / (gpu["busy_seconds"] + idle))


def noise() -> bytes:
    from PIL import Image

    width, height = PICTURE_SIDES
    file = io.BytesIO()
    Image.frombytes("RGB", PICTURE_SIDES, os.urandom(width * height * 3)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def ours(case: Case, picture: bytes, port: int, found: _bench.Bench) -> float:
    """The real dispatcher and worker."""
    from django.contrib.auth.models import User

    from generation.models import Status, VideoJob
    from generation.services import intake
    from generation.services.jobs import JobRequest, submit_job

    owner, _ = User.objects.get_or_create(username="bench")
    image = intake.store_picture(owner=owner, file=io.BytesIO(picture), name="noise.png")
    simulator = _bench.simulator(found, port, *case.options())
    jobs = [
        submit_job(owner=owner, request=JobRequest(prompt=f"{case} {number}", image=image, model="wan-2-2"))
        for number in range(JOBS)
    ]
    left = VideoJob.objects.filter(pk__in=[job.pk for job in jobs]).exclude(status=Status.SUCCEEDED)
    _bench.wait_until(lambda: not left.exists(), what=f"{JOBS} videos")
    share = busy_share(port)
    simulator.terminate()
    simulator.wait()
    return share


def sequential(case: Case, picture: bytes, port: int, found: _bench.Bench) -> float:
    """What a script does: upload, submit, wait, download, store, next."""
    simulator = _bench.simulator(found, port, *case.options())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600, trust_env=False) as client:
        session = client.post("/API/GetNewSession", json={}).json()["session_id"]
        for number in range(SEQUENTIAL_JOBS):
            body = request_body(session, picture, number)
            answer = client.post("/API/GenerateText2Image", json=body).json()
            video = client.get("/" + answer["images"][0]).content
            (found.folder / f"{number}.mp4").write_bytes(video)
    share = busy_share(port)
    simulator.terminate()
    simulator.wait()
    return share


def request_body(session: str, picture: bytes, number: int) -> dict[str, Any]:
    """The same render that the engine asks for."""
    from generation.models import VideoModel

    model, (width, height) = VideoModel.objects.get(slug="wan-2-2"), PICTURE_SIDES
    return {
        "session_id": session,
        "images": 1,
        "prompt": f"sequential {number}",
        "model": model.high_noise_model,
        "videomodel": model.high_noise_model,
        "videoswapmodel": model.low_noise_model,
        "initimage": base64.b64encode(picture).decode(),
        "initimagecreativity": 0,
        "videoresolution": "Image",
        "videoframes": FRAMES,
        "videosteps": 4,
        "videocfg": 1,
        "width": width,
        "height": height,
        "seed": number,
    }


def widen_model() -> None:
    """The catalogue's row takes no 5 MB picture as it is; the bench's own database may differ."""
    from generation.models import VideoModel

    width, height = PICTURE_SIDES
    VideoModel.objects.filter(slug="wan-2-2").update(
        max_side=2048, max_pixels=width * height, sizes=[f"{width}x{height}"], default_frames=FRAMES
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, help="default: 0.25 for 14 s, 0.05 for 71 s")
    scale = parser.parse_args().scale
    begun, port = time.monotonic(), _bench.free_port()
    table = Table(title=f"GPU busy, {JOBS} jobs ({_bench.machine()})")
    for heading in ("render", "line", "limit", "ours", "of the limit", "idle, ours", "sequential", "idle, sequential"):
        table.add_column(heading, justify="right")
    with _bench.bench(SWARMUI_PRIVATE_HOSTS=f"127.0.0.1:{port}") as found:
        widen_model()
        found.start("dispatcher", "manage.py", "dispatch")
        found.start("worker", "manage.py", "qcluster")
        picture = noise()
        for seconds, mbit in CASES:
            case = Case(seconds, mbit, scale or (0.25 if seconds < 30 else 0.05))
            share, plain = ours(case, picture, port, found), sequential(case, picture, port, found)
            shown = [case.limit(), share, share / case.limit(), 1 - share, plain, 1 - plain]
            table.add_row(f"{seconds} s", f"{mbit} Mbit/s", *(f"{value:.3f}" for value in shown))
            _bench.console.print(f"{seconds} s, {mbit} Mbit/s: ours {share:.3f}, sequential {plain:.3f}")
    _bench.console.print(table, f"{len(picture) / 1e6:.1f} MB up, {VIDEO_MB} MB down; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
