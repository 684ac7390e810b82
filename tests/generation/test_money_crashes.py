"""kill -9 at every step of a video's money, and 200 submits at once: against the real processes and a pretend fal.ai.

After each: the ledger adds up, nothing is promised for ever, nobody is charged twice, and no call is paid for twice.
"""

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import factories
from tests.running import ROOT, TOKEN, RunningPlatform, until
from tests.services import postgres_database
from tests.simulators.fal import FalSimulator

pytestmark = pytest.mark.timeout(300)

MODEL = "fal-wan-2-2"
WORDS = "the dog runs"

DISPATCHER_POINTS = [
    *("render.before_sending", "render.sending_saved", "fal.posted", "fal.request_id_saved", "fal.result_known"),
    *("render.result_known", "render.storing_saved"),
]
WORKER_POINTS = [
    *("store.claimed", "store.fetched", "store.signed", "store.put"),
    *("money.before_end", "money.settled", "money.after_end", "store.succeeded"),
]
END_POINTS = ["money.before_end", "money.settled", "money.after_end"]

# How often each subject was charged in each book, and what every book has spent.
CHARGES = "SELECT count(*) FROM gpu_ledgerentry WHERE kind = 'spend' GROUP BY subject, book ORDER BY 1 DESC LIMIT 1"
SPENT = "SELECT book, sum(usd) FROM gpu_ledgerentry WHERE kind IN ('spend', 'correct') GROUP BY book"
PROMISED = "SELECT coalesce(sum(reserved_usd), 0) FROM gpu_purse"
JOBS = "SELECT count(*), count(CASE WHEN cost_is_final THEN NULL ELSE 1 END) FROM generation_videojob"


@pytest.fixture(scope="module")
def fal() -> Iterator[FalSimulator]:
    with FalSimulator(seconds=0.3) as simulator:
        yield simulator


def environment(fal: FalSimulator, **env: str) -> dict[str, str]:
    urls = (fal.queue_url, fal.rest_url, fal.media_url, fal.api_url)
    own = {
        "FAL_KEY": fal.api_key,
        "FAL_QUEUE_URL": fal.queue_url,
        "FAL_REST_URL": fal.rest_url,
        "FAL_API_URL": fal.api_url,
        "FAL_PRIVATE_HOSTS": ",".join(urlsplit(url).netloc for url in urls),
        "MAX_OPEN_JOBS": "1000",
        "THROTTLE_SUBMIT": "100000/min",
        "FAL_OUTCOME_MINUTES": "1",
    }
    return own | env


def walk(points: list[str], *, postgres: list[str]) -> pytest.MarkDecorator:
    """Every point on SQLite; on PostgreSQL those that differ there: what is committed together, and what is not."""
    places = [("sqlite", point) for point in points] + [("postgres", point) for point in postgres]
    return pytest.mark.parametrize(("running", "point"), places, indirect=["running"])


@pytest.fixture(scope="module")
def platforms(
    tmp_path_factory: pytest.TempPathFactory, fal: FalSimulator
) -> Iterator[Callable[[str], RunningPlatform]]:
    """One platform a database, each started when a test first asks for it: pytest would start one for every point."""
    with ExitStack() as open_ones:

        @cache
        def platform_on(database: str) -> RunningPlatform:
            url = {"DATABASE_URL": open_ones.enter_context(postgres_database())} if database == "postgres" else {}
            platform = RunningPlatform(tmp_path_factory.mktemp(database), **environment(fal, **url))
            open_ones.callback(platform.stop)
            open_ones.callback(lambda: sys.stderr.write(platform.logs()))
            platform.start("web")
            return platform

        yield platform_on


@pytest.fixture
def running(request: pytest.FixtureRequest, platforms: Callable[[str], RunningPlatform]) -> RunningPlatform:
    return platforms(request.param)


@pytest.fixture(autouse=True)
def nothing_left(running: RunningPlatform, fal: FalSimulator) -> Iterator[None]:
    fal.script(fate_next=[], fail_next={})
    yield
    for name in ("dispatcher", "worker"):
        with suppress(KeyError):
            running.kill(name)


def shell(running: RunningPlatform, code: str) -> str:
    return running.manage("shell", "--no-imports", "-c", code)


def books(running: RunningPlatform) -> dict[str, Any]:
    ((jobs, still_open),) = running.rows(JOBS)
    return {
        "jobs": jobs,
        "open": still_open,
        "most_charges": sum(row[0] for row in running.rows(CHARGES)),
        "spent": {book: round(float(usd), 6) for book, usd in running.rows(SPENT)},
        "promised": round(float(running.rows(PROMISED)[0][0]), 6),
    }


def submit(running: RunningPlatform, key: str = "", **values: Any) -> httpx.Response:
    return running.api.post(
        "/api/jobs",
        data={"prompt": WORDS, "model": MODEL, "size": "832x480"} | values,
        files={"image": ("dog.png", factories.png(256, 256))},
        headers={"Idempotency-Key": key} if key else {},
    )


def submitted(running: RunningPlatform) -> str:
    answer = submit(running)
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["id"])


def nothing_is_open(running: RunningPlatform) -> bool:
    found = books(running)
    return bool(found["promised"] == 0 and found["open"] == 0)


def adds_up(running: RunningPlatform) -> dict[str, Any]:
    until(lambda: nothing_is_open(running), seconds=90, what="every promise to be closed")
    running.manage("ledger")
    found = books(running)
    assert found["most_charges"] <= 1
    return found


@walk(["money.promised", "money.job_inserted", "money.job_committed"], postgres=["money.job_inserted"])
def test_a_submit_killed_anywhere_is_made_once_and_promised_once(running: RunningPlatform, point: str) -> None:
    before, key = books(running), str(uuid.uuid4())
    running.kill("web")
    running.start("web", I2V_CRASH_AT=point)
    with suppress(httpx.HTTPError):
        submit(running, key)
    until(lambda: running.has_crashed("web", point), what=point)
    running.kill("web")
    running.start("web")

    answer = until(lambda: _answered(running, key), what="the answer to the repetition")

    found = books(running)
    assert found["jobs"] == before["jobs"] + 1
    assert found["promised"] == pytest.approx(2 * found_price(running, answer))
    running.manage("ledger")
    running.api.post(f"/api/jobs/{answer['id']}/cancel").raise_for_status()
    assert books(running)["promised"] == 0


def _answered(running: RunningPlatform, key: str) -> dict[str, Any] | None:
    answer = submit(running, key)
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == 201 else None


def found_price(running: RunningPlatform, job: dict[str, Any]) -> float:
    plain = job["id"].replace("-", "")  # as SQLite keeps it
    ((reserved,),) = running.rows(
        f"SELECT reserved_usd FROM generation_videojob WHERE id IN ('{job['id']}', '{plain}')"
    )
    price = float(reserved)
    assert price > 0
    return price


def finish(running: RunningPlatform, pk: str, status: str = "succeeded") -> dict[str, Any]:
    until(running.has_status(pk, "succeeded", "failed", "cancelled"), seconds=150, what=f"the end of {pk}")
    job = running.job(pk)
    assert job["status"] == status, job
    return job


@walk(DISPATCHER_POINTS, postgres=["fal.posted", "render.storing_saved"])
def test_a_dispatcher_killed_anywhere_pays_for_one_call(
    running: RunningPlatform, fal: FalSimulator, point: str
) -> None:
    paid, before = len(fal.paid_requests()), books(running)
    running.start("dispatcher", I2V_CRASH_AT=point)
    pk = submitted(running)
    until(lambda: running.has_crashed("dispatcher", point), what=point)
    running.kill("dispatcher")
    running.start("dispatcher")
    running.start("worker")

    lost = point == "render.sending_saved"  # nobody can tell that the call was not made
    job = finish(running, pk, "failed" if lost else "succeeded")

    found = adds_up(running)
    assert len(fal.paid_requests()) - paid == (0 if lost else 1)
    charged = found["spent"].get("person", 0) - before["spent"].get("person", 0)
    assert charged == pytest.approx(job["cost_usd"])
    assert bool(charged) is not lost
    assert found["spent"]["cloud"] > before["spent"].get("cloud", 0)


@walk(WORKER_POINTS, postgres=["money.settled", "money.after_end"])
def test_a_worker_killed_while_it_stores_charges_once(running: RunningPlatform, fal: FalSimulator, point: str) -> None:
    paid, before = len(fal.paid_requests()), books(running)
    running.start("dispatcher")
    running.start("worker", I2V_CRASH_AT=point)
    pk = submitted(running)
    until(lambda: running.has_crashed("worker", point), what=point)
    running.kill("worker")
    running.start("worker")

    job = finish(running, pk)

    found = adds_up(running)
    assert len(fal.paid_requests()) - paid == 1
    assert found["spent"]["person"] - before["spent"].get("person", 0) == pytest.approx(job["cost_usd"])


@walk(END_POINTS, postgres=["money.settled"])
def test_a_dispatcher_killed_while_a_video_fails_gives_the_promise_back_once(
    running: RunningPlatform, fal: FalSimulator, point: str
) -> None:
    paid, before = len(fal.paid_requests()), books(running)
    fal.script(fate_next=["fail_policy"])
    running.start("dispatcher", I2V_CRASH_AT=point)
    pk = submitted(running)
    until(lambda: running.has_crashed("dispatcher", point), what=point)
    running.kill("dispatcher")
    running.start("dispatcher")
    running.start("worker")

    finish(running, pk, "failed")

    assert adds_up(running)["spent"] == before["spent"]
    assert len(fal.paid_requests()) == paid


@walk(END_POINTS, postgres=["money.settled"])
def test_a_cancel_killed_anywhere_keeps_or_closes_the_promise(
    running: RunningPlatform, fal: FalSimulator, point: str
) -> None:
    before = books(running)
    fal.script(fate_next=["stuck"])
    running.start("dispatcher")
    pk = submitted(running)
    until(lambda: running.job(pk)["status"] == "rendering" and _is_open(fal), what="the call")
    running.kill("web")
    running.start("web", I2V_CRASH_AT=point)
    with suppress(httpx.HTTPError):
        running.api.post(f"/api/jobs/{pk}/cancel")
    until(lambda: running.has_crashed("web", point), what=point)
    running.kill("web")
    running.start("web")
    running.api.post(f"/api/jobs/{pk}/cancel")

    finish(running, pk, "cancelled")

    assert adds_up(running)["spent"] == before["spent"]


def _is_open(fal: FalSimulator) -> bool:
    return any(row["status"] != "COMPLETED" for row in fal.requests()[-1:])


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_a_dispatcher_killed_when_it_has_just_learned_of_a_cancel_closes_once(
    running: RunningPlatform, fal: FalSimulator
) -> None:
    before = books(running)
    fal.script(fate_next=["stuck"])
    running.start("dispatcher", I2V_CRASH_AT="money.learned")
    pk = submitted(running)
    until(lambda: running.job(pk)["status"] == "rendering" and _is_open(fal), what="the call")
    running.api.post(f"/api/jobs/{pk}/cancel").raise_for_status()
    until(lambda: running.has_crashed("dispatcher", "money.learned"), what="the crash")
    running.kill("dispatcher")
    running.start("dispatcher")

    assert adds_up(running)["spent"] == before["spent"]


# A machine that is over, with two videos that have a provisional share.
MACHINE = """
import uuid
from datetime import timedelta
from decimal import Decimal
from django.contrib.auth.models import User
from django.utils import timezone
from generation.models import Attempt, VideoJob, VideoModel
from generation.services import jobs, settling, shares
from gpu.models import Book, Instance
from gpu.services import booking
now = timezone.now()
values = {"usd_per_hour": Decimal("0.36"), "spent_usd": Decimal("0.2"), "vast_id": uuid.uuid4().int % 10**9}
gpu = Instance.objects.create(label=str(uuid.uuid4()), state="destroyed", ended_at=now, sent_at=now, **values)
booking.write(booking.Line(
    book=Book.MACHINE, subject=gpu.pk, kind=booking.Kind.SPEND, usd=Decimal("0.2"), key=f"spend:{gpu.pk}:0"))
owner, model = User.objects.first(), VideoModel.objects.get(slug="wan-2-2")
for seconds in (100, 300):
    job = VideoJob(owner=owner, model=model, prompt="x", frames=9, fps=16, steps=4, cfg_scale=1, seed=1,
                   status="storing", reserved_usd=Decimal(1))
    settling.promise(job)
    job.save(force_insert=True)
    attempt = Attempt.objects.create(job=job, number=1, nonce=uuid.uuid4().hex, engine="swarmui", machine=gpu.pk,
                                     timings={"rendering": seconds})
    price = shares.price_of(attempt, seconds=seconds)
    values = jobs.ended("succeeded") | {"video_key": f"out/{job.pk}.mp4"}
    assert settling.end(VideoJob.objects.filter(pk=job.pk), values, price)
    Attempt.objects.update_or_create(pk=attempt.pk, defaults={
        "ended_at": now, "outcome": "stored", "cost_usd": price.direct_usd})
"""


@walk(["shares.before", "shares.booked", "shares.after"], postgres=["shares.booked"])
def test_shares_killed_anywhere_are_booked_once(running: RunningPlatform, point: str) -> None:
    before = books(running)
    shell(running, MACHINE)
    book = "from generation.services import shares; shares.book_shares()"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", book],
        cwd=ROOT,
        env=running.env | {"I2V_CRASH_AT": point},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"crashpoint {point}" in done.stderr
    shell(running, f"{book}; shares.book_shares(); shares.book_bills()")

    found = adds_up(running)

    assert found["spent"]["person"] - before["spent"].get("person", 0) == pytest.approx(0.2)


@pytest.mark.parametrize("running", ["sqlite", "postgres"], indirect=True)
def test_of_200_submits_at_once_exactly_those_are_taken_that_the_budget_allows(
    running: RunningPlatform, fal: FalSimulator
) -> None:
    first = submit(running).json()
    price = found_price(running, first)
    image_id = first["image_id"]
    running.api.post(f"/api/jobs/{first['id']}/cancel").raise_for_status()
    spent = shell(
        running,
        "from django.contrib.auth.models import User; from gpu.services import charges;"
        "owner = User.objects.get(video_jobs__pk='" + first["id"] + "');"
        "print(charges.headroom(owner.pk).person_day.used_usd)",
    )
    cap = float(spent) + 5 * price + price / 2
    shell(running, f"from gpu.models import GpuConfig; GpuConfig.objects.update(person_daily_cap_usd='{cap:.2f}')")
    url, headers = f"http://127.0.0.1:{running.port}/api/jobs", {"Authorization": f"Token {TOKEN}"}
    body = {"prompt": WORDS, "model": MODEL, "size": "832x480", "image_id": image_id}

    def ask(_: int) -> tuple[int, str]:
        answer = httpx.post(url, json=body, headers=headers, timeout=120)
        return answer.status_code, answer.json().get("error", {}).get("code", "") if answer.status_code > 299 else ""

    try:
        with ThreadPoolExecutor(50) as pool:
            answers = Counter(pool.map(ask, range(200)))
    finally:
        shell(running, "from gpu.models import GpuConfig; GpuConfig.objects.update(person_daily_cap_usd=None)")

    assert answers == {(201, ""): 5, (402, "cap_reached"): 195}
    assert books(running)["promised"] == pytest.approx(2 * 5 * price)
    running.manage("ledger")
    jobs = running.api.get("/api/jobs?status=queued&limit=100").json()
    for job in jobs["results"]:
        running.api.post(f"/api/jobs/{job['id']}/cancel").raise_for_status()
    assert books(running)["promised"] == 0
