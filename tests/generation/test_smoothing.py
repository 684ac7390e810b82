"""Frames in between: offered where a server can make them, given to such servers only, and never waited for in vain."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from generation.errors import BadSetting
from generation.models import Attempt, Status, VideoJob
from generation.services import claims, history, jobs, smoothing
from generation.services.claims import Room
from generation.services.drift import drift_of
from generation.services.estimate import estimate_for
from generation.services.fitting import fitted
from generation.services.jobs import JobRequest, check_settings
from generation.services.media import VideoFacts
from generation.services.smoothing import interpolation_offered
from gpu.models import InstanceState
from gpu.services import config, features
from gpu.services.features import FRAMES_BETWEEN
from tests import factories
from tests.gpu import machine_rows
from tests.simulators.swarmui.simulator import SwarmSimulator

ABLE = ["video", FRAMES_BETWEEN]


@pytest.fixture(scope="module")
def swarm() -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        yield simulator


def wish(person: User, **values: object) -> JobRequest:
    request = JobRequest(prompt="the dog runs", model="wan-2-2", image=factories.source_image(person))
    return replace(request, **{"interpolate": 2} | values)  # type: ignore[arg-type]  # a test's own values


# --- who offers it ---------------------------------------------------------------------------------------------------


def test_a_rented_server_that_has_the_nodes_offers_frames_in_between(person: User) -> None:
    machine_rows.instance(features=["video"])
    assert not interpolation_offered(factories.wan_model())
    machine_rows.instance(features=ABLE)
    assert interpolation_offered(factories.wan_model())
    assert not interpolation_offered(factories.preview_model())


def test_while_none_is_rented_the_last_ready_machine_says_what_the_next_one_can(db: None) -> None:
    assert not features.offered(FRAMES_BETWEEN)
    machine_rows.instance(InstanceState.DESTROYED, features=ABLE)
    assert features.offered(FRAMES_BETWEEN)


def test_a_server_typed_in_by_hand_is_asked(db: None, swarm: SwarmSimulator, settings: Settings) -> None:
    settings.SWARMUI_PRIVATE_HOSTS = [swarm.url.partition("://")[2]]
    swarm.script(features=["video", FRAMES_BETWEEN])
    config.save_config(swarmui_url=swarm.url)

    assert features.known() == {swarm.url: frozenset({"video", FRAMES_BETWEEN})}
    assert features.offered(FRAMES_BETWEEN)


def test_a_server_that_does_not_answer_offers_nothing(db: None, settings: Settings) -> None:
    settings.SWARMUI_PRIVATE_HOSTS = ["127.0.0.1:9"]
    config.save_config(swarmui_url="http://127.0.0.1:9")

    assert features.known() == {"http://127.0.0.1:9": None}
    assert not features.offered(FRAMES_BETWEEN)


# --- who may ask for it ----------------------------------------------------------------------------------------------


def test_frames_in_between_are_refused_where_nobody_can_make_them(person: User) -> None:
    machine_rows.instance(features=["video"])
    with pytest.raises(BadSetting) as refused:
        jobs.submit_job(owner=person, request=wish(person))

    assert refused.value.field == "interpolate"
    assert not VideoJob.objects.exists()


@pytest.mark.parametrize(("model", "times"), [("wan-2-2", 3), ("wan-2-2", 0), ("motion-preview", 2)])
def test_a_model_takes_what_it_can(person: User, model: str, times: int) -> None:
    machine_rows.instance(features=ABLE)
    with pytest.raises(BadSetting) as refused:
        jobs.submit_job(owner=person, request=wish(person, model=model, interpolate=times))

    assert refused.value.field == "interpolate"


def test_they_are_stored_and_kept_by_a_retry(person: User) -> None:
    machine_rows.instance(features=ABLE)
    job = jobs.submit_job(owner=person, request=wish(person, interpolate=4))

    assert VideoJob.objects.get(pk=job.pk).interpolate == 4
    assert jobs.retry_job(job=job, new_seed=True).interpolate == 4


def test_another_model_is_asked_without_what_it_cannot(person: User) -> None:
    request = wish(person, end_image=factories.source_image(person))
    without = fitted(factories.preview_model(), request, asked=factories.wan_model())

    assert (without.interpolate, without.end_image) == (1, None)
    assert fitted(factories.wan_model(), request, asked=factories.preview_model()).interpolate == 2


# --- who gets it -----------------------------------------------------------------------------------------------------


def claimed(smooth: set[str], *urls: str) -> dict[int, str]:
    """The endpoint of each job that was taken, by its seed."""
    room = Room(total=9, preview=0, endpoints=list(urls), smooth=frozenset(smooth))
    return {claim.job.seed: claim.attempt.endpoint for claim in claims.claim_jobs(owner="me", room=room)}


def test_such_a_video_goes_to_a_server_that_can_and_holds_nobody_up(person: User, settings: Settings) -> None:
    settings.SWARMUI_SEATS = 1
    model = factories.wan_model()
    for seed, times in enumerate((2, 1, 2)):
        factories.job(person, model=model, seed=seed, interpolate=times)

    assert claimed(set(), "http://a") == {1: "http://a"}
    assert claimed({"http://c"}, "http://b", "http://c") == {0: "http://c"}
    assert claimed({"http://c"}, "http://b", "http://c") == {}


def test_servers_are_only_asked_while_such_a_video_waits(person: User) -> None:
    machine = machine_rows.instance(features=ABLE)
    assert smoothing.servers_for_waiting([machine.url]) == frozenset()
    factories.job(person, model=factories.wan_model(), interpolate=2)
    assert smoothing.servers_for_waiting([machine.url, "http://other"]) == {machine.url}


def test_a_video_that_no_server_can_make_ends_and_says_why(person: User) -> None:
    machine = machine_rows.instance(features=["video"])
    waiting = factories.job(person, model=factories.wan_model(), interpolate=2)
    other = factories.job(person, model=factories.wan_model())

    assert smoothing.servers_for_waiting([machine.url]) == frozenset()

    for job in (waiting, other):
        job.refresh_from_db()
    assert (waiting.status, waiting.error_code, other.status) == (Status.FAILED, "no_frames_between", Status.QUEUED)


def test_it_waits_while_a_server_may_still_come_or_does_not_answer(person: User, settings: Settings) -> None:
    waiting = factories.job(person, model=factories.wan_model(), interpolate=2)
    smoothing.servers_for_waiting([])
    settings.SWARMUI_PRIVATE_HOSTS = ["127.0.0.1:9"]
    config.save_config(swarmui_url="http://127.0.0.1:9")
    smoothing.servers_for_waiting(["http://127.0.0.1:9"])

    waiting.refresh_from_db()
    assert waiting.status == Status.QUEUED


# --- what it takes ---------------------------------------------------------------------------------------------------


def seconds(person: User, times: int) -> float:
    model = factories.wan_model()
    return estimate_for(model, check_settings(model, wish(person, interpolate=times))).seconds


def test_nobody_has_measured_it_so_a_tenth_more_is_assumed_for_each_further_frame(person: User) -> None:
    assert seconds(person, 2) == pytest.approx(1.1 * seconds(person, 1), abs=0.2)
    assert seconds(person, 4) == pytest.approx(1.3 * seconds(person, 1), abs=0.2)


def test_once_it_was_measured_that_counts(person: User) -> None:
    model = factories.wan_model()
    made = {"width": 832, "height": 480, "frames": 81, "steps": model.default_steps, "cfg_scale": 1.0}
    for times, took in ((1, 50.0), (1, 50.0), (1, 50.0), (2, 90.0), (2, 90.0), (2, 90.0)):
        job = factories.job(person, model=model, interpolate=times, **made)
        done = {"outcome": Attempt.Outcome.STORED, "ended_at": job.created_at}
        factories.attempt(job, timings={"rendering": took}, **done)
    history.remember([model])

    def foretold(times: int) -> history.Seconds:
        chosen = check_settings(model, wish(person, interpolate=times, size="832x480"))
        return history.foretell(model, history.work_of(model, chosen), frozenset())

    assert (foretold(1).usual, foretold(2).usual) == (50.0, 90.0)
    assert foretold(2).basis == "history"


# --- what came out ---------------------------------------------------------------------------------------------------


def facts(fps: float) -> VideoFacts:
    return VideoFacts(width=832, height=480, frames=161, fps=fps, duration_s=5.0)


def test_a_video_without_the_frames_in_between_is_said_to_have_drifted() -> None:
    sent = {"videofps": 16, "videoframeinterpolationmultiplier": 2, "videoframeinterpolationmethod": "RIFE"}

    assert drift_of(sent, facts(32), {}) == []
    assert drift_of(sent, facts(16), {}) == [
        "Frames in between, 32 a second, were asked for; the video has 16.",
    ]
    assert drift_of({"videofps": 16}, facts(24), {}) == []
