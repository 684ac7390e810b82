"""500 videos for a fal.ai that loses answers, resets connections and dawdles: no call is ever paid for twice.

No worker runs, so finished videos wait to be stored; at the end they are cancelled, which a video that was made is
billed for. Then our books must say to the cent what the simulator's own ledger says.
"""

import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.running import RunningPlatform, until
from tests.simulators.fal import FalSimulator

pytestmark = pytest.mark.timeout(600)

VIDEOS = 500
# Where nothing was taken, fal.ai gets no new videos for ten seconds: such faults are few, or the test takes for ever.
FAULTS = {
    "upload": {"lost": 0.004, "503": 0.004},
    "submit": {
        "lost": 0.05,
        "500": 0.05,
        "ingress": 0.02,
        "429": 0.006,
        "slow": 0.05,
        "lost_after": 0.08,
        "502_after": 0.05,
        "504_after": 0.03,
        "garbage_after": 0.03,
        "slow_after": 0.05,
    },
    "status": {"lost": 0.05, "503": 0.05, "unknown_word": 0.02, "says_queued": 0.02},
    "result": {"lost": 0.05, "503": 0.05, "not_ready": 0.02},
    "platform": {"lost": 0.05, "500": 0.05, "no_rows": 0.05},
}
FATES = {"fail_internal": 0.04, "fail_input": 0.02, "no_units": 0.05, "slow": 0.02}

SUBMIT = """
import io
from django.contrib.auth.models import User
from PIL import Image
from generation.services import intake, jobs
from gpu.models import GpuConfig
file = io.BytesIO()
Image.linear_gradient("L").save(file, "PNG")
file.seek(0)
GpuConfig.objects.update_or_create(pk=1, defaults={{"daily_cap_usd": 900, "monthly_cap_usd": 900}})
owner = User.objects.get(username="admin")
image = intake.store_picture(owner=owner, file=file, name="gradient.png")
for number in range({videos}):
    jobs.submit_job(
        owner=owner,
        request=jobs.JobRequest(prompt=f"video {{number}}", image=image, model="fal-wan-2-2-turbo", size="832x480"),
    )
"""
CANCEL = """
from generation.models import Status, VideoJob
from generation.services import jobs
for job in VideoJob.objects.filter(status=Status.STORING):
    jobs.cancel_job(job=job)
"""
STATES = "SELECT status, count(*) FROM generation_videojob GROUP BY status"
OPEN = "SELECT count(*) FROM generation_videojob WHERE NOT cost_is_final"
PROMISED = "SELECT coalesce(sum(reserved_usd), 0) FROM gpu_purse"
CLOUD = "SELECT usd FROM gpu_ledgerentry WHERE book = 'cloud' AND kind IN ('spend', 'correct')"
SENT = "SELECT nonce, error_code FROM generation_attempt WHERE sent_at IS NOT NULL"


def is_rendered(running: RunningPlatform) -> bool:
    return not {"queued", "rendering"} & {status for status, _ in running.rows(STATES)}


def nonce_of(request: dict[str, Any]) -> str:
    """Of the attempt that the request was sent for: the uploaded picture is called by it."""
    return str(re.findall(r"[0-9a-f]{32}", json.dumps(request["input"]))[0])


def dollars(rows: list[tuple[Any, ...]]) -> Decimal:
    return sum((Decimal(str(usd)) for (usd,) in rows), Decimal(0)).quantize(Decimal("0.000001"))


def test_500_videos_through_every_fault_are_paid_for_once_each(tmp_path: Path) -> None:
    with FalSimulator(seconds=0.2) as fal:
        fal.script(fail_chance=FAULTS, fate_chance=FATES, slow_factor=5, slow_real_seconds=0.2, seed=7)
        urls = (fal.queue_url, fal.rest_url, fal.media_url, fal.api_url)
        running = RunningPlatform(
            tmp_path,
            FAL_KEY=fal.api_key,
            FAL_QUEUE_URL=fal.queue_url,
            FAL_REST_URL=fal.rest_url,
            FAL_API_URL=fal.api_url,
            FAL_PRIVATE_HOSTS=",".join(urlsplit(url).netloc for url in urls),
            FAL_OUTCOME_MINUTES="1",
            FAL_CONCURRENCY="500",
            MAX_OPEN_JOBS="1000",
        )
        try:
            raise_caps = (
                "from gpu.models import GpuConfig; GpuConfig.objects.update(daily_cap_usd=900, monthly_cap_usd=900)"
            )
            running.manage("shell", "--no-imports", "-c", raise_caps)
            running.manage("shell", "--no-imports", "-c", SUBMIT.format(videos=VIDEOS))
            running.start("dispatcher")
            until(lambda: is_rendered(running), seconds=400, what="the end of all renders")
            running.manage("shell", "--no-imports", "-c", CANCEL)
            until(lambda: running.rows(OPEN) == [(0,)], seconds=120, what="every promise to be closed")
            running.manage("ledger")
            states, sent = dict(running.rows(STATES)), dict(running.rows(SENT))
            promised, cloud = dollars(running.rows(PROMISED)), dollars(running.rows(CLOUD))
        finally:
            running.stop()
        accepted = fal.requests()

    named = Counter(nonce_of(row) for row in accepted)
    billed = {nonce_of(row): Decimal(row["billed"]) for row in accepted}
    unseen = [nonce for nonce, code in sent.items() if code == "outcome_unknown" and not billed.get(nonce)]
    assert sum(states.values()) == VIDEOS
    assert set(named) <= set(sent)
    assert max(named.values()) == 1
    assert promised == 0
    # A call that nobody could ever tell about stays on the operator's books, although it was never accepted.
    assert cloud == sum(billed.values()) + len(unseen) * Decimal("0.05")
    assert states.get("cancelled", 0) > VIDEOS * 0.8
