"""The dispatcher with real engines: the motion preview on the CPU, and SwarmUI's simulator over real sockets."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from generation import tasks
from generation.models import Attempt, Heartbeat, Status, VideoJob
from generation.services import jobs
from generation.services.dispatch import Dispatcher
from gpu.services import config
from tests import factories
from tests.running import free_port
from tests.simulators.swarmui import SwarmSimulator

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.timeout(90)]


@pytest.fixture(autouse=True)
def quick(settings: Settings) -> None:
    settings.SWARMUI_ABSENT_SECONDS = 1
    settings.SWEEP_SECONDS = 1


@pytest.fixture
def swarm(settings: Settings, transactional_db: None) -> Iterator[SwarmSimulator]:
    with SwarmSimulator(time_scale=1, seconds=1.0, load_seconds=0.1, cheap=True) as simulator:
        settings.SWARMUI_PRIVATE_HOSTS = [simulator.url.removeprefix("http://")]
        config.save_config(swarmui_url=simulator.url)
        yield simulator


def dispatch(until: Callable[[], bool]) -> None:
    """Run a dispatcher until `until` answers true, working off the queue as a worker would."""

    async def run() -> None:
        stop = asyncio.Event()
        dispatcher = asyncio.create_task(Dispatcher().run(stop))
        try:
            async with asyncio.timeout(60):
                while not await sync_to_async(until)():
                    await sync_to_async(work_off_queue)()
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await dispatcher

    asyncio.run(run())


def work_off_queue() -> None:
    for row in OrmQ.objects.all():
        row.delete()
        getattr(tasks, row.func().rsplit(".", 1)[1])(*row.args())


def has(job: VideoJob, *statuses: str) -> Callable[[], bool]:
    return lambda: VideoJob.objects.filter(pk=job.pk, status__in=statuses).exists()


def wan_job(person: User, **values: object) -> VideoJob:
    picture = factories.source_image(person, width=256, height=256)
    return factories.job(person, model=factories.wan_model(), image=picture, width=256, height=256, **values)


def only_attempt(job: VideoJob) -> Attempt:
    return Attempt.objects.get(job=job)


def test_the_motion_preview_makes_a_stored_video(person: User) -> None:
    job = factories.job(person)

    dispatch(has(job, Status.SUCCEEDED))

    job.refresh_from_db()
    attempt = only_attempt(job)
    assert default_storage.open(job.video_key).read()[4:8] == b"ftyp"
    assert (attempt.outcome, job.lease_token, job.error_code) == (Attempt.Outcome.STORED, "", "")
    assert {"queued", "rendering", "fetch", "put"} <= set(attempt.timings)
    assert not default_storage.exists(f"spool/{attempt.pk}.mp4")


def test_swarmui_makes_a_stored_video_and_its_traces_are_kept(person: User, swarm: SwarmSimulator) -> None:
    job = wan_job(person, seed=1234)

    dispatch(has(job, Status.SUCCEEDED))

    attempt = only_attempt(job)
    assert attempt.provider_ref["session_id"]
    assert attempt.request_sent["videoframes"] == 17
    assert attempt.engine_metadata["sui_image_params"]["seed"] in (1234, "1234")
    assert swarm.state()["started"] == 1


def test_a_cancel_while_rendering_interrupts_the_engine_and_frees_the_seat(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=30)
    job = wan_job(person)
    dispatch_until_rendering_then_cancel(job)

    attempt = only_attempt(job)
    job.refresh_from_db()
    assert (job.status, job.lease_token, attempt.outcome) == (Status.CANCELLED, "", Attempt.Outcome.CANCELLED)
    assert swarm.state()["interrupted"] == 1


def dispatch_until_rendering_then_cancel(job: VideoJob) -> None:
    def step() -> bool:
        if VideoJob.objects.filter(pk=job.pk, status=Status.RENDERING, phase="rendering").exists():
            jobs.cancel_job(job=job)
        return Attempt.objects.filter(job=job).exclude(ended_at=None).exists()

    dispatch(step)


def test_cancelling_the_one_in_line_leaves_the_other_alone(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=2)
    wan_job(person)
    wan_job(person)

    def step() -> bool:
        rendering = VideoJob.objects.filter(status=Status.RENDERING, phase="rendering")
        # Both are sent at once: either may be the one that waits.
        waiting = VideoJob.objects.filter(status=Status.RENDERING, phase="waiting").first()
        if rendering.exists() and waiting and not VideoJob.objects.filter(status=Status.CANCELLED).exists():
            jobs.cancel_job(job=waiting)
        return not VideoJob.objects.unfinished().exists()

    dispatch(step)

    assert sorted(VideoJob.objects.values_list("status", flat=True)) == [Status.CANCELLED, Status.SUCCEEDED]
    assert swarm.state()["finished"] == 1


def test_a_refusal_fails_the_job_at_once_with_its_reason(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(fail_next=["lora_missing"])
    job = wan_job(person)

    dispatch(has(job, Status.FAILED))

    job.refresh_from_db()
    assert (job.error_code, job.attempts_made) == ("lora_missing", 1)
    assert only_attempt(job).outcome == Attempt.Outcome.FAILED


def test_a_failure_is_tried_again(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(fail_next=["oom"])
    job = wan_job(person)

    dispatch(has(job, Status.SUCCEEDED, Status.FAILED))

    job.refresh_from_db()
    assert (job.status, job.attempts_made) == (Status.SUCCEEDED, 2)
    assert list(job.attempts.values_list("outcome", flat=True)) == ["failed", "stored"]


def test_a_job_fails_when_its_attempts_are_used_up(person: User, swarm: SwarmSimulator, settings: Settings) -> None:
    settings.MAX_ATTEMPTS = 1
    swarm.script(fail_next=["oom"])
    job = wan_job(person)

    dispatch(has(job, Status.FAILED))

    job.refresh_from_db()
    assert job.error_code == "out_of_memory"


def test_a_server_that_is_away_costs_no_attempt_and_the_person_is_told(person: User, settings: Settings) -> None:
    host = f"127.0.0.1:{free_port()}"
    settings.SWARMUI_PRIVATE_HOSTS = [host]
    config.save_config(swarmui_url=f"http://{host}")
    job = wan_job(person)

    def told() -> bool:
        job.refresh_from_db()
        return job.status == Status.QUEUED and bool(job.message)

    dispatch(told)

    assert (job.attempts_made, job.attempts.count()) == (0, 0)
    assert "cannot be reached" in job.message


def test_a_passed_deadline_fails_the_job_and_stops_the_engine(
    person: User, swarm: SwarmSimulator, settings: Settings
) -> None:
    settings.TOTAL_DEADLINE_SECONDS = 2
    swarm.script(seconds=60)
    job = wan_job(person)

    dispatch(lambda: bool(Attempt.objects.filter(job=job).exclude(ended_at=None)))

    job.refresh_from_db()
    assert (job.status, job.error_code, job.lease_token) == (Status.FAILED, "deadline_total", "")
    assert swarm.state()["interrupted"] == 1


def test_a_dispatcher_that_stops_hands_its_renders_over(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=2)
    job = wan_job(person)
    dispatch(lambda: VideoJob.objects.filter(pk=job.pk, phase="rendering").exists())

    dispatch(has(job, Status.SUCCEEDED))

    assert swarm.state()["started"] == 1
    assert Attempt.objects.filter(job=job).count() == 1


def test_a_stopped_dispatcher_gives_a_local_render_back_uncounted(person: User) -> None:
    job = factories.job(person, width=1280, height=720, frames=240)
    dispatch(lambda: VideoJob.objects.filter(pk=job.pk, status=Status.RENDERING, progress__gt=0).exists())

    job.refresh_from_db()
    assert (job.status, job.attempts_made, job.lease_token) == (Status.QUEUED, 0, "")


def test_a_dispatcher_that_lost_its_lease_changes_nothing(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=2)
    job = wan_job(person)
    until = timezone.now() + timedelta(minutes=5)

    def steal() -> bool:
        VideoJob.objects.filter(pk=job.pk, phase="rendering").update(lease_token="thief", lease_until=until)
        return bool(swarm.state()["finished"] == 1)

    dispatch(steal)

    job.refresh_from_db()
    assert (job.status, job.lease_token) == (Status.RENDERING, "thief")


def test_shown_progress_never_goes_backwards(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=4, progress_steps=40)
    job = wan_job(person)
    seen: list[float] = []

    def look() -> bool:
        seen.append(VideoJob.objects.values_list("progress", flat=True).get(pk=job.pk))
        return has(job, Status.SUCCEEDED)()

    dispatch(look)

    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_a_preview_frame_is_shown_and_goes_with_the_render(person: User, swarm: SwarmSimulator) -> None:
    swarm.script(seconds=5, previews=True)
    job = wan_job(person)
    seen: list[bytes] = []

    def look() -> bool:
        job.refresh_from_db()
        if frame := getattr(job, "preview_frame", None):
            seen.append(bytes(frame.jpeg[:3]))
        return has(job, Status.SUCCEEDED)()

    dispatch(look)

    assert seen[0] == b"\xff\xd8\xff"
    job = VideoJob.objects.get(pk=job.pk)
    assert not hasattr(job, "preview_frame")


def test_the_dispatcher_beats(person: User) -> None:
    dispatch(lambda: Heartbeat.objects.filter(name="dispatcher").exists())
