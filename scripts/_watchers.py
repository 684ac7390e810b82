"""A thousand people who watch: streams of one live process, and how old an event is when it arrives."""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field
from uuid import UUID

import _bench
from bench_inflight import cpu_seconds, family, memory_mib

PEOPLE = 100
WRITE_EVERY_S = 1.0  # as a dispatcher writes its progress
STEPS = 1000


@dataclass(slots=True)
class Seen:
    """Seconds from the commit of a progress to its arrival at each watcher."""

    lags: list[float] = field(default_factory=list)
    open: int = 0
    all_open: asyncio.Event = field(default_factory=asyncio.Event)
    cpu: float = 0.0
    memory_mib: float = 0.0

    def p(self, share: float) -> float:
        return sorted(self.lags)[int(len(self.lags) * share)]

    @property
    def median(self) -> float:
        return statistics.median(self.lags)


def watched(found: _bench.Bench, *, watchers: int, seconds: float) -> Seen:
    """Open the streams, write progress once a second for everybody, and time what comes in."""
    port = _bench.free_port()
    live = found.start(
        "live", "-m", "uvicorn", "i2v_site.asgi:application", "--log-level", "warning", "--port", str(port)
    )
    _bench.wait_until(lambda: _bench.answers(f"http://127.0.0.1:{port}/health"), what="the live process")
    jobs = _rendering()
    seen = asyncio.run(_measure(port, jobs, watchers, seconds, live.pid))
    seen.memory_mib = memory_mib(family(live.pid))
    return seen


def _rendering() -> dict[int, UUID]:
    """A job in the making for each of PEOPLE; by their ids."""
    from django.contrib.auth.models import User

    from generation.models import Status, VideoJob, VideoModel

    model = VideoModel.objects.get(slug="motion-preview")
    chosen = {"frames": 81, "fps": 16, "steps": 1, "cfg_scale": 1.0, "seed": 1, "prompt": "watched"}
    found: dict[int, UUID] = {}
    for number in range(PEOPLE):
        owner = User.objects.create_user(f"watcher-{number}")
        job = VideoJob.objects.create(owner=owner, model=model, status=Status.RENDERING, **chosen)
        found[owner.pk] = job.pk
    return found


async def _measure(port: int, jobs: dict[int, UUID], watchers: int, seconds: float, pid: int) -> Seen:
    seen, written = Seen(), {0.0: time.time()}
    people = list(jobs)
    streams = [
        asyncio.create_task(_watch(port, people[number % PEOPLE], written, seen, watchers))
        for number in range(watchers)
    ]
    await seen.all_open.wait()
    before, begun = cpu_seconds(family(pid)), time.monotonic()
    await asyncio.to_thread(_write, list(jobs.values()), written, seconds)
    seen.cpu = (cpu_seconds(family(pid)) - before) / (time.monotonic() - begun)
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return seen


def _write(jobs: list[UUID], written: dict[float, float], seconds: float) -> None:
    from generation.models import VideoJob

    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end and step < STEPS - 1:
        step += 1
        # Before the commit: what the database takes for it counts as lag too.
        written[round(step / STEPS, 3)] = time.time()
        VideoJob.objects.filter(pk__in=jobs).update(progress=step / STEPS)
        time.sleep(WRITE_EVERY_S)


async def _watch(port: int, person: int, written: dict[float, float], seen: Seen, all_of_them: int) -> None:
    from generation.streams import ALL_JOBS, stream_token

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /events?token={stream_token(person, ALL_JOBS)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.splitlines()[0]:
        raise RuntimeError(head.decode())
    seen.open += 1
    if seen.open == all_of_them:
        seen.all_open.set()
    try:
        while line := await reader.readline():
            if line.startswith(b'data: {"id"'):
                progress = json.loads(line[6:]).get("progress")
                if progress:
                    seen.lags.append(time.time() - written[progress])
    finally:
        writer.close()
