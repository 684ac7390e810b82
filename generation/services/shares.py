"""What a video truly costs on a rented machine: its own seconds, and its share of boot, download, idle and storage.

A machine's money is shared among the videos that were kept, in proportion to the seconds that each of them took; what
was rendered for nothing is part of what is shared. At success that is provisional. When the machine is over it is
final, unless vast.ai's own bill says something else later. Nobody is charged more than was promised to their video:
the rest stays with the operator.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet, Sum
from django.utils import timezone

from generation.models import Attempt, Provider, Status, VideoJob
from generation.services import overhead, settling
from generation.services.settling import ZERO, Price
from gpu.services import machine_costs, true_cost
from gpu.services.true_cost import MachineCost

# No machine lives longer than a day or so, and vast.ai's bill of it comes later.
BILLS_COME_WITHIN = machine_costs.BILL_WAIT + timedelta(days=2)
FINAL = "Its machine is over: the final share of what it cost."


def price_of(attempt: Attempt, *, seconds: float) -> Price:
    """What a finished render has cost so far; `seconds` is how long its machine worked on it."""
    if attempt.engine == Provider.FAL:
        # What fal.ai told, or the catalogue's price: exactly that was promised.
        return Price(direct_usd=attempt.cost_usd or attempt.job.reserved_usd)
    machine = machine_costs.machine_cost(attempt.machine) if attempt.machine else None
    if machine is None:
        return Price()
    own = machine.direct_usd(seconds)
    others = _kept_on(machine).exclude(pk=attempt.pk).aggregate(usd=Sum("cost_usd"))["usd"] or ZERO
    share = true_cost.provisional_share(own, spent=machine.spent_usd, directs=others + own, usual=_usual())
    return Price(direct_usd=own, share_usd=share, is_final=False)


def _usual() -> Decimal | None:
    known = overhead.usual()
    return Decimal(str(known.share)) if known.machines else None


def book_shares() -> None:
    """Give every video of machines that are over its final share. Safe to run twice, at once or late."""
    waiting = Attempt.objects.filter(outcome=Attempt.Outcome.STORED, job__in=_provisional())
    machines = machine_costs.machine_costs(pk for pk in waiting.values_list("machine", flat=True).distinct() if pk)
    _book(machine for machine in machines.values() if machine.over)


def book_bills() -> None:
    """Look again at machines whose bill may have come since: what it changed is corrected."""
    _book(machine_costs.machines_over(timezone.now() - BILLS_COME_WITHIN))


def _provisional() -> QuerySet[VideoJob]:
    return VideoJob.objects.filter(status=Status.SUCCEEDED, cost_is_final=False)


def _book(machines: Iterable[MachineCost]) -> None:
    for machine in machines:
        directs = dict(_kept_on(machine).values_list("job", "cost_usd"))
        total = true_cost.overhead(machine.spent_usd, directs.values())
        for job, share in true_cost.shares(total, directs).items():
            price = Price(direct_usd=directs[job], share_usd=share)
            settling.correct(VideoJob.objects.filter(pk=job), price, note=FINAL)


def _kept_on(machine: MachineCost) -> QuerySet[Attempt]:
    return Attempt.objects.filter(machine=machine.machine_id, outcome=Attempt.Outcome.STORED)


def is_still_counted(job: VideoJob) -> bool:
    """Whether the bill of a machine that made this video may still be shared anew, among all videos of it."""
    kept = job.attempts.filter(outcome=Attempt.Outcome.STORED).exclude(machine=None)
    found = machine_costs.machine_costs(pk for pk in kept.values_list("machine", flat=True) if pk).values()
    long_ago = timezone.now() - BILLS_COME_WITHIN
    return any(not cost.over or (not cost.billed and (cost.ended_at or long_ago) > long_ago) for cost in found)
