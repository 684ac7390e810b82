"""A job that is asked for again keeps everything that was asked for it."""

from django.contrib.auth.models import User

from generation.models import Batch, Status, VideoJob
from generation.services import drafts, jobs
from generation.services.jobs import JobRequest
from generation.services.repeating import request_of
from tests import factories


def rich_request(person: User) -> JobRequest:
    return JobRequest(
        prompt="pan left",
        model="motion-preview",
        image=factories.source_image(person),
        visible_label=True,
        continues=factories.job(person, status=Status.SUCCEEDED, video_key="out/1/video.mp4"),
        continues_frame=3,
        batch=Batch.objects.create(owner=person),
    )


def test_a_request_is_stored_with_all_that_belongs_to_it(person: User) -> None:
    request = rich_request(person)
    job = VideoJob.objects.get(pk=jobs.submit_job(owner=person, request=request).pk)

    kept = ("visible_label", "continues", "continues_frame", "batch")
    assert [getattr(job, name) for name in kept] == [getattr(request, name) for name in kept]


def test_a_picture_that_was_fetched_is_not_fetched_again(person: User) -> None:
    address = "https://pictures.example/cat.jpg"
    fetched = factories.job(person, image=factories.source_image(person), image_url=address)
    waiting = factories.job(person, image=None, image_url=address)

    assert [request_of(job).image_url for job in (fetched, waiting)] == ["", address]


def test_a_retry_keeps_them(person: User) -> None:
    job = jobs.submit_job(owner=person, request=rich_request(person))
    VideoJob.objects.filter(pk=job.pk).update(status=Status.FAILED, error_code="internal")
    job.refresh_from_db()

    again = VideoJob.objects.get(pk=jobs.retry_job(job=job).pk)

    assert request_of(again) == request_of(job)
    assert (again.visible_label, again.continues_frame, again.batch_id) == (True, 3, job.batch_id)


def test_a_final_of_a_draft_belongs_to_no_batch_but_continues_what_its_draft_continued(person: User) -> None:
    job = jobs.submit_job(owner=person, request=rich_request(person))

    final = drafts.final_request(job, factories.wan_model())

    assert final.batch is None
    assert (final.continues, final.continues_frame, final.visible_label) == (job.continues, 3, True)
