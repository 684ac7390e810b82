"""A hidden video is hidden with all that shows it, and nothing more is made of it; a takedown leaves nothing behind."""

import io
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from generation.errors import BadSetting, NoVideo
from generation.models import AuditEntry, Blocked, Clip, ClipPart, Notice, SourceImage, Status, VideoJob
from generation.services import after_steps, batches, deleting, drafts, jobs, storylines, sweeping, takedown
from generation.services.asking import JobRequest
from generation.services.clips import purge_clip
from generation.services.intake import store_picture
from generation.services.links import link
from generation.services.repeating import request_of
from gpu.models import GpuConfig
from tests import factories
from tests.generation.test_erasing import forked
from tests.generation.test_reports import finished, report_of

HIDDEN = "Somebody reported this video."


def clip_of(*parts: VideoJob, state: str = "done") -> Clip:
    pk = uuid.uuid4()
    key = default_storage.save(f"clip/{pk}/1.mp4", ContentFile(b"clip"))
    clip = Clip.objects.create(pk=pk, owner=parts[0].owner, kind="trim", state=state, sha256="e" * 64, key=key, tries=1)
    for position, job in enumerate(parts):
        ClipPart.objects.create(clip=clip, job=job, position=position)
    return clip


def frame_of(job: VideoJob) -> SourceImage:
    kept = store_picture(owner=job.owner, file=io.BytesIO(factories.png()))
    SourceImage.objects.filter(pk=kept.pk).update(from_job=job, from_frame=3)
    kept.refresh_from_db()
    return kept


def test_clips_are_hidden_with_their_video_also_those_of_copies_and_those_to_come(person: User, stranger: User) -> None:
    job, copy, other = finished(person), finished(stranger), finished(person, sha256="b" * 64)
    derived = [clip_of(job), clip_of(other, job), clip_of(job, state="queued"), clip_of(copy)]
    apart = clip_of(other)
    report_of(job)

    assert not Clip.objects.filter(pk__in=[clip.pk for clip in derived], hidden_at=None).exists()
    assert Clip.objects.get(hidden_at=None) == apart


def test_a_hidden_clips_files_say_why_to_their_owner_and_nothing_to_others(
    client: Client, person: User, stranger: User
) -> None:
    job = finished(person)
    clip = clip_of(job)
    given_before = link(clip.key)
    assert client.get(given_before).status_code == 200
    report_of(job)

    client.force_login(person)
    answer = client.get(f"/clips/{clip.pk}/file")
    assert (answer.status_code, HIDDEN in answer.content.decode()) == (404, True)
    assert client.get(given_before).status_code == 404
    client.force_login(stranger)
    answer = client.get(f"/clips/{clip.pk}/file")
    assert (answer.status_code, HIDDEN in answer.content.decode()) == (404, False)


def test_a_dismissed_report_shows_clips_and_frames_again(person: User, staff: User) -> None:
    job = finished(person)
    clip, frame = clip_of(job), frame_of(job)
    report = report_of(job)
    assert SourceImage.objects.get(pk=frame.pk).hidden_at is not None

    takedown.dismiss(report=report, actor=staff, note="A cat.")
    assert Clip.objects.filter(pk=clip.pk, hidden_at=None).exists()
    assert SourceImage.objects.filter(pk=frame.pk, hidden_at=None).exists()


def test_a_clip_of_two_hidden_videos_is_shown_when_both_are(person: User, staff: User) -> None:
    first, second = finished(person), finished(person, sha256="b" * 64)
    clip, reports = clip_of(first, second), []
    for job in (first, second):
        reports.append(report_of(job))
    takedown.dismiss(report=reports[0], actor=staff, note="A cat.")
    clip.refresh_from_db()
    assert clip.hidden_at is not None

    takedown.dismiss(report=reports[1], actor=staff, note="A cat.")
    clip.refresh_from_db()
    assert clip.hidden_at is None


def test_a_hidden_frame_is_no_picture_any_more(client: Client, api: APIClient, person: User) -> None:
    job = finished(person)
    frame = frame_of(job)
    given_before = link(frame.key)
    assert client.get(given_before).status_code == 200
    report_of(job)
    client.force_login(person)

    assert client.get(given_before).status_code == 404
    assert client.get(f"/pictures/{frame.pk}/full").status_code == 404
    assert client.get(f"/pictures/{frame.pk}/thumbnail").status_code == 404
    assert str(frame.pk) not in str(api.get("/api/images").json())
    assert api.get(f"/api/images/{frame.pk}").status_code == 404
    assert api.post("/api/jobs", {"image_id": str(frame.pk), "prompt": "on"}, format="json").status_code == 404
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")
    frame.refresh_from_db()
    wish = JobRequest(prompt="on", model="wan-2-2", image=frame)
    for one in (wish, replace(wish, image=factories.source_image(person), end_image=frame)):
        with pytest.raises(BadSetting, match="no such picture"):
            jobs.submit_job(owner=person, request=one)


WAYS: dict[str, Callable[[VideoJob], object]] = {
    "retry": lambda job: jobs.retry_job(job=job),
    "another": lambda job: jobs.retry_job(job=job, new_seed=True),
    "take": lambda job: storylines.another_take(job=job),
    "vary": lambda job: batches.vary(job=job),
    "final": lambda job: drafts.make_final(owner=job.owner, job=job, model="wan-2-2"),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_more_is_made_of_a_hidden_video(person: User, way: str) -> None:
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")
    job = finished(person)
    VideoJob.objects.update(hidden_at=timezone.now())
    job.refresh_from_db()
    before = VideoJob.objects.count()
    with pytest.raises(NoVideo, match=HIDDEN):
        WAYS[way](job)

    assert VideoJob.objects.count() == before
    assert after_steps.steps_of(job) == []


def test_a_hidden_video_is_not_continued_and_what_continued_it_is_repeated_without_it(person: User) -> None:
    job = finished(person)
    following = factories.job(person, status=Status.CANCELLED, continues=job, continues_frame=2)
    VideoJob.objects.filter(pk=job.pk).update(hidden_at=timezone.now())
    job.refresh_from_db()
    wish = JobRequest(prompt="on", image=factories.source_image(person), continues=job)
    with pytest.raises(BadSetting, match="can be continued"):
        jobs.submit_job(owner=person, request=wish)

    following.refresh_from_db()
    assert request_of(following).continues is None


@pytest.mark.parametrize(("path", "status"), [
    ("jobs/{pk}/retry", 302), ("jobs/{pk}/vary", 302), ("jobs/{pk}/frame", 302), ("jobs/{pk}/clips", 302),
])  # fmt: skip
def test_the_pages_refuse_a_hidden_video_with_a_sentence_and_are_no_pages_for_others(
    client: Client, person: User, stranger: User, path: str, status: int
) -> None:
    job = finished(person)
    VideoJob.objects.update(hidden_at=timezone.now())
    address = "/" + path.format(pk=job.pk)
    client.force_login(stranger)
    assert client.post(address, {"kind": "trim"}).status_code == 404
    client.force_login(person)
    answer = client.post(address, {"kind": "trim"}, follow=True, headers={"Accept": "text/html"})

    assert answer.redirect_chain[0][1] == status
    assert [str(message) for message in answer.context["messages"]] != []
    assert (VideoJob.objects.count(), Clip.objects.count()) == (1, 0)


# --- takedown ---------------------------------------------------------------------------------------------------------


def test_a_takedown_takes_the_clips_of_all_owners_and_tells_each(person: User, stranger: User, staff: User) -> None:
    job, copy, other = finished(person), finished(stranger), finished(person, sha256="b" * 64)
    derived = [clip_of(other, job), clip_of(copy)]
    apart = clip_of(other)
    taken = takedown.take_down(report=report_of(job), actor=staff, note="Yes.")

    assert taken == 4
    assert Clip.objects.get(deleted_at=None) == apart
    removed = Notice.objects.filter(kind="job.removed", owner=stranger)
    assert {row.data["clip_id"] for row in removed} == {None, str(derived[1].pk)}


def test_frames_of_what_is_taken_down_are_deleted_wherever_they_are_and_not_taken_again(
    person: User, stranger: User, staff: User
) -> None:
    job = finished(person)
    frame = frame_of(job)
    same = store_picture(owner=stranger, file=io.BytesIO(factories.png()))
    made_of_it = factories.job(stranger, image=factories.source_image(stranger), end_image=same)
    assert same.sha256 == frame.sha256
    takedown.take_down(report=report_of(job, "copyright"), actor=staff, note="Yes.")

    assert not SourceImage.objects.filter(sha256=frame.sha256).exists()
    assert SourceImage.objects.filter(jobs=job).exists()  # it may be theirs
    made_of_it.refresh_from_db()
    assert made_of_it.status == Status.CANCELLED
    assert Blocked.objects.filter(sha256=frame.sha256).exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_takedown_killed_after_the_decision_is_completed_by_the_sweep() -> None:
    person, staff = factories.person("ada"), factories.person("root", is_staff=True)
    job = finished(person)
    attempt = factories.attempt(job, ended_at=timezone.now(), outcome="stored")
    video = default_storage.save(f"out/{job.pk}/{attempt.pk}.mp4", ContentFile(b"video"))
    VideoJob.objects.filter(pk=job.pk).update(video_key=video)
    clip, frame, image = clip_of(job), frame_of(job), job.image
    assert image is not None
    using_it = factories.job(person, image=image)
    report = report_of(job)

    forked("takedown.decided", lambda: takedown.take_down(report=report, actor=staff, note="Yes."))
    assert default_storage.exists(image.key)
    assert SourceImage.objects.filter(pk__in=[image.pk, frame.pk]).exclude(hidden_at=None).count() == 2
    sweeping.sweep()
    deleting.purge_job(job_id=str(job.pk))
    purge_clip(clip_id=str(clip.pk))

    left = [key for key in (video, clip.key, image.key, frame.key, frame.thumbnail_key) if default_storage.exists(key)]
    assert left == []
    assert not SourceImage.objects.filter(pk__in=[image.pk, frame.pk]).exists()
    using_it.refresh_from_db()
    assert using_it.status == Status.CANCELLED
    subjects = set(AuditEntry.objects.filter(action="taken_down").values_list("subject", flat=True))
    assert {f"job:{job.pk}", f"clip:{clip.pk}", f"picture:{image.pk}", f"picture:{frame.pk}"} <= subjects
