#!/usr/bin/env python3
"""Submits a second: the real API beside a bare DRF view that inserts one row. Same server, same database, one run.

SQLite by default, PostgreSQL when DATABASE_URL names an empty database. The load comes from this process over
kept-alive connections with requests made beforehand; it shares the cores with the server. They take turns, the
median counts.
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid

import _bench
from rich.table import Table

ROUND_S, ROUNDS, CONNECTIONS = 5.0, 5, 8


def http_request(path: str, body: dict[str, object], token: str) -> bytes:
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Token {token}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


async def answer(reader: asyncio.StreamReader) -> None:
    """Read one response; anything but a 201 ends the bench."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line[15:]) for line in head.splitlines() if line.startswith("content-length:"))
    body = await reader.readexactly(length)
    if " 201 " not in head.splitlines()[0]:
        raise RuntimeError(f"{head}{body.decode()[:300]}")


async def load(port: int, request: bytes) -> tuple[float, float]:
    """Answers a second, and the 95th percentile of their time in milliseconds."""
    times: list[float] = []
    end = time.perf_counter() + ROUND_S

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (begun := time.perf_counter()) < end:
            writer.write(request)
            await answer(reader)
            times.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return len(times) / ROUND_S, statistics.quantiles(times, n=20)[-1] * 1000


def prepare() -> tuple[str, dict[str, object], dict[str, object]]:
    """A token, the body of a real submit, and the row that the bare view inserts: the same job."""
    import io

    from django.contrib.auth.models import User
    from PIL import Image

    from generation.models import VideoModel
    from generation.services import intake
    from generation.services.bootstrap import create_token

    owner = User.objects.create_user(f"bench-{uuid.uuid4().hex[:8]}")
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    file.seek(0)
    image = intake.store_picture(owner=owner, file=file, name="gradient.png")
    model = VideoModel.objects.get(slug="motion-preview")
    real: dict[str, object] = {"prompt": "slow zoom in", "model": model.slug, "image_id": str(image.pk), "seed": 7}
    row = {"prompt": "slow zoom in", "model_id": model.pk, "image_id": str(image.pk), "seed": 7, "owner_id": owner.pk}
    chosen = {"frames": 81, "fps": 16, "steps": 1, "cfg_scale": 1.0, "width": 640, "height": 640}
    return create_token(user=owner, name="bench"), real, row | chosen


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    port = _bench.free_port()
    generous = {"MAX_OPEN_JOBS": "100000000", "THROTTLE_SUBMIT": "100000000/min"}
    with _bench.bench(DJANGO_SETTINGS_MODULE="scripts._bench_site", **generous) as found:
        from django.db import connection

        from generation.models import VideoJob

        token, real, bare = prepare()
        options = "--interface wsgi --no-ws --log-level warning --workers 2 --blocking-threads 4"
        found.start("web", "-m", "granian", *options.split(), "--port", str(port), "i2v_site.wsgi:application")
        _bench.wait_until(lambda: _bench.answers(f"http://127.0.0.1:{port}/health"), what="the server")
        requests = {
            "bare": http_request("/bare", bare, token),
            "bare, signed in": http_request("/signed-in", bare, token),
            "real": http_request("/api/jobs", real, token),
        }
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in requests}
        for _ in range(ROUNDS):
            for name, request in requests.items():
                seen[name].append(asyncio.run(load(port, request)))
                # Neither may profit or suffer from rows that the other left.
                VideoJob.objects.all().delete()
        table = Table(title=f"Submits a second, {connection.vendor}, {CONNECTIONS} connections ({_bench.machine()})")
        for heading in ("view", "a second (median)", "p95", "of the bare view"):
            table.add_column(heading, justify="right")
        median = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in seen.items()}
        for name, rounds in seen.items():
            p95 = statistics.median(value for _, value in rounds)
            table.add_row(name, f"{median[name]:.0f}", f"{p95:.0f} ms", f"{median[name] / median['bare']:.2f}")
        _bench.console.print(table)


if __name__ == "__main__":
    main()
