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
FAULTS = {
    "upload": {"lost": 0.02, "503": 0.02},
    "submit": {
        "lost": 0.05,
        "500": 0.05,
        "ingress": 0.02,
        "429": 0.03,
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
LOOK = """
import json
from django.db.models import Count
from generation.models import Attempt, VideoJob
from gpu.models import LedgerEntry, Purse
attempts = Attempt.objects.exclude(sent_at=None).values("nonce", "job_id", "error_code")
spent = LedgerEntry.objects.filter(book="cloud", kind__in=("spend", "correct"))
print(json.dumps({
    "status": dict(VideoJob.objects.values_list("status").annotate(Count("pk"))),
    "attempts": [{**row, "job_id": str(row["job_id"])} for row in attempts],
    "open": VideoJob.objects.filter(cost_is_final=False).count(),
    "promised": str(sum(Purse.objects.values_list("reserved_usd", flat=True))),
    "cloud": str(sum(spent.values_list("usd", flat=True))),
    "unknown": list(map(str, Attempt.objects.filter(error_code="outcome_unknown").values_list("nonce", flat=True))),
}))
"""


def look(running: RunningPlatform) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.manage("shell", "--no-imports", "-c", LOOK))
    return found


def is_rendered(running: RunningPlatform) -> bool:
    return not {"queued", "rendering"} & set(look(running)["status"])


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
            FAL_CONCURRENCY="60",
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
            until(lambda: look(running)["open"] == 0, seconds=120, what="every promise to be closed")
            running.manage("ledger")
            found = look(running)
        finally:
            running.stop()
        accepted = fal.requests()

    sent = {row["nonce"] for row in found["attempts"]}
    named = Counter(re.findall(r"[0-9a-f]{32}", json.dumps(row["input"]))[0] for row in accepted)
    billed = {re.findall(r"[0-9a-f]{32}", json.dumps(row["input"]))[0]: Decimal(row["billed"]) for row in accepted}
    unseen = [nonce for nonce in found["unknown"] if not billed.get(nonce)]
    assert sum(found["status"].values()) == VIDEOS
    assert set(named) <= sent
    assert max(named.values()) == 1
    assert Decimal(found["promised"]) == 0
    # A call that nobody could ever tell about stays on the operator's books, although it was never accepted.
    assert Decimal(found["cloud"]) == sum(billed.values()) + len(unseen) * Decimal("0.05")
    assert found["status"].get("cancelled", 0) > VIDEOS * 0.8
