#!/usr/bin/env python3
"""A thousand renders in flight in one dispatcher: memory of all our processes, age of the progress in the rows, CPU.

Every job has a simulated GPU of its own. The age is counted from the moment at which the simulator is due to send a
step to the moment at which the row shows it; the simulator's lateness and half our pause between two looks are in it.
"""

import argparse
import bisect
import io
import os
import statistics
import time
from pathlib import Path
from typing import Any

import _bench
from rich.table import Table

STEPS = 12
LOOK_EVERY_S = 0.25
RENDERED = 0.97  # the share of the bar that rendering fills


def submit(count: int) -> None:
    from django.contrib.auth.models import User
    from PIL import Image

    from generation.models import VideoModel
    from generation.services import intake
    from generation.services.jobs import JobRequest, submit_job

    VideoModel.objects.filter(slug="wan-2-2").update(sizes=["256x256"], default_frames=5)
    owner = User.objects.create_user("bench")
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    file.seek(0)
    image = intake.store_picture(owner=owner, file=file, name="gradient.png")
    for number in range(count):
        submit_job(owner=owner, request=JobRequest(prompt=f"render {number}", image=image, model="wan-2-2"))


def family(root: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def memory_mib(pids: list[int]) -> float:
    """Proportional set size: what these processes share with each other is counted once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Ages:
    """When each row first showed a higher progress, to be compared with when that was sent."""

    def __init__(self) -> None:
        self.first_seen: dict[tuple[str, float], float] = {}
        self._shown: dict[str, float] = {}

    def look(self) -> int:
        """Returns how many jobs render now."""
        from generation.models import Attempt, Status

        rows = list(Attempt.objects.filter(job__status=Status.RENDERING).values_list("nonce", "job__progress"))
        now = time.time()
        for nonce, progress in rows:
            if progress > self._shown.get(nonce, 0.0):
                self._shown[nonce] = progress
                self.first_seen[nonce, progress] = now
        return len(rows)

    def seconds(self, renders: list[dict[str, Any]], render_s: float) -> list[float]:
        """The age of every step that was seen. A row that skipped a step is compared with the step it shows."""
        started = {render["params"]["personalnote"]: render["started_at"] for render in renders}
        values, steps = rising()
        found = []
        for (nonce, progress), seen_at in self.first_seen.items():
            place = bisect.bisect_right(values, progress / RENDERED + 1e-6) - 1
            # The very first message is not a step: it comes with the start.
            if place >= 0 and started.get(nonce):
                found.append(seen_at - (started[nonce] + (steps[place] + 1) * render_s / STEPS))
        return found


def rising() -> tuple[list[float], list[int]]:
    """The values at which the simulator's bar rises, and the steps that bring them."""
    from tests.simulators.swarmui import progress

    values: list[float] = []
    steps: list[int] = []
    bursts = progress.messages(batch_index="0", request_id="", steps=STEPS, preview="x", odd_index=False)
    for step, message in enumerate(bursts):
        value = message["overall_percent"]
        # The first value is that of the message at the start, so its age cannot be told.
        if value > max([1 / (progress.NODES + 1) + 1e-9, *values]):
            values.append(value)
            steps.append(step)
    return values, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=180, help="length of one render")
    options = parser.parse_args()
    port = _bench.free_port()
    env = {
        "SWARMUI_PRIVATE_HOSTS": f"127.0.0.1:{port}",
        "SWARMUI_SEATS": str(options.renders),
        "DISPATCH_MAX_RENDERS": str(options.renders),
        "MAX_OPEN_JOBS": str(options.renders),
    }
    with _bench.bench(**env) as found:
        knobs = f"--seconds {options.seconds:g} --load-seconds 0 --cheap --gpus {options.renders}"
        _bench.simulator(found, port, *knobs.split())
        submit(options.renders)
        dispatcher = found.start("dispatcher", "manage.py", "dispatch")
        web = "-m granian --interface wsgi --no-ws --log-level warning --workers 2 --blocking-threads 4 --port"
        live = "-m uvicorn i2v_site.asgi:application --log-level warning --port"
        ours = [
            dispatcher,
            found.start("worker", "manage.py", "qcluster"),
            found.start("web", *web.split(), str(_bench.free_port()), "i2v_site.wsgi:application"),
            found.start("live", *live.split(), str(_bench.free_port())),
        ]
        watch(options, ours, dispatcher.pid, port)


def watch(options: argparse.Namespace, ours: list[Any], dispatcher: int, port: int) -> None:
    """Follow all renders to their end, then print what was seen."""
    from generation.models import Status, VideoJob

    ages, peak, most = Ages(), 0.0, 0
    begun, full = time.monotonic(), []
    # Until the last render has ended: one worker stores for many minutes after that, and it is not what is measured.
    while VideoJob.objects.filter(status__in=(Status.QUEUED, Status.RENDERING)).exists():
        rendering = ages.look()
        most = max(most, rendering)
        pids = [pid for process in ours for pid in family(process.pid)]
        peak = max(peak, memory_mib(pids))
        if rendering >= options.renders:
            full.append((time.monotonic(), cpu_seconds(family(dispatcher))))
        if time.monotonic() - begun > 1800:
            raise TimeoutError(f"{rendering} still render.")
        time.sleep(LOOK_EVERY_S)
    seconds = sorted(ages.seconds(_bench.sim(port, "renders")["renders"], options.seconds))
    state = _bench.sim(port, "state")
    table = Table(title=f"{options.renders} renders in one dispatcher ({_bench.machine()})")
    table.add_column("what")
    table.add_column("seen", justify="right")
    table.add_row("most in flight at once", f"{most}")
    table.add_row("renders started at the server", f"{state['started']}")
    table.add_row("peak memory of all our processes (PSS)", f"{peak:.0f} MiB")
    table.add_row("age of progress in the rows, p50", f"{statistics.median(seconds):.2f} s")
    table.add_row("age of progress in the rows, p95", f"{seconds[int(len(seconds) * 0.95)]:.2f} s")
    if len(full) > 1:
        (t0, c0), (t1, c1) = full[0], full[-1]
        table.add_row("CPU of the dispatcher with all in flight", f"{(c1 - c0) / (t1 - t0):.0%} of a core")
    table.add_row("jobs that failed", f"{VideoJob.objects.filter(status=Status.FAILED).count()}")
    table.add_row("all rendered after", f"{time.monotonic() - begun:.0f} s")
    _bench.console.print(table)


if __name__ == "__main__":
    main()
