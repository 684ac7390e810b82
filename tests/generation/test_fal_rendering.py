"""The dispatcher with fal.ai's simulator over real sockets: from a queued job to a stored video, and other ends."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from generation import providers
from generation.engines.fal import Timing
from generation.models import Attempt, Status, VideoJob, VideoModel
from generation.services import claims, handing_over, held, jobs
from generation.services.dispatch import Dispatcher, _passed_deadline
from generation.services.held import Held
from gpu.errors import CapReached
from gpu.services import cloud_credit
from tests import factories
from tests.generation.fal_driver import QUICK, hosts_of
from tests.generation.test_rendering import has, work_off_queue
from tests.simulators.fal import FalSimulator

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.timeout(90)]


@pytest.fixture
def fal(settings: Settings, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FalSimulator]:
    with FalSimulator(seconds=0.3, queue_seconds=0.05, hang_real_seconds=2) as simulator:
        settings.FAL_KEY = simulator.api_key
        settings.FAL_QUEUE_URL, settings.FAL_REST_URL = simulator.queue_url, simulator.rest_url
        settings.FAL_API_URL = simulator.api_url
        settings.FAL_PRIVATE_HOSTS = list(hosts_of(simulator).private_hosts)
        settings.SWEEP_SECONDS = 1
        settings.LEASE_SECONDS = 2
        # The same engine, less patient: its pauses are made for minutes.
        quick = {name: getattr(QUICK, name) for name in QUICK.__slots__ if name != "outcome_s"}
        monkeypatch.setattr(providers, "FalTiming", lambda *, outcome_s: Timing(outcome_s=outcome_s, **quick))
        yield simulator


def cloud_job(person: User, **values: Any) -> VideoJob:
    model = VideoModel.objects.get(slug="fal-wan-2-2")
    picture = factories.source_image(person, width=832, height=480)
    defaults = {"model": model, "image": picture, "width": 832, "height": 480, "frames": 17, "steps": 4}
    return factories.job(person, **defaults | {"cfg_scale": 3.5} | values)


def dispatch(until: Callable[[], bool], seconds: float = 45) -> None:
    """Run a dispatcher until `until` answers true, working off the queue as a worker would."""

    async def run() -> None:
        stop = asyncio.Event()
        dispatcher = asyncio.create_task(Dispatcher().run(stop))
        try:
            async with asyncio.timeout(seconds):
                while not await sync_to_async(until)():
                    await sync_to_async(work_off_queue)()
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await dispatcher

    asyncio.run(run())


def let_go(job: VideoJob) -> Callable[[], bool]:
    return lambda: VideoJob.objects.filter(pk=job.pk, lease_token="").exists()


def test_a_job_becomes_a_stored_video_with_its_price(person: User, fal: FalSimulator) -> None:
    job = cloud_job(person)
    dispatch(has(job, Status.SUCCEEDED))

    job.refresh_from_db()
    attempt = job.attempts.get()
    (paid,) = fal.paid_requests()
    assert default_storage.size(job.video_key) == job.video_bytes
    assert (attempt.engine, attempt.endpoint, attempt.machine) == ("fal", job.model.endpoint, None)
    assert attempt.cost_usd == Decimal(paid["billed"]).quantize(Decimal("0.000001"))
    assert attempt.drift == []
    assert attempt.engine_metadata["prompt"] == job.prompt
    assert attempt.request_sent["input"]["num_frames"] == 17


def test_the_seed_and_the_prompt_really_used_are_kept_and_what_was_ignored_is_told(
    person: User, fal: FalSimulator
) -> None:
    fal.script(fate_next=["drift_seed+drift_prompt+drift_resolution+drift_frames"])
    job = cloud_job(person)
    dispatch(has(job, Status.SUCCEEDED))

    job.refresh_from_db()
    attempt = job.attempts.get()
    assert job.seed != 7
    assert attempt.engine_metadata["prompt"] != job.prompt
    assert [text.split()[0] for text in attempt.drift] == ["Seed", "fal.ai", "832x480", "17"]


def test_a_webhook_ends_the_wait(person: User, fal: FalSimulator, live_server: LiveServer, settings: Settings) -> None:
    settings.SITE_URL, settings.FAL_WEBHOOKS = live_server.url, True
    job = cloud_job(person)
    dispatch(has(job, Status.SUCCEEDED))

    attempt = job.attempts.get()
    assert attempt.evidence["status"] == "OK"
    assert fal.requests()[0]["webhooks"][0]["status"] == 200


def test_a_lost_answer_is_settled_by_the_webhook_with_our_nonce(
    person: User, fal: FalSimulator, live_server: LiveServer, settings: Settings
) -> None:
    settings.SITE_URL, settings.FAL_WEBHOOKS = live_server.url, True
    fal.script(fail_chance={"platform": {"500": 1.0}})
    fal.fail("submit", "lost_after")
    job = cloud_job(person)
    dispatch(has(job, Status.SUCCEEDED))

    assert (len(fal.calls("submit")), len(fal.paid_requests()), job.attempts.count()) == (1, 1, 1)


def test_an_outcome_that_nobody_can_tell_fails_the_job_without_a_second_call(
    person: User, fal: FalSimulator, settings: Settings
) -> None:
    settings.FAL_OUTCOME_MINUTES = 0.02
    fal.fail("submit", "lost")
    job = cloud_job(person)
    dispatch(has(job, Status.FAILED))

    job.refresh_from_db()
    assert (job.error_code, job.attempts.count(), len(fal.calls("submit"))) == ("outcome_unknown", 1, 1)


def test_a_definite_failure_may_be_tried_again_and_a_refusal_may_not(person: User, fal: FalSimulator) -> None:
    fal.script(fate_by_prompt={"refuse me": "fail_policy"}, fate_next=[])
    refused = cloud_job(person, prompt="refuse me")
    dispatch(has(refused, Status.FAILED))
    fal.script(fate_next=["fail_internal", "ok"])
    again = cloud_job(person)
    dispatch(has(again, Status.SUCCEEDED))

    refused.refresh_from_db()
    assert (refused.error_code, refused.attempts.count()) == ("content_refused", 1)
    assert [attempt.outcome for attempt in again.attempts.all()] == ["failed", "stored"]


def test_trouble_of_our_own_after_the_call_sends_no_second_one(
    person: User, fal: FalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, failures = held.to_storing, [OSError("the disk of the database is full")]

    def breaks_once(*args: Any) -> None:
        if failures:
            raise failures.pop()
        saving(*args)

    monkeypatch.setattr(held, "to_storing", breaks_once)
    job = cloud_job(person)
    dispatch(has(job, Status.SUCCEEDED))

    assert (len(fal.calls("submit")), len(fal.paid_requests()), job.attempts.count()) == (1, 1, 1)


def test_a_billed_answer_without_a_video_is_not_tried_again(person: User, fal: FalSimulator) -> None:
    fal.script(fate_next=["link_wrong_host"])
    job = cloud_job(person)
    dispatch(has(job, Status.FAILED))

    job.refresh_from_db()
    assert (job.error_code, len(fal.calls("submit"))) == ("result_host", 1)


def test_an_empty_account_refuses_cloud_videos_until_a_call_is_taken_again(person: User, fal: FalSimulator) -> None:
    fal.fail("submit", "403_balance")
    refused, later = cloud_job(person), cloud_job(person)
    VideoJob.objects.filter(pk=later.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))
    dispatch(has(refused, Status.FAILED))
    refused.refresh_from_db()
    assert refused.error_code == "fal_balance"
    with pytest.raises(CapReached):
        cloud_credit.check()

    VideoJob.objects.filter(pk=later.pk).update(next_attempt_at=None)
    dispatch(has(later, Status.SUCCEEDED))
    cloud_credit.check()


def test_a_full_account_queue_costs_the_job_no_try(person: User, fal: FalSimulator) -> None:
    fal.fail("submit", "429")
    job = cloud_job(person)
    dispatch(lambda: job.attempts.filter(outcome="unavailable").exists())

    job.refresh_from_db()
    assert (job.status, job.attempts_made) == (Status.QUEUED, 0)


def test_a_cancelled_job_is_stopped_at_fal(person: User, fal: FalSimulator) -> None:
    fal.script(fate_next=["stuck"])
    job = cloud_job(person)

    def cancelled() -> bool:
        if fal.requests() and VideoJob.objects.filter(pk=job.pk, status=Status.RENDERING).exists():
            jobs.cancel_job(job=VideoJob.objects.get(pk=job.pk))
        return bool(fal.requests() and fal.requests()[0]["cancel_asked"] and let_go(job)())

    dispatch(cancelled)
    attempt = job.attempts.get()
    assert (attempt.outcome, attempt.cost_usd, len(fal.paid_requests())) == ("cancelled", Decimal(0), 0)


def test_another_dispatcher_adopts_a_paid_render(person: User, fal: FalSimulator) -> None:
    fal.script(seconds=2.0)
    job = cloud_job(person)
    dispatch(lambda: bool(fal.requests()) and bool(job.attempts.get().provider_ref.get("request_id")))
    dispatch(has(job, Status.SUCCEEDED))

    assert (len(fal.calls("submit")), job.attempts.count()) == (1, 1)


# --- room, deadlines, links -----------------------------------------------------------------------------------------


def room(*, fal: bool = True) -> claims.Room:
    return claims.Room(total=100, preview=0, fal=fal)


def test_fal_has_a_room_of_its_own_that_all_dispatchers_share(person: User, settings: Settings) -> None:
    settings.FAL_CONCURRENCY = 3
    for _ in range(5):
        cloud_job(person)

    assert len(claims.claim_jobs(owner="a", room=room())) == 3
    assert claims.claim_jobs(owner="b", room=room()) == []
    Attempt.objects.filter(pk=Attempt.objects.first().pk).update(ended_at=timezone.now())  # type: ignore[union-attr]
    assert len(claims.claim_jobs(owner="b", room=room())) == 1


def test_without_a_key_nothing_is_taken_for_fal(person: User) -> None:
    cloud_job(person)
    assert claims.claim_jobs(owner="a", room=room(fal=False)) == []


def test_people_share_fals_room_fairly(person: User, stranger: User, settings: Settings) -> None:
    settings.FAL_CONCURRENCY = 2
    for owner in (person, person, person, stranger):
        cloud_job(owner)

    assert {claim.job.owner for claim in claims.claim_jobs(owner="a", room=room())} == {person, stranger}


def aged(person: User, *, minutes: float, **values: Any) -> Held:
    job = cloud_job(person, status=Status.RENDERING, lease_token="t")
    attempt = factories.attempt(job, created_at=timezone.now() - timedelta(minutes=minutes), **values)
    found = Held(claims.Claim(job, attempt, "t", claims.Mode.RENDER))
    found.last_sign -= minutes * 60
    return found


def test_a_sent_request_is_given_up_neither_for_silence_nor_for_a_long_line(person: User) -> None:
    waiting = aged(person, minutes=100, sent_at=timezone.now())
    assert _passed_deadline(waiting) == ""
    assert _passed_deadline(aged(person, minutes=100)) == "deadline_silence"
    assert _passed_deadline(aged(person, minutes=130, sent_at=timezone.now())) == "deadline_total"


def test_the_search_for_a_lost_request_is_not_cut_short(person: User, settings: Settings) -> None:
    settings.FAL_OUTCOME_MINUTES = 600
    assert _passed_deadline(aged(person, minutes=599, sent_at=timezone.now())) == ""


def test_evidence_is_read_for_all_waiting_attempts_at_once(person: User, django_assert_num_queries: Any) -> None:
    held_ones = []
    for number in range(5):
        one = aged(person, minutes=1)
        Attempt.objects.filter(pk=one.claim.attempt.pk).update(
            evidence={"request_id": f"r{number}"}, evidence_at=timezone.now()
        )
        one.claim = claims.Claim(one.claim.job, one.claim.attempt, f"t{number}", one.claim.mode)
        held_ones.append(one)
    with django_assert_num_queries(1):
        found = held.evidence_of(held_ones)

    assert {token: evidence["request_id"] for token, evidence in found.items()} == {f"t{n}": f"r{n}" for n in range(5)}


def test_the_id_of_a_sent_request_is_kept_although_its_job_is_over(person: User) -> None:
    one = aged(person, minutes=1, sent_at=timezone.now())
    VideoJob.objects.update(status=Status.CANCELLED)
    held.save_sending(one, {"request_id": "r"}, {})

    assert Attempt.objects.get().provider_ref == {"request_id": "r"}


def test_nothing_new_is_sent_for_a_job_that_is_over(person: User) -> None:
    one = aged(person, minutes=1)
    VideoJob.objects.update(status=Status.CANCELLED)
    with pytest.raises(held.LeaseLost):
        held.save_sending(one, {"nonce": "n"}, {})


def test_a_link_is_made_only_where_our_storage_can_be_reached(person: User, settings: Settings) -> None:
    job = cloud_job(person)
    settings.FAL_PICTURES = "link"
    assert handing_over.link_of(job, factories.attempt(job)) is None  # a local folder


class LinkingStorage(FileSystemStorage):
    """A local folder that makes addresses as S3 does."""

    def url(self, name: str | None, parameters: Any = None, expire: int = 0) -> str:
        return f"https://files.example.com/{name}?signature=x&expires={expire}"


def test_a_link_shows_the_cropped_picture_and_the_picture_goes_when_the_attempt_ends(
    person: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.FAL_PICTURES = "link"
    storage = LinkingStorage(location=default_storage.path(""))
    monkeypatch.setattr(handing_over, "FileSystemStorage", type("Other", (), {}))
    job = cloud_job(person)
    attempt = factories.attempt(job)
    monkeypatch.setattr(handing_over, "default_storage", storage)
    link = handing_over.link_of(job, attempt)
    assert link is not None

    async def put_up() -> str:
        return await link()

    address = asyncio.run(put_up())

    key = f"in/{job.pk}/{attempt.pk}.png"
    assert address == f"https://files.example.com/{key}?signature=x&expires={handing_over.LINK_SECONDS}"
    assert storage.exists(key)
    handing_over.take_back(job.pk, attempt.pk)
    assert not storage.exists(key)
