"""Several videos at once: what they are, what they cost together, and that there are all of them or none."""

import secrets
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from generation.errors import BadSetting, TooManyOpenJobs
from generation.models import Batch, Notice, Status, VideoJob, VideoModel
from generation.services import batches, jobs
from generation.services.asking import MAX_SEED
from generation.services.jobs import JobRequest
from generation.services.repeating import request_of
from gpu.errors import CapReached
from gpu.models import Book, LedgerEntry, Purse
from gpu.services import audit, config
from tests import factories
from tests.generation.choosing_rows import cloud_model

D = Decimal
PRICE = D("0.40")


@pytest.fixture
def cloud(db: None, settings: Settings) -> VideoModel:
    settings.FAL_KEY = "key"
    return cloud_model()


def wish(person: User, **values: Any) -> JobRequest:
    defaults: dict[str, Any] = {"prompt": "pan left", "model": "motion-preview"}
    return JobRequest(**defaults | {"image": factories.source_image(person)} | values)


def paid(person: User, count: int) -> list[JobRequest]:
    return batches.expanded(request=wish(person, model="wan-cloud"), images=[], prompts=[], variations=count)


def cap(usd: str) -> None:
    row = config.load()
    row.person_daily_cap_usd = row.daily_cap_usd = D(usd)
    row.save()


def promised(person: User) -> Decimal:
    return Purse.objects.get(account=f"person:{person.pk}").reserved_usd


# --- what they are -----------------------------------------------------------------------------------------------


def test_every_picture_goes_with_every_prompt_in_every_variation(person: User) -> None:
    pictures = [factories.source_image(person) for _ in range(2)]

    found = batches.expanded(request=wish(person), images=pictures, prompts=["a", "b", "c"], variations=2)

    assert [(one.image, one.prompt) for one in found] == [
        (picture, prompt) for picture in pictures for prompt in "abc" for _ in range(2)
    ]


def test_a_seed_that_was_asked_for_is_the_first_of_each_wish(person: User) -> None:
    found = batches.expanded(request=wish(person, seed=41), images=[], prompts=["a", "b"], variations=3)

    assert [one.seed for one in found] == [41, 42, 43, 41, 42, 43]


def test_seeds_that_nobody_asked_for_are_drawn_and_differ(person: User) -> None:
    found = batches.expanded(request=wish(person), images=[], prompts=["a", "b"], variations=8)

    assert len({one.seed for one in found}) == 16
    assert all(0 <= one.seed < 2**31 for one in found)
    assert found[0].seed + 1 != found[1].seed or found[1].seed + 1 != found[2].seed


def test_seeds_begin_again_at_0_after_the_last_one(person: User) -> None:
    found = batches.expanded(request=wish(person, seed=MAX_SEED), images=[], prompts=[], variations=2)

    assert [one.seed for one in found] == [MAX_SEED, 0]


@pytest.mark.parametrize("variations", [0, 9, -1])
def test_there_are_one_to_eight_variations(person: User, variations: int) -> None:
    with pytest.raises(BadSetting) as refused:
        batches.expanded(request=wish(person), images=[], prompts=[], variations=variations)

    assert refused.value.field == "variations"


def test_a_batch_has_at_most_64_videos(person: User) -> None:
    request = wish(person)
    assert len(batches.expanded(request=request, images=[], prompts=list("abcdefgh"), variations=8)) == 64
    with pytest.raises(BadSetting, match="72 videos"):
        batches.expanded(request=request, images=[], prompts=list("abcdefghi"), variations=8)


# --- all or none ---------------------------------------------------------------------------------------------------


def test_a_batch_is_queued_whole_and_knows_what_was_promised(person: User, cloud: VideoModel) -> None:
    batch = batches.submit_batch(owner=person, requests=paid(person, 3), name="three", because="The cheapest.")

    made = VideoJob.objects.filter(batch=batch)
    assert [job.status for job in made] == [Status.QUEUED] * 3
    assert {job.chosen_because for job in made} == {"The cheapest."}
    batch.refresh_from_db()
    assert batch.promised_usd == sum(job.reserved_usd for job in made) == promised(person) == 3 * PRICE
    assert audit.check_ledger() == []


def test_the_total_is_what_a_submit_promises(person: User, cloud: VideoModel) -> None:
    requests = paid(person, 3)
    total = batches.total_of(owner=person, requests=requests)

    assert (total.count, total.usd, total.usd_low, total.usd_high) == (3, 3 * PRICE, 3 * PRICE, 3 * PRICE)
    assert batches.submit_batch(owner=person, requests=requests).promised_usd == total.usd_high


def test_where_one_is_made_after_the_other_the_seconds_add_up(person: User, settings: Settings) -> None:
    settings.PREVIEW_PROCESSES = 2
    one = batches.total_of(owner=person, requests=[wish(person)])
    four = batches.total_of(owner=person, requests=[wish(person)] * 4)

    assert four.seconds == pytest.approx(2 * one.seconds, abs=0.2)
    assert one.seconds_low <= one.seconds <= one.seconds_high


def test_totals_take_as_many_queries_for_many_as_for_few(person: User, django_assert_num_queries: Any) -> None:
    few = [wish(person, model="wan-2-2"), wish(person, model="wan-2-2")]
    config.save_config(swarmui_url="https://8.8.8.8")
    batches.total_of(owner=person, requests=few)
    with django_assert_num_queries(3):
        batches.total_of(owner=person, requests=few)
    with django_assert_num_queries(3):
        batches.total_of(owner=person, requests=few * 20)


def test_a_cap_that_is_reached_in_the_middle_leaves_nothing_and_says_how_many_fit(
    person: User, cloud: VideoModel
) -> None:
    cap("1.00")
    with pytest.raises(CapReached, match=r"^2 of these 5 videos would fit; none was made\. This video may cost") as no:
        batches.submit_batch(owner=person, requests=paid(person, 5))

    assert no.value.status == 402
    assert not Batch.objects.exists()
    assert not VideoJob.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert not Notice.objects.exists()
    assert not Purse.objects.filter(reserved_usd__gt=0).exists()


def test_one_bad_wish_in_the_middle_leaves_nothing(person: User, cloud: VideoModel) -> None:
    bad = [*paid(person, 2), wish(person, steps=100_000), *paid(person, 1)]
    with pytest.raises(BadSetting):
        batches.submit_batch(owner=person, requests=bad)

    assert not Batch.objects.exists()
    assert not VideoJob.objects.exists()
    assert not LedgerEntry.objects.exists()


def test_the_limit_of_unfinished_videos_counts_the_whole_batch(person: User, settings: Settings) -> None:
    settings.MAX_OPEN_JOBS = 5
    batches.submit_batch(owner=person, requests=[wish(person)] * 3)
    with pytest.raises(TooManyOpenJobs, match="2 more are free; this batch needs 3"):
        batches.submit_batch(owner=person, requests=[wish(person)] * 3)
    assert VideoJob.objects.count() == 3

    batches.submit_batch(owner=person, requests=[wish(person)] * 2)
    assert VideoJob.objects.count() == 5


# --- afterwards ------------------------------------------------------------------------------------------------------


def test_cancelling_a_batch_gives_everything_back(person: User, cloud: VideoModel) -> None:
    batch = batches.submit_batch(owner=person, requests=paid(person, 3))
    VideoJob.objects.filter(pk=VideoJob.objects.filter(batch=batch)[0].pk).update(
        status=Status.FAILED, error_code="internal"
    )
    other = jobs.submit_job(owner=person, request=paid(person, 1)[0])

    assert batches.cancel_batch(batch=batch) == 2
    assert batches.cancel_batch(batch=batch) == 0

    other.refresh_from_db()
    assert other.status == Status.QUEUED
    # What failed is closed by the sweep; what was cancelled is given back at once.
    assert promised(person) == 2 * PRICE
    assert LedgerEntry.objects.filter(book=Book.PERSON, kind="release", usd=PRICE).count() == 2


def test_what_failed_is_asked_for_again_once_and_its_promise_counts(person: User, cloud: VideoModel) -> None:
    batch = batches.submit_batch(owner=person, requests=paid(person, 3))
    broken = VideoJob.objects.filter(batch=batch)[:2]
    VideoJob.objects.filter(pk__in=[job.pk for job in broken]).update(status=Status.FAILED, error_code="internal")

    again = batches.retry_failed(batch=batch)

    assert {job.parent_id for job in again} == {job.pk for job in broken}
    assert {job.seed for job in again} == {job.seed for job in broken}
    assert batches.retry_failed(batch=batch) == []
    batch.refresh_from_db()
    assert batch.promised_usd == sum(job.reserved_usd for job in VideoJob.objects.filter(batch=batch)) == 5 * PRICE


def test_a_seed_that_is_drawn_again_is_another_one_all_the_same(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    first = jobs.submit_job(owner=person, request=wish(person, seed=5))
    monkeypatch.setattr(secrets.SystemRandom, "sample", lambda _self, _population, count: list(range(5, 5 + count)))

    assert [one.seed for one in batches.variations_of(job=first, count=2)] == [5 + 2**31, 6]


def test_variations_of_a_video_have_its_settings_and_other_seeds(person: User) -> None:
    first = jobs.submit_job(owner=person, request=wish(person, seed=5, num_frames=33, size="480x832"))

    batch = batches.vary(job=first, count=8)

    made = list(VideoJob.objects.filter(batch=batch))
    assert len({job.seed for job in made} | {5}) == 9
    same = [replace(request_of(job), seed=5, batch=None) for job in made]
    assert same == [request_of(first)] * 8
    assert {job.parent_id for job in made} == {first.pk}
