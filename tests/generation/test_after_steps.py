"""A smoother or bigger video of a finished one, variations of it, and the buttons of a batch."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from generation.models import Batch, Status, VideoJob, VideoModel
from generation.pages.after_steps import after_steps_context
from generation.services import after_steps
from generation.services.repeating import request_of
from gpu.services import config
from gpu.services.features import FRAMES_BETWEEN
from tests import factories
from tests.generation.choosing_rows import cloud_model
from tests.gpu import machine_rows


@pytest.fixture
def site(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def finished(person: User, **values: Any) -> VideoJob:
    defaults: dict[str, Any] = {"model": factories.wan_model(), "width": 832, "height": 480, "frames": 81, "steps": 4}
    done = {"status": Status.SUCCEEDED, "video_key": "out/1/video.mp4", "batch": Batch.objects.create(owner=person)}
    return factories.job(person, **defaults | done | values)


def kinds(job: VideoJob) -> dict[str, tuple[int, str]]:
    return {step.kind: (step.request.interpolate, step.request.size) for step in after_steps.steps_of(job)}


def test_a_finished_video_can_be_made_smoother_and_bigger(person: User) -> None:
    machine_rows.instance(features=[FRAMES_BETWEEN])

    assert kinds(finished(person)) == {"smoother": (2, "832x480"), "bigger": (1, "1280x720")}
    assert kinds(finished(person, interpolate=2)) == {"smoother": (4, "832x480"), "bigger": (2, "1280x720")}
    assert kinds(finished(person, interpolate=4, width=1280, height=720)) == {}


def test_bigger_keeps_the_shape(person: User) -> None:
    machine_rows.instance()

    assert kinds(finished(person, width=480, height=832)) == {"bigger": (1, "720x1280")}
    assert kinds(finished(person, width=640, height=640)) == {"bigger": (1, "960x960")}


def test_nothing_is_offered_without_a_server_for_it_or_a_picture_or_before_the_end(person: User) -> None:
    assert kinds(finished(person)) == {}
    machine_rows.instance()
    assert "smoother" not in kinds(finished(person))
    assert kinds(finished(person, image=None)) == {}
    assert kinds(finished(person, status=Status.QUEUED)) == {}


def test_what_is_made_has_the_same_seed_and_settings_and_belongs_to_no_batch(person: User) -> None:
    machine_rows.instance(features=[FRAMES_BETWEEN])
    job = finished(person, seed=99, end_image=factories.source_image(person))

    made = after_steps.make(job, after_steps.SMOOTHER)

    kept, new = request_of(job), request_of(made)
    assert (made.parent, made.batch, made.interpolate, made.size) == (job, None, 2, "832x480")
    same = ("prompt", "image", "seed", "steps", "num_frames", "fps", "end_image", "focus_x")
    assert [getattr(new, name) for name in same] == [getattr(kept, name) for name in same]


# --- the pages -------------------------------------------------------------------------------------------------------


def test_a_click_makes_it_and_leads_there(site: Client, person: User) -> None:
    machine_rows.instance(features=[FRAMES_BETWEEN])
    job = finished(person)

    for kind in ("smoother", "bigger"):
        answer = site.post(f"/jobs/{job.pk}/{kind}")
        made = VideoJob.objects.order_by("created_at").last()
        assert made is not None
        assert (answer.status_code, answer["Location"], made.parent) == (302, f"/jobs/{made.pk}", job)


def test_a_dear_one_asks_first(site: Client, person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key"
    cloud = cloud_model(sizes=["832x480", "1280x720"], max_side=1280, max_pixels=1280 * 720)
    job = finished(person, model=cloud, fps=16, steps=cloud.default_steps)

    asked = site.post(f"/jobs/{job.pk}/bigger")

    assert asked.status_code == 200
    assert "It costs $0.40." in asked.content.decode()
    assert VideoJob.objects.count() == 1
    assert site.post(f"/jobs/{job.pk}/bigger", {"confirmed": "1"}).status_code == 302
    assert VideoJob.objects.count() == 2


def test_what_is_not_offered_is_said_and_somebody_elses_is_not_found(
    site: Client, person: User, stranger: User
) -> None:
    job, theirs = finished(person), finished(stranger)

    answer = site.post(f"/jobs/{job.pk}/smoother", follow=True)
    assert "cannot be made of the video now" in answer.content.decode()
    for action in ("smoother", "bigger", "vary"):
        assert site.post(f"/jobs/{theirs.pk}/{action}").status_code == 404
        assert site.get(f"/jobs/{job.pk}/{action}").status_code == 405


def test_the_buttons_say_what_happens_and_what_it_costs(person: User) -> None:
    machine_rows.instance(features=[FRAMES_BETWEEN], usd_per_hour=Decimal(40))
    config.save_config(gpu_provider="vastai")
    with translation.override("en"):
        smoother, bigger = after_steps_context(finished(person))["after_steps"]

        assert smoother.asks
        assert "32 a second" in smoother.text
        assert "rendered again" in smoother.text
        assert "It costs about $" in smoother.text
        assert "1280 x 720 pixels" in bigger.text


def test_variations_lead_to_their_batch_in_the_library(site: Client, person: User) -> None:
    job = factories.job(person)

    answer = site.post(f"/jobs/{job.pk}/vary")
    batch = Batch.objects.get()
    assert answer["Location"] == f"/library?batch={batch.pk}"
    assert VideoJob.objects.filter(batch=batch, parent=job).count() == 4

    site.post(f"/jobs/{job.pk}/vary", {"count": "8"})
    assert VideoJob.objects.count() == 13
    for count in ("9", "0", "many"):
        site.post(f"/jobs/{job.pk}/vary", {"count": count})
    assert VideoJob.objects.count() == 13


def test_dear_variations_ask_first_and_remember_how_many(site: Client, person: User, settings: Settings) -> None:
    settings.FAL_KEY = "key"
    cloud: VideoModel = cloud_model()
    job = finished(person, model=cloud, fps=16, steps=cloud.default_steps)

    asked = site.post(f"/jobs/{job.pk}/vary", {"count": "3"}).content.decode()

    assert "Make 3 variations?" in asked
    assert "$1.20" in asked
    assert '<input type="hidden" name="count" value="3">' in asked
    assert VideoJob.objects.count() == 1


def test_a_batch_is_cancelled_after_a_question(site: Client, person: User) -> None:
    job = factories.job(person)
    site.post(f"/jobs/{job.pk}/vary", {"count": "2"})
    batch = Batch.objects.get()

    assert "Cancel 2 videos?" in site.post(f"/batches/{batch.pk}/cancel").content.decode()
    answer = site.post(f"/batches/{batch.pk}/cancel", {"confirmed": "1"}, follow=True)

    assert "2 videos were cancelled." in answer.content.decode()
    assert VideoJob.objects.filter(status=Status.CANCELLED, batch=batch).count() == 2
    job.refresh_from_db()
    assert job.status == Status.QUEUED


def test_what_failed_of_a_batch_is_made_again(site: Client, person: User, stranger: User) -> None:
    batch, theirs = Batch.objects.create(owner=person), Batch.objects.create(owner=stranger)
    factories.job(person, batch=batch, status=Status.FAILED, error_code="internal")
    factories.job(person, batch=batch)

    answer = site.post(f"/batches/{batch.pk}/retry-failed")

    assert answer["Location"] == f"/library?batch={batch.pk}"
    assert VideoJob.objects.filter(batch=batch, status=Status.QUEUED).count() == 2
    assert site.post(f"/batches/{theirs.pk}/retry-failed").status_code == 404
    assert site.post(f"/batches/{theirs.pk}/cancel").status_code == 404


def test_the_operator_sees_batches_with_their_counts(staff: User, person: User) -> None:
    batch = Batch.objects.create(owner=person, name="trial")
    factories.job(person, batch=batch)
    factories.job(person, batch=batch, status=Status.FAILED, error_code="internal")
    client = Client()
    client.force_login(staff)

    listed = client.get("/admin/generation/batch/").content.decode()
    assert "trial" in listed
    assert f"?batch__id__exact={batch.pk}" in listed
    assert '<td class="field-unfinished">1</td>' in listed
    assert client.get(f"/admin/generation/videojob/?batch__id__exact={batch.pk}").status_code == 200
    assert client.get(f"/admin/generation/batch/{batch.pk}/change/").status_code == 200
    assert client.get("/admin/generation/batch/add/").status_code == 403
