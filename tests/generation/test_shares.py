"""What a machine took is shared among its videos: provisional while it runs, final when it is over, never too much."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db.models import Sum
from django.utils import timezone

from generation.models import Attempt, Provider, Status, VideoJob
from generation.services import jobs, settling, shares
from generation.services.deleting import delete_job, purge_job
from gpu.models import Book, Instance, InstanceState, LedgerEntry, Purse
from tests import factories
from tests.gpu import machine_rows

D = Decimal
HOURLY = D("0.36")  # 100 seconds are a cent


@pytest.fixture
def machine(db: None) -> Instance:
    return machine_rows.instance(InstanceState.READY, usd_per_hour=HOURLY, spent_usd=D("0.10"))


def made(owner: User, machine: Instance, *, seconds: float, promised: str = "1") -> VideoJob:
    """A video made on the machine, promised, rendered and settled as the services do it."""
    job = factories.job(owner, model=factories.wan_model(), reserved_usd=D(promised), status=Status.STORING)
    settling.promise(job)
    job.save()
    attempt = factories.attempt(job, engine=Provider.SWARMUI, machine=machine.pk, timings={"rendering": seconds})
    price = shares.price_of(attempt, seconds=seconds)
    values = jobs.ended(Status.SUCCEEDED) | {"video_key": f"out/{job.pk}.mp4"}
    assert settling.end(VideoJob.objects.filter(pk=job.pk), values, price)
    attempt.ended_at, attempt.outcome, attempt.cost_usd = timezone.now(), Attempt.Outcome.STORED, price.direct_usd
    attempt.save()
    return fresh(job)


def end(machine: Instance, spent: str) -> None:
    machine.move(InstanceState.READY, to=InstanceState.DESTROYED, spent_usd=D(spent))


def fresh(job: VideoJob) -> VideoJob:
    return VideoJob.objects.get(pk=job.pk)


def charged(job: VideoJob) -> Decimal:
    entries = LedgerEntry.objects.filter(subject=job.pk, book=Book.PERSON, kind__in=("spend", "correct"))
    return (entries.aggregate(usd=Sum("usd"))["usd"] or D(0)).quantize(D("0.000001"))


def costs(*of: VideoJob) -> list[Decimal]:
    rows = [fresh(job) for job in of]
    assert [charged(job) for job in rows] == [job.cost_usd for job in rows]
    return [job.cost_usd for job in rows]


def test_a_video_costs_its_seconds_and_a_provisional_share(person: User, machine: Instance) -> None:
    job = made(person, machine, seconds=100)

    # Nothing else was made on it, so the whole ten cents that it has cost so far are this video's.
    assert (job.direct_usd, job.share_usd, job.cost_usd) == (D("0.01"), D("0.09"), D("0.10"))
    assert (job.cost_is_final, charged(job)) == (False, D("0.10"))


def test_shares_wait_for_the_machines_end(person: User, machine: Instance) -> None:
    job = made(person, machine, seconds=100)
    shares.book_shares()

    assert not fresh(job).cost_is_final


def test_the_final_shares_add_up_to_what_the_machine_took(person: User, stranger: User, machine: Instance) -> None:
    short, long = made(person, machine, seconds=100), made(stranger, machine, seconds=300)
    end(machine, "0.20")
    shares.book_shares()

    assert costs(short, long) == [D("0.05"), D("0.15")]
    assert [fresh(short).share_usd, fresh(long).share_usd] == [D("0.04"), D("0.12")]
    assert fresh(short).cost_is_final


def test_shares_are_booked_once_however_often_they_are_looked_at(person: User, machine: Instance) -> None:
    made(person, machine, seconds=100)
    end(machine, "0.20")
    shares.book_shares()
    entries = LedgerEntry.objects.count()
    shares.book_shares()
    shares.book_bills()

    assert LedgerEntry.objects.count() == entries


def test_nobody_pays_more_than_was_promised_and_the_rest_stays_with_the_operator(
    person: User, machine: Instance
) -> None:
    job = made(person, machine, seconds=100, promised="0.03")
    assert costs(job) == [D("0.03")]
    end(machine, "2.00")
    shares.book_shares()

    assert costs(job) == [D("0.03")]
    assert fresh(job).share_usd == D("1.99")


def test_a_video_that_was_free_at_the_submit_stays_free(person: User, machine: Instance) -> None:
    job = made(person, machine, seconds=100, promised="0")
    end(machine, "2.00")
    shares.book_shares()

    assert not costs(job)[0]
    assert not LedgerEntry.objects.exists()


def test_a_render_that_failed_is_part_of_what_is_shared(person: User, machine: Instance) -> None:
    job = made(person, machine, seconds=100)
    failed = factories.job(person, model=factories.wan_model(), status=Status.FAILED, error_code="x")
    values = {"machine": machine.pk, "timings": {"rendering": 900}, "ended_at": timezone.now(), "outcome": "failed"}
    factories.attempt(failed, engine=Provider.SWARMUI, **values)
    end(machine, "0.20")
    shares.book_shares()

    assert costs(job) == [D("0.20")]


def test_a_cheaper_end_gives_money_back(person: User, machine: Instance) -> None:
    first = made(person, machine, seconds=100)
    second = made(person, machine, seconds=100)
    end(machine, "0.12")
    shares.book_shares()

    assert costs(first, second) == [D("0.06"), D("0.06")]


def test_a_bill_that_differs_later_is_corrected(person: User, machine: Instance) -> None:
    job = made(person, machine, seconds=100)
    end(machine, "0.20")
    shares.book_shares()
    Instance.objects.update(spent_usd=D("0.15"))
    shares.book_bills()

    assert costs(job) == [D("0.15")]


def test_no_promise_is_left_after_the_shares(person: User, machine: Instance) -> None:
    made(person, machine, seconds=100)
    end(machine, "0.20")
    shares.book_shares()

    assert not any(Purse.objects.values_list("reserved_usd", flat=True))


def test_a_deleted_video_counts_until_the_bill_is_in_and_keeps_no_word_of_its_person(
    person: User, machine: Instance
) -> None:
    gone, kept = made(person, machine, seconds=100), made(person, machine, seconds=100)
    delete_job(job=gone)
    factories.end_grace()
    purge_job(job_id=str(gone.pk))
    assert (fresh(gone).prompt, fresh(gone).image) == ("", None)
    end(machine, "0.20")
    shares.book_shares()

    assert costs(kept) == [D("0.10")]
    Instance.objects.update(ended_at=timezone.now() - shares.BILLS_COME_WITHIN - timedelta(hours=1))
    purge_job(job_id=str(gone.pk))
    assert not VideoJob.objects.filter(pk=gone.pk).exists()
