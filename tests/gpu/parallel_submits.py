"""Many submits at once, on the database of DATABASE_URL: `python -m tests.gpu.parallel_submits <what> ...`.

prepare: an empty database with 201 people, and caps that leave $5 of $8 to the first of them and to the site.
submit <person|site> <first> <count> <threads>: after a line on the standard input, promises of $1, all at once;
    prints how many were accepted and refused. `person`: all of one person's; `site`: each somebody else's cloud video.
check <person|site>: prints what is promised, what is left and whether the ledger adds up.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import django

ONE = Decimal(1)


def prepare() -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from gpu.models import GpuConfig
    from gpu.services import charges

    call_command("migrate", verbosity=0)
    User.objects.bulk_create([User(username=f"person{number}", password="!") for number in range(201)])
    GpuConfig.objects.update_or_create(
        pk=1, defaults={"daily_cap_usd": 8, "monthly_cap_usd": 80, "person_monthly_cap_usd": 8}
    )
    # $2 spent and $1 promised already, by the first person and by the site.
    for place, charged in enumerate(("1.2", "0.8", "")):
        money = money_of("site", 0)
        charges.reserve_job(money, ONE if place == 2 else ONE + ONE)
        if charged:
            charges.settle_job(money, charged=Decimal(charged), cloud_usd=Decimal(charged))


def money_of(scope: str, number: int):
    from django.contrib.auth.models import User

    from gpu.services.charges import JobMoney

    person = User.objects.get(username=f"person{number}")
    return JobMoney(job_id=uuid4(), person_id=person.pk, cloud=scope == "site")


def submit(scope: str, first: int, count: int, threads: int) -> None:
    from django.db import transaction

    from gpu.errors import CapReached
    from gpu.services import charges

    def one(number: int) -> str:
        money = money_of(scope, number if scope == "site" else 0)
        try:
            with transaction.atomic():
                charges.reserve_job(money, ONE)
        except CapReached:
            return "refused"
        return "accepted"

    with ThreadPoolExecutor(threads) as pool:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        answers = list(pool.map(one, range(first, first + count)))
    say({"accepted": answers.count("accepted"), "refused": answers.count("refused")})


def check(scope: str) -> None:
    from gpu.services import audit, charges

    room = charges.headroom(money_of("site", 0).person_id)
    found = room.site_day if scope == "site" else room.person_month
    problems = [str(problem) for problem in audit.check_ledger()]
    say({"promised": str(found.promised_usd), "left": str(found.left_usd), "problems": problems})


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    django.setup()
    what, *rest = sys.argv[1:]
    if what == "submit":
        submit(rest[0], *map(int, rest[1:]))
    elif what == "check":
        check(rest[0])
    else:
        prepare()
