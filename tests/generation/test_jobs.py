"""Submitting, cancelling, retrying and deleting."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from generation.errors import AlreadyOver, BadSetting, EngineNotConfigured, NotOver, TooManyOpenJobs, UnknownModel
from generation.models import Provider, Rating, Status, VideoJob, VideoModel
from generation.services import jobs
from generation.services.jobs import JobRequest
from tests import factories


def ask(person: User, **values: Any) -> VideoJob:
    if "image" not in values and "image_url" not in values:
        values["image"] = factories.source_image(person)
    return jobs.submit_job(
        owner=person, request=JobRequest(**{"prompt": "pan left", "model": "motion-preview"} | values)
    )


def test_a_submitted_job_has_the_models_defaults_and_a_drawn_seed(person: User) -> None:
    job = ask(person)

    assert (job.status, job.frames, job.fps, job.steps) == (Status.QUEUED, 81, 16, 1)
    assert 0 <= job.seed < 2**31
    assert ask(person).seed != job.seed


def test_the_size_is_the_offered_one_nearest_to_the_pictures_aspect(person: User) -> None:
    tall = ask(person, image=factories.source_image(person, width=300, height=520))

    assert (tall.width, tall.height) == (480, 832)


def test_a_large_size_is_never_chosen_for_somebody(person: User) -> None:
    wide = ask(person, image=factories.source_image(person, width=1920, height=1080))

    assert (wide.width, wide.height) == (832, 480)


def test_the_size_waits_for_a_picture_that_must_be_fetched(person: User) -> None:
    job = ask(person, image_url="https://example.com/cat.jpg")

    assert (job.width, job.height, job.image) == (None, None, None)


def test_a_custom_size_is_rounded_to_sixteen(person: User) -> None:
    job = ask(person, size="639x361")

    assert (job.size, job.width, job.height) == ("640x368", 640, 368)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_frames", 0),
        ("num_frames", 10**9),
        ("fps", 0),
        ("steps", 101),
        ("cfg_scale", float("nan")),
        ("cfg_scale", float("inf")),
        ("cfg_scale", -1.0),
        ("seed", -2),
        ("seed", 2**60),
        ("focus_x", 1.5),
        ("focus_y", float("nan")),
        ("size", "wide"),
        ("size", "832x"),
        ("size", "16x16"),
        ("size", "1920x1920"),
        ("size", "9" * 400 + "x16"),
        ("size", "-832x480"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_field_and_nothing_is_stored(
    person: User, field: str, value: object
) -> None:
    with pytest.raises(BadSetting) as refused:
        ask(person, **{field: value})

    assert refused.value.field == field
    assert not VideoJob.objects.exists()


def test_frames_that_the_model_cannot_make_are_refused_with_the_nearest(person: User) -> None:
    VideoModel.objects.filter(slug="motion-preview").update(frames_step=4)

    with pytest.raises(BadSetting, match="nearest is 81"):
        ask(person, num_frames=80)


@pytest.mark.parametrize(("asked", "near"), [(100, 81), (102, 121), (161, 121)])
def test_a_model_with_a_few_lengths_takes_only_these_and_names_the_nearest(person: User, asked: int, near: int) -> None:
    VideoModel.objects.filter(slug="motion-preview").update(frame_choices=[81, 121], frames_step=7)

    assert ask(person, num_frames=121).frames == 121
    with pytest.raises(BadSetting, match=f"81 or 121 frames; the nearest is {near}") as refused:
        ask(person, num_frames=asked)
    assert refused.value.field == "num_frames"


def test_a_cloud_model_needs_a_key(person: User, settings: Settings) -> None:
    settings.FAL_KEY = ""
    with pytest.raises(EngineNotConfigured, match=r"key for fal\.ai"):
        ask(person, model="fal-wan-2-2", num_frames=81)
    settings.FAL_KEY = "key:secret"

    assert ask(person, model="fal-wan-2-2", num_frames=81).reserved_usd > 0


def test_the_cloud_is_never_chosen_for_somebody_who_named_no_model(person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key:secret"
    VideoModel.objects.filter(provider=Provider.FAL).update(position=0)
    assert ask(person, model=None).model.provider == Provider.PREVIEW

    VideoModel.objects.exclude(provider=Provider.FAL).update(enabled=False)
    with pytest.raises(EngineNotConfigured):
        ask(person, model=None)


def test_a_retry_of_a_cloud_video_is_promised_again(person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key:secret"
    job = ask(person, model="fal-wan-2-2")
    jobs.cancel_job(job=job)

    assert jobs.retry_job(job=job).reserved_usd == job.reserved_usd > 0


def test_a_gpu_model_without_a_server_is_refused(person: User) -> None:
    with pytest.raises(EngineNotConfigured):
        ask(person, model="wan-2-2")


def test_a_model_rated_mature_is_unknown_to_people_without_the_permission(person: User, staff: User) -> None:
    VideoModel.objects.filter(slug="motion-preview").update(rating=Rating.MATURE)

    with pytest.raises(UnknownModel):
        ask(person)
    assert ask(staff).status == Status.QUEUED


def test_a_disabled_model_is_unknown(person: User) -> None:
    VideoModel.objects.update(enabled=False)

    with pytest.raises(UnknownModel):
        ask(person)


def test_open_jobs_are_limited_per_person(person: User, stranger: User, settings: Settings) -> None:
    settings.MAX_OPEN_JOBS = 1
    ask(person)

    with pytest.raises(TooManyOpenJobs):
        ask(person)
    assert ask(stranger).status == Status.QUEUED


def test_exactly_one_picture_is_needed(person: User) -> None:
    with pytest.raises(BadSetting):
        ask(person, image=None)
    with pytest.raises(BadSetting):
        ask(person, image=factories.source_image(person), image_url="https://example.com/a.png")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERING, Status.STORING])
def test_an_unfinished_job_can_be_cancelled_once(person: User, status: Status) -> None:
    job = factories.job(person, status=status, lease_token="t", lease_until=timezone.now() + timedelta(minutes=1))

    assert jobs.cancel_job(job=job).status == Status.CANCELLED
    assert job.lease_token == "t"  # whoever holds it still has to tell the engine
    with pytest.raises(AlreadyOver):
        jobs.cancel_job(job=job)


def test_a_retry_is_a_new_job_with_the_same_seed(person: User) -> None:
    failed = factories.job(person, status=Status.FAILED, error_code="x", seed=99)

    again = jobs.retry_job(job=failed)

    assert (again.parent, again.seed, again.prompt) == (failed, 99, failed.prompt)
    assert again.status == Status.QUEUED


def test_another_one_has_a_new_seed_and_may_be_asked_for_at_any_time(person: User) -> None:
    running = factories.job(person, status=Status.RENDERING, seed=99)

    assert jobs.retry_job(job=running, new_seed=True).seed != 99
    with pytest.raises(NotOver):
        jobs.retry_job(job=running)


def test_a_retry_without_its_picture_says_so(person: User) -> None:
    job = factories.job(person, status=Status.FAILED, error_code="x", image=None)

    with pytest.raises(BadSetting, match="picture"):
        jobs.retry_job(job=job)
