"""Money that was spent, written as the services write it: single rows for tests, and a whole month to look at."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from generation.models import Attempt, Provider, Status, VideoJob, VideoModel
from gpu.models import Book, DayTotal, Instance, InstanceState, LedgerEntry
from gpu.months import Month
from gpu.services.booking import Line, write
from tests import factories
from tests.gpu import machine_rows

Kind = LedgerEntry.Kind
PROMPTS = (
    "The camera pushes in slowly over the lake at sunset",
    "She turns her head and smiles, hair moving in the wind",
    "Waves roll in while the lighthouse turns; a very long sentence about gulls, foam, spray and the keeper's lamp",
    "A slow pan to the left",
)


def book(
    book: str,
    kind: str,
    usd: str | Decimal,
    *,
    subject: uuid.UUID,
    at: datetime,
    person: User | None,
    frees: Decimal = Decimal(0),
) -> None:
    """One entry with its sums."""
    line = Line(
        book=Book(book),
        kind=Kind(kind),
        subject=subject,
        usd=Decimal(usd),
        key=uuid.uuid4().hex,
        person_id=person.pk if person else None,
        at=at,
    )
    write(line, frees=frees)


def paid(book_name: str, usd: Decimal, *, subject: uuid.UUID, at: datetime, person: User) -> None:
    """Promised, spent and closed, as the books have it for a finished video; nothing for a free one."""
    if usd:
        book(book_name, "reserve", usd, subject=subject, at=at, person=person)
        book(book_name, "spend", usd, subject=subject, at=at, person=person, frees=usd)
        book(book_name, "release", "0", subject=subject, at=at, person=person)


def cloud_model(slug: str = "fal-wan-test", **values: Any) -> VideoModel:
    fields: dict[str, Any] = {
        "name": f"Cloud {slug}",
        "provider": Provider.FAL,
        "endpoint": f"fal-ai/{slug}",
        "price_unit": "video",
        "price_usd": Decimal("0.4"),
        "sizes": ["832x480"],
        "family": "wan-2-2",
    }
    return VideoModel.objects.get_or_create(slug=slug, defaults=fields | values)[0]


def video(
    owner: User,
    usd: str,
    *,
    at: datetime | None = None,
    share: str = "0",
    charged: str | None = None,
    model: VideoModel | None = None,
    machine: Instance | None = None,
    **values: Any,
) -> VideoJob:
    """A finished video that cost `usd` directly; the ledger has it in the person's book, a cloud one also in that."""
    at = at or timezone.now()
    model = model or factories.wan_model()
    price = Decimal(charged) if charged is not None else Decimal(usd) + Decimal(share)
    row: dict[str, Any] = {
        "model": model,
        "image": None,
        "width": 832,
        "height": 480,
        "status": Status.SUCCEEDED,
        "video_key": "out/x.mp4",
        "created_at": at - timedelta(minutes=4),
        "finished_at": at,
        "direct_usd": Decimal(usd),
        "share_usd": Decimal(share),
        "cost_usd": price,
        "reserved_usd": price,
    }
    job = factories.job(owner, **row | values)
    tried = {"engine": model.provider, "outcome": Attempt.Outcome.STORED, "ended_at": at}
    factories.attempt(job, machine=machine.pk if machine else None, **tried)
    paid("person", price, subject=job.pk, at=at, person=owner)
    if model.provider == Provider.FAL:
        paid("cloud", Decimal(usd), subject=job.pk, at=at, person=owner)
    return job


def promised(owner: User, usd: str, **values: Any) -> VideoJob:
    """A video in the making with money put aside."""
    row: dict[str, Any] = {"model": factories.wan_model(), "image": None, "reserved_usd": Decimal(usd)}
    job = factories.job(owner, **row | values)
    book("person", "reserve", usd, subject=job.pk, at=timezone.now(), person=owner)
    return job


def machine(usd: str, *, at: datetime | None = None, bill: str | None = None, **values: Any) -> Instance:
    """A machine that has cost `usd`; with `bill` it is over, and what vast.ai took is booked as a correction."""
    at = at or timezone.now()
    state = InstanceState.READY if bill is None else InstanceState.DESTROYED
    row: dict[str, Any] = {"created_at": at - timedelta(hours=3), "running_at": at - timedelta(hours=2, minutes=54)}
    if bill is not None:
        row |= {"ended_at": at, "charged_usd": Decimal(bill)}
    found = machine_rows.instance(
        state, **row | {"spent_usd": Decimal(bill or usd), "reserved_usd": Decimal(0)} | values
    )
    book("machine", "spend", usd, subject=found.pk, at=at, person=None)
    if bill is not None and Decimal(bill) != Decimal(usd):
        book("machine", "correct", Decimal(bill) - Decimal(usd), subject=found.pk, at=at, person=None)
    return found


def busy_month(me: User, others: list[User]) -> None:
    """The present month up to now, as a small studio might have spent it."""
    dice = random.Random(7)
    now = timezone.now()
    fal = cloud_model("wan-a14b-turbo", name="Wan 2.2 A14B Turbo (cloud)")
    wan = VideoModel.objects.filter(slug="wan-2-2")
    wan.update(family="wan-2-2")
    for number in range(now.day):
        at = datetime(now.year, now.month, number + 1, 9, tzinfo=UTC)
        if number % 5 == 4 or at > now:
            continue
        machine_at = min(now, at + timedelta(hours=5))
        cost = Decimal(dice.randint(300, 900)) / 1000
        bill = None if number == now.day - 1 else str(cost + Decimal(dice.randint(-20, 50)) / 1000)
        gpu = machine(str(cost), at=machine_at, bill=bill, gpu_name=dice.choice(["RTX 4090", "RTX 5090", "L40S"]))
        for turn in range(dice.randint(2, 6)):
            owner = dice.choice([me, me, *others])
            moment = min(now, at + timedelta(minutes=17 * turn))
            direct = Decimal(dice.randint(31_000, 94_000)) / 1_000_000
            video(
                owner,
                str(direct),
                share=str(round(direct * dice.randint(20, 110) / 100, 6)),
                at=moment,
                machine=gpu,
                prompt=dice.choice(PROMPTS),
                cost_is_final=bill is not None,
            )
            if turn % 2:
                video(owner, "0.4", at=moment, model=fal, prompt=dice.choice(PROMPTS))
    promised(me, "0.112", prompt=PROMPTS[0], status=Status.RENDERING)


def many_videos(owners: list[User], count: int) -> None:
    """`count` charged cloud videos of this month, with every sum in place, in a few inserts."""
    model, now = cloud_model(), timezone.now()
    fields: dict[str, Any] = {"frames": 17, "fps": 16, "steps": 1, "cfg_scale": 1.0, "seed": 7, "width": 832}
    fields |= {"height": 480, "status": Status.SUCCEEDED, "video_key": "out/x.mp4", "finished_at": now}
    jobs = [
        VideoJob(
            owner=owners[n % len(owners)], model=model, prompt=f"n {n}", cost_usd="0.4", direct_usd="0.4", **fields
        )
        for n in range(count)
    ]
    VideoJob.objects.bulk_create(jobs, batch_size=500)
    entries = [
        LedgerEntry(
            book=name, subject=job.pk, person=job.owner, kind=kind, usd="0.4", at=now, key=f"{name}{kind}{job.pk}"
        )
        for job in jobs
        for name, kind in (("person", "reserve"), ("person", "spend"), ("person", "release"), ("cloud", "spend"))
    ]
    LedgerEntry.objects.bulk_create(entries, batch_size=500)
    for account in ("cloud", *(f"person:{owner.pk}" for owner in owners)):
        DayTotal.objects.get_or_create(account=account, day=now.date(), defaults={"spent_usd": count})


def some_day_of_last_month() -> datetime:
    return Month.now().since - timedelta(days=3)
