"""Deleting videos: hidden at once, purged after a while in which it can be undone, and never both."""

import re
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from generation.models import Status, VideoJob
from generation.services import sweeping
from generation.services.deleting import UNDO_SECONDS, delete_job, delete_jobs, purge_job, restore_jobs
from generation.services.stored_files import keys_of_attempt
from tests import factories


def finished(owner: User) -> VideoJob:
    """A finished video whose files lie in the storage."""
    job = factories.job(owner, image=None)
    keys = keys_of_attempt(job.pk, factories.attempt(job).pk)
    for key in keys:
        default_storage.save(key, ContentFile(b"x"))
    done = {"status": Status.SUCCEEDED, "video_key": keys[0], "poster_key": keys[1], "loop_key": keys[2]}
    VideoJob.objects.filter(pk=job.pk).update(**done)
    job.refresh_from_db()
    return job


def rung() -> list[str]:
    return [task.func() for task in OrmQ.objects.all()]


def test_a_deleted_video_is_hidden_cancelled_and_still_whole(person: User) -> None:
    job = factories.job(person, status=Status.RENDERING)

    assert delete_jobs(owner=person, jobs=[job, job]) == [job.pk]

    job.refresh_from_db()
    assert (job.status, job.prompt) == (Status.CANCELLED, "slow zoom in")
    assert not VideoJob.objects.owned_by(person).exists()
    assert rung() == []


def test_nobody_deletes_or_restores_somebody_elses_video(person: User, stranger: User) -> None:
    theirs, gone = finished(stranger), finished(stranger)
    delete_job(job=gone)

    assert delete_jobs(owner=person, jobs=[theirs]) == []
    assert restore_jobs(owner=person, ids=[gone.pk]) == []
    assert list(VideoJob.objects.visible()) == [theirs]


def test_the_sweep_rings_only_after_the_grace(person: User) -> None:
    delete_job(job=finished(person))
    now = timezone.now()

    with time_machine.travel(now + timedelta(seconds=UNDO_SECONDS - 2), tick=False):
        sweeping.sweep()
        assert rung() == []
    with time_machine.travel(now + timedelta(seconds=UNDO_SECONDS + 2), tick=False):
        sweeping.sweep()
        assert rung() == ["generation.tasks.purge_job"]


def test_a_purge_that_comes_too_early_does_nothing(person: User) -> None:
    job = finished(person)
    delete_job(job=job)

    purge_job(job_id=str(job.pk))

    assert default_storage.exists(job.video_key)
    assert restore_jobs(owner=person, ids=[job.pk]) == [job.pk]
    assert list(VideoJob.objects.owned_by(person)) == [job]


def test_a_restored_video_is_not_purged_however_late_the_task_comes(person: User) -> None:
    job = finished(person)
    delete_job(job=job)
    factories.end_grace()
    assert restore_jobs(owner=person, ids=[job.pk]) == [job.pk]

    purge_job(job_id=str(job.pk))

    assert default_storage.exists(job.video_key)


def test_a_video_whose_purge_began_does_not_come_back_even_when_its_row_has_to_stay(person: User) -> None:
    job = finished(person)
    delete_job(job=job)
    factories.end_grace()
    VideoJob.objects.update(lease_token="dispatcher", lease_until=timezone.now())
    purge_job(job_id=str(job.pk))

    assert restore_jobs(owner=person, ids=[job.pk]) == []
    assert not default_storage.exists(f"out/{job.pk}")
    assert VideoJob.objects.filter(pk=job.pk).exists()


def test_a_row_that_has_to_stay_for_a_bill_keeps_no_word_of_its_person(person: User) -> None:
    job = finished(person)
    job.tags.create(owner=person, name="secret")
    VideoJob.objects.update(alt_text="my face", negative_prompt="scar", cost_is_final=False)
    delete_job(job=job)
    factories.end_grace()
    purge_job(job_id=str(job.pk))

    job.refresh_from_db()
    assert (job.prompt, job.negative_prompt, job.alt_text, job.tags.count()) == ("", "", "", 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_a_purge_and_a_restore_at_the_same_moment_one_wins() -> None:
    ada = factories.person("ada")
    for _ in range(5):
        job = finished(ada)
        delete_job(job=job)
        factories.end_grace()
        together, restored = Barrier(2), list[object]()

        def restore(job: VideoJob = job, together: Barrier = together, restored: list[object] = restored) -> None:
            together.wait()
            restored += restore_jobs(owner=ada, ids=[job.pk])

        def purge(job: VideoJob = job, together: Barrier = together) -> None:
            together.wait()
            purge_job(job_id=str(job.pk))

        _both(restore, purge)
        there = [VideoJob.objects.visible().filter(pk=job.pk).exists(), default_storage.exists(job.video_key)]
        assert there == [bool(restored)] * 2


def _both(*acts: Callable[[], None]) -> None:
    def run(act: Callable[[], None]) -> None:
        try:
            act()
        finally:
            connection.close()

    threads = [Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


class TestPages:
    @pytest.fixture
    def page(self, client: Client, person: User) -> Client:
        client.force_login(person)
        return client

    def test_deleting_leads_to_the_library_with_the_way_back(self, page: Client, person: User) -> None:
        job = finished(person)
        shown = page.post(f"/jobs/{job.pk}/delete", follow=True).content.decode()

        assert "1 video deleted." in shown
        [id_] = re.findall(r'name="ids" value="([^"]+)"', shown)
        page.post("/jobs/restore", {"ids": id_})
        assert page.get(f"/jobs/{job.pk}").status_code == 200

    def test_scripts_are_told_whether_it_was_in_time(self, page: Client, person: User) -> None:
        job = finished(person)
        delete_job(job=job)
        asked = {"Accept": "application/json"}

        assert page.post("/jobs/restore", {"ids": [str(job.pk), "nonsense"]}, headers=asked).status_code == 204
        answer = page.post("/jobs/restore", {"ids": "nonsense"}, headers=asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_late")

    def test_a_message_says_when_it_was_too_late(self, page: Client, person: User) -> None:
        job = finished(person)
        delete_job(job=job)
        factories.end_grace()
        purge_job(job_id=str(job.pk))

        assert "too late" in page.post("/jobs/restore", {"ids": str(job.pk)}, follow=True).content.decode()


class TestApi:
    def test_a_deleted_job_is_restored(self, api: APIClient, person: User) -> None:
        job = finished(person)
        api.delete(f"/api/jobs/{job.pk}")

        answer = api.post(f"/api/jobs/{job.pk}/restore")

        assert (answer.status_code, answer.json()["id"]) == (200, str(job.pk))
        assert api.get(f"/api/jobs/{job.pk}").status_code == 200

    def test_it_can_be_too_late(self, api: APIClient, person: User) -> None:
        job = finished(person)
        delete_job(job=job)
        VideoJob.objects.update(purge_began_at=timezone.now())

        answer = api.post(f"/api/jobs/{job.pk}/restore")

        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_late")

    def test_somebody_elses_deleted_job_is_not_there(self, api: APIClient, stranger: User) -> None:
        theirs = finished(stranger)
        delete_job(job=theirs)

        assert api.post(f"/api/jobs/{theirs.pk}/restore").status_code == 404
        assert not VideoJob.objects.visible().exists()

    def test_what_a_video_shows_is_kept_as_one_line(self, api: APIClient, person: User) -> None:
        job = finished(person)
        answer = api.patch(f"/api/jobs/{job.pk}", {"alt_text": "A fox\nruns  "}, format="json")

        assert answer.json()["alt_text"] == "A fox runs"
        assert api.patch(f"/api/jobs/{job.pk}", {}, format="json").json()["alt_text"] == "A fox runs"
        assert api.patch(f"/api/jobs/{job.pk}", {"alt_text": ""}, format="json").json()["alt_text"] == ""

    @pytest.mark.parametrize(
        "values", [{"alt_text": "x" * 501}, {"alt_text": None}, {"alt_text": "\x07"}, {"alt": "x"}]
    )
    def test_bad_notes_change_nothing(self, api: APIClient, person: User, values: dict[str, object]) -> None:
        job = finished(person)
        assert api.patch(f"/api/jobs/{job.pk}", values, format="json").status_code == 400
        job.refresh_from_db()
        assert job.alt_text == ""

    def test_somebody_elses_notes_are_theirs(self, api: APIClient, stranger: User) -> None:
        theirs = finished(stranger)
        assert api.patch(f"/api/jobs/{theirs.pk}", {"alt_text": "x"}, format="json").status_code == 404
