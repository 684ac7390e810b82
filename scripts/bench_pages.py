#!/usr/bin/env python3
"""The pages of somebody with ten thousand videos: weight, time to first byte, queries; and a thousand watchers.

Weight is what Chromium receives at a first visit, without pictures and videos. Times are of single requests, one after
the other, against the real server; the load comes from this process, which shares the cores with it.
Run it with .venv-test/bin/python after scripts/test has made that environment. PostgreSQL: DATABASE_URL names an empty
database.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import _bench
import _watchers
import httpx
from rich.table import Table

ROUNDS = 40
MEDIA = ("Image", "Media")
DEEP = 40  # pages into the library


@dataclass(slots=True)
class Page:
    """What was seen of one page. Bytes as they were transferred, milliseconds."""

    queries: int = 0
    median_ms: float = 0.0
    p95_ms: float = 0.0
    kilobytes: float = 0.0


def addresses(owner: Any) -> dict[str, str]:
    from generation.models import Status, Tag, VideoJob

    rows = VideoJob.objects.filter(owner=owner, status=Status.SUCCEEDED)
    job, tag = rows.first(), Tag.objects.filter(owner=owner).first()
    return {
        "create": "/",
        "library": "/library",
        "library, a search": "/library?q=lake",
        "library, a search without a hit": "/library?q=zeppelin",
        "library, favourites": "/library?favourite=1",
        "library, one tag": f"/library?tag={tag.name if tag else ''}",
        "library, one model": "/library?model=motion-preview",
        "library, failed ones": "/library?status=failed",
        "a video": f"/jobs/{job.pk}" if job else "/",
        "queue": "/queue",
        "spending": "/spend",
    }


def deep_address(client: httpx.Client) -> str:
    """The library's page that comes after DEEP times "Show more"."""
    import re
    from html import unescape

    address = "/library"
    for _ in range(DEEP):
        following = re.search(r'href="(/library\?[^"]*before=[^"]*)"', client.get(address).text)
        if following is None:
            break
        address = unescape(following[1])
    return address


def session_of(owner: Any) -> str:
    from django.test import Client

    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies["sessionid"].value


def queries_of(owner: Any, address: str) -> int:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    client.get(address)  # what is cached for a while is not counted
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(address)
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    return len(seen)


def first_bytes(client: httpx.Client, address: str) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds to the first byte of the body."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with client.stream("GET", address) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            times.append((time.perf_counter() - begun) * 1000)
            for _ in pieces:  # to its end, so that the connection can be used again
                pass
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def weights(site: str, session: str, pages: dict[str, str]) -> dict[str, float]:
    """Kilobytes of each page for a browser that was never here."""
    from playwright.sync_api import sync_playwright

    found = {}
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or sys.exit("Chromium is needed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, address in pages.items():
            context = browser.new_context(service_workers="block")
            context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
            found[name] = _weight(context.new_page(), f"{site}{address}")
            context.close()
        browser.close()
    return found


def _weight(page: Any, address: str) -> float:
    kinds: dict[str, str] = {}
    total = [0.0]
    wire = page.context.new_cdp_session(page)
    wire.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))

    def finished(event: dict[str, Any]) -> None:
        if kinds.get(event["requestId"]) not in MEDIA:
            total[0] += event["encodedDataLength"]

    wire.on("Network.loadingFinished", finished)
    wire.send("Network.enable")
    page.goto(address, wait_until="load")
    page.wait_for_timeout(1_000)  # what scripts ask for after that belongs to the view as well
    return total[0] / 1024


def measure(found: _bench.Bench, videos: int) -> dict[str, Page]:
    from django.contrib.auth.models import User

    from tests.generation.library_rows import seed

    owner = User.objects.create_user("bench", password=None)
    seed(owner, videos)
    port = _bench.free_port()
    options = "--interface wsgi --no-ws --log-level warning --workers 2 --blocking-threads 4"
    found.start("web", "-m", "granian", *options.split(), "--port", str(port), "i2v_site.wsgi:application")
    site = f"http://127.0.0.1:{port}"
    _bench.wait_until(lambda: _bench.answers(f"{site}/health"), what="the server")
    session, pages = session_of(owner), addresses(owner)
    headers = {"Accept-Encoding": "gzip"}
    with httpx.Client(base_url=site, cookies={"sessionid": session}, headers=headers, trust_env=False) as client:
        pages["library, 40 pages on"] = deep_address(client)
        seen = {
            name: Page(queries_of(owner, address), *first_bytes(client, address)) for name, address in pages.items()
        }
    for name, kilobytes in weights(site, session, {"sign-in": "/account/login/", **pages}).items():
        seen.setdefault(name, Page()).kilobytes = kilobytes
    return seen


def show_pages(seen: dict[str, Page], videos: int, vendor: str) -> None:
    table = Table(title=f"Pages with {videos} videos, {vendor} ({_bench.machine()})")
    for heading in ("page", "queries", "first byte, median", "p95", "first view"):
        table.add_column(heading, justify="left" if heading == "page" else "right")
    for name, page in seen.items():
        times = [f"{page.median_ms:.0f} ms", f"{page.p95_ms:.0f} ms"] if page.p95_ms else ["", ""]
        table.add_row(name, f"{page.queries or ''}", *times, f"{page.kilobytes:.0f} KB")
    _bench.console.print(table)


def show_watchers(seen: _watchers.Seen) -> None:
    table = Table(title=f"{seen.open} watchers of {_watchers.PEOPLE} people on one live process ({_bench.machine()})")
    table.add_column("what")
    table.add_column("seen", justify="right")
    table.add_row("events that arrived", f"{len(seen.lags)}")
    table.add_row("age of an event, p50", f"{seen.median:.2f} s")
    table.add_row("age of an event, p95", f"{seen.p(0.95):.2f} s")
    table.add_row("age of an event, oldest", f"{max(seen.lags):.2f} s")
    table.add_row("CPU of the live process", f"{seen.cpu:.0%} of a core")
    table.add_row("memory of the live process (PSS)", f"{seen.memory_mib:.0f} MiB")
    _bench.console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60, help="how long they watch")
    options = parser.parse_args()
    with _bench.bench() as found:
        from django.db import connection

        found.manage("collectstatic", "--noinput", "-v0")
        show_pages(measure(found, options.videos), options.videos, connection.vendor)
        show_watchers(_watchers.watched(found, watchers=options.watchers, seconds=options.seconds))


if __name__ == "__main__":
    main()
