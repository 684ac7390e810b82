"""Many batches at once, on the database of DATABASE_URL: `python -m tests.generation.parallel_batches <what> ...`.

prepare: an empty database with one person, who may spend $5 in a month, and a cloud model of $0.40 a video.
submit <model> <count> <threads>: after a line on the standard input, so many batches of 4 videos, all at once; prints
    how many were accepted and refused. With the free model at most 26 videos may be unfinished.
check: prints how many batches and videos there are, what they were promised, and whether the ledger adds up.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import django

EACH = 4
FREE = "motion-preview"


def prepare() -> None:
    from django.core.management import call_command

    from gpu.models import GpuConfig
    from tests import factories
    from tests.generation.choosing_rows import cloud_model

    call_command("migrate", verbosity=0)
    factories.source_image(factories.person("ada"))
    cloud_model()
    GpuConfig.objects.update_or_create(
        pk=1, defaults={"daily_cap_usd": 50, "monthly_cap_usd": 50, "person_monthly_cap_usd": 5}
    )


def submit(model: str, count: int, threads: int) -> None:
    from django.conf import settings
    from django.db import connection

    from generation.errors import TooManyOpenJobs
    from generation.models import SourceImage
    from generation.services import batches
    from generation.services.jobs import JobRequest
    from gpu.errors import CapReached

    settings.FAL_KEY = "key"
    settings.MAX_OPEN_JOBS = 26 if model == FREE else 1000
    image = SourceImage.objects.select_related("owner").get()
    wish = JobRequest(prompt="the dog runs", model=model, image=image)

    def one(_number: int) -> str:
        requests = batches.expanded(request=wish, images=[], prompts=[], variations=EACH)
        try:
            batches.submit_batch(owner=image.owner, requests=requests)
        except (CapReached, TooManyOpenJobs):
            return "refused"
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(threads) as pool:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        answers = list(pool.map(one, range(count)))
    say({"accepted": answers.count("accepted"), "refused": answers.count("refused")})


def check() -> None:
    from generation.models import Batch, VideoJob
    from gpu.models import Purse
    from gpu.services import audit

    promised = [str(usd.quantize(Decimal("0.01"))) for usd in Batch.objects.values_list("promised_usd", flat=True)]
    problems = [str(problem) for problem in audit.check_ledger()]
    purse = Purse.objects.filter(account__startswith="person:").first()
    promise = str(purse.reserved_usd.quantize(Decimal("0.01"))) if purse else ""
    say({"batches": promised, "videos": VideoJob.objects.count(), "purse": promise, "problems": problems})


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    django.setup()
    what, *rest = sys.argv[1:]
    if what == "submit":
        submit(rest[0], *map(int, rest[1:]))
    elif what == "check":
        check()
    else:
        prepare()
