"""One promise and one charge or none, whichever way a job ends."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db.models import Sum
from django.utils import timezone
from pytest_django import Settings

from generation.models import Attempt, Notice, PriceUnit, Provider, Rating, Status, VideoJob, VideoModel
from generation.services import held, intake, jobs, queueing, settling, sweeping
from generation.services.claims import Claim, Mode
from generation.services.deleting import delete_job, purge_job
from generation.services.held import Held
from generation.services.jobs import JobRequest
from generation.services.settling import Price
from gpu.errors import CapReached
from gpu.models import Book, GpuConfig, LedgerEntry, Purse
from gpu.services import config
from tests import factories

D = Decimal
PRICE = D("0.200000")


def cloud_model(**values: Any) -> VideoModel:
    row: dict[str, Any] = {
        "slug": "cloud",
        "name": "Cloud",
        "provider": Provider.FAL,
        "enabled": True,
        "rating": Rating.GENERAL,
        "licence_name": "x",
        "licence_url": "https://example.com",
        "endpoint": "fal-ai/test",
        "parameters": {"image": "image_url", "prompt": "prompt"},
        "price_usd": PRICE,
        "price_unit": PriceUnit.VIDEO,
        "sizes": ["832x480"],
        "position": 1,
    }
    return VideoModel.objects.create(**row | values)


def caps(**values: Any) -> None:
    config.load()
    GpuConfig.objects.update(**values)


@pytest.fixture
def cloud(db: None, settings: Settings) -> VideoModel:
    settings.FAL_KEY = "key:secret"
    return cloud_model()


@pytest.fixture
def job(person: User, cloud: VideoModel) -> VideoJob:
    return ask(person)


def ask(person: User, **values: Any) -> VideoJob:
    request = JobRequest(prompt="pan left", model="cloud", image=factories.source_image(person), **values)
    return jobs.submit_job(owner=person, request=request)


def sent(job: VideoJob, *, status: str = Status.RENDERING, **values: Any) -> Held:
    """A dispatcher holds the job, and its paid call was, or may have been, sent."""
    until = timezone.now() + timedelta(minutes=1)
    VideoJob.objects.filter(pk=job.pk).update(status=status, lease_token="mine", lease_until=until)
    job.refresh_from_db()
    defaults = {"sent_at": timezone.now(), "provider_ref": {"request_id": "abc"}}
    attempt = factories.attempt(job, engine=Provider.FAL, **defaults | values)
    return Held(Claim(job, attempt, "mine", Mode.RENDER))


def books(job: VideoJob) -> tuple[Any, Any, Any]:
    """What the person paid, what the cloud took, and what is still promised in both."""
    moves = LedgerEntry.objects.filter(subject=job.pk, kind__in=("spend", "correct"))

    def of(book: Book) -> Decimal:
        return moves.filter(book=book).aggregate(usd=Sum("usd"))["usd"] or D(0)

    return of(Book.PERSON), of(Book.CLOUD), sum(Purse.objects.values_list("reserved_usd", flat=True), D(0))


def fresh(job: VideoJob) -> VideoJob:
    return VideoJob.objects.get(pk=job.pk)


def test_the_promise_stays_until_a_cancel_can_no_longer_be_taken_back(job: VideoJob) -> None:
    queueing.ask_to_cancel(job=job)
    assert books(job) == (0, 0, 2 * PRICE)

    with time_machine.travel(timezone.now() + timedelta(seconds=queueing.UNDO_SECONDS)):
        queueing.cancel_due()

    assert (books(job), fresh(job).cost_is_final) == ((0, 0, 0), True)


# --- the promise ------------------------------------------------------------------------------------------------------


def test_a_submit_promises_the_price_in_both_books(job: VideoJob) -> None:
    assert (fresh(job).reserved_usd, fresh(job).cost_is_final) == (PRICE, False)
    assert books(job) == (0, 0, 2 * PRICE)
    assert fresh(job).estimate["usd_high"] == 0.2


def test_a_submit_over_a_cap_is_refused_and_leaves_nothing(person: User, cloud: VideoModel) -> None:
    caps(person_daily_cap_usd=D("0.30"))
    ask(person)

    with pytest.raises(CapReached) as refused:
        ask(person)

    assert (refused.value.status, refused.value.code) == (402, "cap_reached")
    assert VideoJob.objects.count() == 1
    assert LedgerEntry.objects.count() == 2


def test_a_free_job_touches_no_book(person: User, django_assert_max_num_queries: Any) -> None:
    image = factories.source_image(person)
    request = JobRequest(prompt="pan left", model="motion-preview", image=image)
    jobs.submit_job(owner=person, request=request)

    with django_assert_max_num_queries(2):  # the count of open jobs, and the row
        job = jobs.submit_job(owner=person, request=request)

    jobs.cancel_job(job=job)
    assert not LedgerEntry.objects.exists()
    assert not Purse.objects.exists()
    assert fresh(job).cost_is_final


def test_a_manual_server_is_free(person: User) -> None:
    config.load()
    GpuConfig.objects.update(swarmui_url="https://gpu.example.com")
    request = JobRequest(prompt="x", model="wan-2-2", image=factories.source_image(person))

    job = jobs.submit_job(owner=person, request=request)

    assert not job.reserved_usd
    assert not LedgerEntry.objects.exists()


def test_a_promise_that_nears_a_budget_warns_once(person: User, cloud: VideoModel) -> None:
    caps(person_daily_cap_usd=1, soft_cap_percent=50)
    for _ in range(4):
        ask(person)

    assert [notice.kind for notice in Notice.objects.all()] == [Notice.Kind.BUDGET]


# --- ends without a doubt ---------------------------------------------------------------------------------------------


def test_success_charges_the_price_once_and_promises_nothing_more(job: VideoJob) -> None:
    item = sent(job, status=Status.STORING)
    rows = VideoJob.objects.held_with(item.token)
    values = jobs.ended(Status.SUCCEEDED) | {"video_key": "out/x.mp4"}

    assert settling.end(rows, values, Price(direct_usd=PRICE))
    assert settling.end(rows, values, Price(direct_usd=PRICE)) is None

    assert books(job) == (PRICE, PRICE, 0)
    assert (fresh(job).cost_usd, fresh(job).direct_usd, fresh(job).cost_is_final) == (PRICE, PRICE, True)
    assert [notice.kind for notice in Notice.objects.all()] == [Notice.Kind.SUCCEEDED]


def test_nobody_is_charged_more_than_was_promised(job: VideoJob) -> None:
    item = sent(job, status=Status.STORING)
    values = jobs.ended(Status.SUCCEEDED) | {"video_key": "out/x.mp4"}
    settling.end(VideoJob.objects.held_with(item.token), values, Price(direct_usd=D("0.5")))

    assert books(job) == (PRICE, D("0.5"), 0)
    assert fresh(job).cost_usd == PRICE


def cancel(job: VideoJob, person: User) -> None:
    jobs.cancel_job(job=job)


def delete(job: VideoJob, person: User) -> None:
    delete_job(job=job)


def grow_old(job: VideoJob, person: User) -> None:
    VideoJob.objects.update(created_at=timezone.now() - timedelta(days=30))
    sweeping.sweep()


def fail_before_sending(job: VideoJob, person: User) -> None:
    held.fail(sent(job, sent_at=None), code="picture_missing", message="Gone.")


def be_refused(job: VideoJob, person: User) -> None:
    held.fail(sent(job), code="fal_refused", message="No.")


def have_no_picture(job: VideoJob, person: User) -> None:
    VideoJob.objects.update(image=None, image_url="http://127.0.0.1/x.png")
    intake.fetch_job_picture(job_id=str(job.pk))


ENDS = [cancel, delete, grow_old, fail_before_sending, be_refused, have_no_picture]


@pytest.mark.parametrize("end", ENDS)
def test_an_end_without_a_paid_call_costs_nobody_anything(job: VideoJob, person: User, end: Any) -> None:
    end(job, person)

    assert fresh(job).status in (Status.CANCELLED, Status.FAILED)
    assert books(job) == (0, 0, 0)
    assert fresh(job).cost_is_final


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_told_once(job: VideoJob, person: User, end: Any) -> None:
    end(job, person)
    sweeping.sweep()

    assert Notice.objects.filter(job=job).count() == 1


def test_several_tries_after_definite_failures_stay_inside_one_promise(job: VideoJob) -> None:
    item = sent(job)
    held.give_back(item, pause_s=0, message="", counted=True, outcome=Attempt.Outcome.FAILED, code="fal_failed")
    assert books(job) == (0, 0, 2 * PRICE)
    again = sent(job, status=Status.STORING)
    values = jobs.ended(Status.SUCCEEDED) | {"video_key": "out/x.mp4"}
    settling.end(VideoJob.objects.held_with(again.token), values, Price(direct_usd=PRICE))

    assert books(job) == (PRICE, PRICE, 0)


def test_a_job_cancelled_between_two_tries_costs_nothing(job: VideoJob) -> None:
    item = sent(job)
    held.give_back(item, pause_s=0, message="", counted=True, outcome=Attempt.Outcome.FAILED, code="fal_failed")
    jobs.cancel_job(job=job)

    assert books(job) == (0, 0, 0)


# --- a sent call whose end is not ours to decide ----------------------------------------------------------------------


@pytest.mark.parametrize("change_mind", [cancel, delete])
def test_a_cancel_keeps_the_promise_of_a_sent_call_until_it_is_known(
    job: VideoJob, person: User, change_mind: Any
) -> None:
    sent(job)
    change_mind(job, person)
    sweeping.sweep()

    assert books(job) == (0, 0, 2 * PRICE)
    assert not fresh(job).cost_is_final


def test_a_call_stopped_in_time_costs_nothing(job: VideoJob) -> None:
    item = sent(job)
    jobs.cancel_job(job=job)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=False)

    assert books(job) == (0, 0, 0)
    assert fresh(job).cost_is_final


def test_a_call_that_was_finished_all_the_same_is_charged_and_said(job: VideoJob) -> None:
    item = sent(job)
    jobs.cancel_job(job=job)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=True)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=True)

    assert books(job) == (PRICE, PRICE, 0)
    assert (fresh(job).cost_usd, fresh(job).cost_is_final) == (PRICE, True)
    assert "$0.20" in fresh(job).message


def test_a_result_that_waits_to_be_stored_is_paid_by_who_cancels_it(job: VideoJob) -> None:
    sent(job, status=Status.STORING, result_ref={"url": "x"}, cost_usd=PRICE)
    jobs.cancel_job(job=job)

    assert books(job) == (PRICE, PRICE, 0)


def test_a_result_that_we_cannot_store_is_the_operators_loss(job: VideoJob) -> None:
    item = sent(job, status=Status.STORING, result_ref={"url": "x"}, cost_usd=PRICE)
    jobs.fail_job(job_id=job.pk, token=item.token, code="storing_failed", message="Disk full.")

    assert books(job) == (0, PRICE, 0)
    assert fresh(job).cost_usd == 0


@pytest.mark.parametrize(("billed", "kept"), [(True, PRICE), (False, D(0)), (None, PRICE)])
def test_a_deadline_costs_its_person_nothing_whatever_the_provider_takes(
    job: VideoJob, billed: bool | None, kept: Decimal
) -> None:
    item = sent(job)
    assert held.fail_but_hold(item, code="deadline_total", message="Too long.")
    assert books(job) == (0, 0, 2 * PRICE)
    held.let_go(item, outcome=Attempt.Outcome.FAILED, billed=billed)

    assert books(job) == (0, kept, 0)


@pytest.mark.parametrize("code", ["outcome_unknown", "internal", "no_result"])
def test_what_may_be_billed_stays_on_the_operators_books(job: VideoJob, code: str) -> None:
    held.fail(sent(job), code=code, message="Nobody knows.")

    assert books(job) == (0, PRICE, 0)
    assert Attempt.objects.get().cost_usd == PRICE


def test_a_cancelled_call_that_nobody_ever_saw_is_not_charged(job: VideoJob) -> None:
    item = sent(job, provider_ref={"nonce": "x"})
    jobs.cancel_job(job=job)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=True)

    assert books(job) == (0, PRICE, 0)


# --- what turns out later ---------------------------------------------------------------------------------------------


def tell(job: VideoJob, status: str) -> Attempt:
    attempt = job.attempts.get()
    attempt.evidence = {"status": status}
    attempt.save()
    settling.evidence_arrived(attempt)
    settling.evidence_arrived(attempt)
    return attempt


@pytest.mark.parametrize(("status", "cloud_usd"), [("OK", PRICE), ("ERROR", D(0))])
def test_late_evidence_corrects_the_operators_books_only(job: VideoJob, status: str, cloud_usd: Decimal) -> None:
    held.fail(sent(job), code="outcome_unknown", message="Nobody knows.")
    tell(job, status)

    assert books(job) == (0, cloud_usd, 0)
    assert not LedgerEntry.objects.filter(kind="spend", usd__lt=0).exists()


def test_evidence_for_a_job_that_is_held_changes_no_book(job: VideoJob) -> None:
    sent(job)
    tell(job, "OK")

    assert books(job) == (0, 0, 2 * PRICE)


def test_a_person_who_was_charged_for_what_was_not_billed_gets_it_back(job: VideoJob) -> None:
    item = sent(job)
    jobs.cancel_job(job=job)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=True)
    tell(job, "ERROR")

    assert books(job) == (0, 0, 0)
    assert fresh(job).cost_usd == 0


# --- the second wall --------------------------------------------------------------------------------------------------


def abandon(job: VideoJob, status: str, **values: Any) -> None:
    """As if the process had died between the end of the job and its money, and every other wall were down."""
    long_ago = timezone.now() - timedelta(minutes=5)
    gone = {"lease_token": "", "lease_until": None, "finished_at": long_ago}
    VideoJob.objects.filter(pk=job.pk).update(status=status, **gone, **values)


def test_a_promise_that_nobody_holds_is_given_back(job: VideoJob) -> None:
    abandon(job, Status.CANCELLED)
    sweeping.sweep()
    sweeping.sweep()

    assert books(job) == (0, 0, 0)
    assert fresh(job).cost_is_final


def test_a_sent_call_that_nobody_holds_stays_on_the_operators_books(job: VideoJob) -> None:
    sent(job)
    abandon(job, Status.CANCELLED)
    sweeping.sweep()

    assert books(job) == (0, PRICE, 0)


def test_a_call_that_failed_definitely_is_not_kept(job: VideoJob) -> None:
    sent(job)
    abandon(job, Status.FAILED, error_code="fal_failed")
    sweeping.sweep()

    assert books(job) == (0, 0, 0)


def test_a_held_promise_is_left_to_its_holder(job: VideoJob) -> None:
    sent(job)
    abandon(job, Status.CANCELLED)
    VideoJob.objects.update(lease_token="mine", lease_until=timezone.now() - timedelta(minutes=4))
    sweeping.sweep()

    assert books(job) == (0, 0, 2 * PRICE)


def test_a_deleted_job_keeps_its_row_without_words_while_its_money_is_open(job: VideoJob) -> None:
    item = sent(job)
    delete_job(job=job)
    factories.end_grace()
    VideoJob.objects.update(lease_token="")
    purge_job(job_id=str(job.pk))
    assert (fresh(job).prompt, fresh(job).image) == ("", None)

    VideoJob.objects.update(lease_token=item.token)
    held.let_go(item, outcome=Attempt.Outcome.CANCELLED, billed=False)
    purge_job(job_id=str(job.pk))
    assert not VideoJob.objects.exists()
    assert books(job) == (0, 0, 0)
