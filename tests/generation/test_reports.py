"""Reports: taken without an account, hidden at once when intimate, decided by staff with every identical copy."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from generation.errors import AlreadyDecided, NoteMissing
from generation.models import AuditEntry, Blocked, Clip, Fingerprint, Notice, Report, ShareLink, SourceImage, VideoJob
from generation.models.rights import EntriesAreFinalError
from generation.services import fingerprints, reports, takedown
from generation.services.links import link
from generation.services.words_of_notices import told
from tests import factories

LOOKS = ["0f0f0f0f0f0f0f0f", "1e1e1e1e1e1e1e1e"]


def finished(owner: User, *, sha256: str = "a" * 64, looks: list[str] | None = None, **values: Any) -> VideoJob:
    job = factories.job(owner, status="succeeded", video_key="out/x.mp4", finished_at=timezone.now(), **values)
    key = default_storage.save(f"out/{job.pk}/v.mp4", ContentFile(b"video"))
    VideoJob.objects.filter(pk=job.pk).update(video_key=key, video_sha256=sha256)
    fingerprints.remember(key=key, path=Path("x"), sha256=sha256, job=job, looks=looks or [])
    job.refresh_from_db()
    return job


def post(client: Client, **values: Any) -> Report:
    answer = client.post("/report", {"kind": "intimate", "text": "That is me."} | values)
    assert answer.status_code == 302, answer.content.decode()
    return Report.objects.get(pk__startswith=answer["Location"].rsplit("/", 1)[1])


def report_of(job: VideoJob, kind: str = "intimate") -> Report:
    return reports.file_report(kind=kind, text="", job_id=job.pk)


def test_an_intimate_report_hides_the_video_at_once_and_is_due_in_two_days(client: Client, person: User) -> None:
    job = finished(person)
    shared = ShareLink.objects.create(owner=person, job=job)
    given_before = link(job.video_key)
    assert client.get(given_before).status_code == 200
    report = post(client, link=shared.token)

    assert report.job == job
    assert report.due_at - report.created_at < timedelta(hours=48, seconds=5)
    assert client.get(f"/s/{shared.token}").status_code == 404
    assert client.get(given_before).status_code == 404
    client.force_login(person)
    media = client.get(f"/jobs/{job.pk}/video")
    assert (media.status_code, "Hidden after a report" in media.content.decode()) == (404, True)
    assert "Hidden after a report" in client.get(f"/jobs/{job.pk}").content.decode()
    assert APIClient().get(f"/api/jobs/{job.pk}").status_code in (401, 403, 404)


def test_the_api_gives_no_address_of_a_hidden_file(api: APIClient, person: User) -> None:
    job = finished(person)
    report_of(job)

    answer = api.get(f"/api/jobs/{job.pk}").json()
    assert (answer["video_url"], answer["poster_url"], answer["preview_url"]) == (None, None, None)


def test_other_reports_hide_nothing_and_are_due_in_a_week(person: User) -> None:
    job = finished(person)
    report = report_of(job, "copyright")

    job.refresh_from_db()
    assert job.hidden_at is None
    assert timedelta(days=6) < report.due_at - report.created_at <= timedelta(days=7, seconds=5)


@pytest.mark.parametrize("way", ["job", "address", "share_address", "sha256"])
def test_a_video_is_found_by_whatever_the_reporter_has(client: Client, person: User, way: str) -> None:
    job = finished(person)
    shared = ShareLink.objects.create(owner=person, job=job)
    given = {
        "job": {"job": str(job.pk)},
        "address": {"address": f"https://site.example/jobs/{job.pk}"},
        "share_address": {"address": f"https://site.example/s/{shared.token}?x=1"},
        "sha256": {"sha256": job.video_sha256},
    }[way]

    assert post(client, **given).job == job


def test_a_report_without_any_address_is_refused_and_an_unknown_one_is_taken(client: Client, db: None) -> None:
    answer = client.post("/report", {"kind": "other"})
    assert (answer.status_code, Report.objects.count()) == (422, 0)

    report = post(client, kind="other", address="https://elsewhere.example/video")
    assert (report.job, report.address) == (None, "https://elsewhere.example/video")


def test_a_program_that_fills_in_everything_is_thanked_and_ignored(client: Client, person: User) -> None:
    job = finished(person)
    answer = client.post("/report", {"kind": "intimate", "job": str(job.pk), "website": "https://spam.example"})

    job.refresh_from_db()
    assert (answer.status_code, Report.objects.count(), job.hidden_at) == (302, 0, None)


def test_staff_and_the_owner_are_told_and_the_owner_learns_nothing_of_the_reporter(
    client: Client, person: User, staff: User
) -> None:
    report = post(client, job=str(finished(person).pk), email="me@example.com", text="That is me.")
    reports.tell_staff(report_id=str(report.pk))

    assert [message.to for message in mail.outbox] == [["root@example.com"]]
    notice = Notice.objects.get(owner=person)
    words = f"{told(notice)}{notice.data}"
    assert "hidden after a report" in words
    assert not re.search("me@example|That is me|intimate", words)


def test_a_takedown_deletes_all_identical_copies_of_all_owners(person: User, stranger: User, staff: User) -> None:
    first = finished(person, looks=LOOKS)
    same_bytes = finished(stranger)
    same_looks = finished(stranger, sha256="b" * 64, looks=LOOKS)
    near = finished(stranger, sha256="c" * 64, looks=[LOOKS[0], "1e1e1e1e1e1e1e1f"])
    report = report_of(first)
    taken = takedown.take_down(report=report, actor=staff, note="She asked for it.")

    assert taken == 3
    for job in (first, same_bytes, same_looks):
        assert VideoJob.objects.visible().filter(pk=job.pk).count() == 0
    near.refresh_from_db()
    assert (near.deleted_at, near.hidden_at) == (None, None)
    assert {row.owner for row in Notice.objects.filter(kind="job.removed")} == {person, stranger}
    blocked = set(Blocked.objects.values_list("sha256", flat=True))
    assert ("a" * 64 in blocked, "b" * 64 in blocked, "c" * 64 in blocked) == (True, True, False)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_files_and_the_picture_of_a_takedown_are_gone(staff: User) -> None:
    person = factories.person("ada")
    job = finished(person)
    image = job.image
    assert image is not None
    takedown.take_down(report=report_of(job), actor=staff, note="Yes.")

    assert not default_storage.exists(job.video_key)
    assert not default_storage.exists(image.key)
    assert not SourceImage.objects.exists()
    assert Blocked.objects.filter(sha256=image.sha256).exists()


def test_a_clip_is_taken_down_like_a_video(person: User, staff: User) -> None:
    clip = Clip.objects.create(owner=person, kind="trim", state="done", key="clip/x.mp4", sha256="d" * 64)
    fingerprints.remember(key=clip.key, path=Path("x"), sha256=clip.sha256, clip=clip, looks=[])
    report = reports.file_report(kind="intimate", text="", sha256="d" * 64)
    clip.refresh_from_db()
    assert clip.hidden_at is not None

    takedown.take_down(report=report, actor=staff, note="Yes.")
    clip.refresh_from_db()
    assert clip.deleted_at is not None


def test_who_owns_a_clip_is_told_once_however_many_report_it(person: User) -> None:
    clip = Clip.objects.create(owner=person, kind="trim", state="done", key="clip/x.mp4", sha256="d" * 64)
    fingerprints.remember(key=clip.key, path=Path("x"), sha256=clip.sha256, clip=clip, looks=[])
    for _ in range(2):
        reports.file_report(kind="intimate", text="", sha256="d" * 64)

    assert Notice.objects.filter(owner=person).count() == 1
    assert AuditEntry.objects.filter(action="hidden", subject=f"clip:{clip.pk}").count() == 1


def test_a_dismissed_report_shows_the_video_again(person: User, staff: User) -> None:
    job = finished(person)
    report = report_of(job)
    takedown.dismiss(report=report, actor=staff, note="It is a cat.")

    job.refresh_from_db()
    report.refresh_from_db()
    assert (job.hidden_at, report.state, report.decided_by) == (None, "dismissed", staff)
    assert Notice.objects.filter(kind="job.shown").count() == 1


def test_a_video_with_another_open_report_stays_hidden(person: User, staff: User) -> None:
    job = finished(person)
    report = report_of(job)
    report_of(job)
    takedown.dismiss(report=report, actor=staff, note="It is a cat.")

    job.refresh_from_db()
    assert job.hidden_at is not None


def test_a_decision_needs_a_note_and_is_made_once(person: User, staff: User) -> None:
    report = report_of(finished(person))
    with pytest.raises(NoteMissing):
        takedown.dismiss(report=report, actor=staff, note=" ")
    takedown.dismiss(report=report, actor=staff, note="It is a cat.")
    with pytest.raises(AlreadyDecided):
        takedown.take_down(report=report, actor=staff, note="No.")


def test_the_audit_tells_every_step_and_cannot_be_changed(person: User, staff: User) -> None:
    job = finished(person)
    takedown.take_down(report=report_of(job), actor=staff, note="Yes.")

    steps = list(AuditEntry.objects.order_by("pk").values_list("action", "actor"))
    assert steps[:4] == [("reported", ""), ("hidden", ""), ("removed", "root"), ("taken_down", "root")]
    entry = AuditEntry.objects.all()[0]
    for change in (entry.save, entry.delete, AuditEntry.objects.all().delete, AuditEntry.objects.update):
        with pytest.raises(EntriesAreFinalError):
            change()


def test_staff_decide_in_the_admin_and_must_say_why(client: Client, person: User, staff: User) -> None:
    job = finished(person)
    report = report_of(job)
    client.force_login(staff)
    listed = "/admin/generation/report/"
    chosen = {"action": "take_down", "_selected_action": str(report.pk)}
    assert "Why it is decided so" in client.post(listed, chosen).content.decode()
    client.post(listed, chosen | {"note": "She asked for it."})

    report.refresh_from_db()
    assert (report.state, report.note) == ("removed", "She asked for it.")


def test_the_admin_marks_what_is_overdue_and_shows_the_hidden_video(client: Client, person: User, staff: User) -> None:
    job = finished(person, looks=LOOKS)
    finished(person, sha256="c" * 64, looks=[LOOKS[0], "1e1e1e1e1e1e1e1f"])
    report = report_of(job)
    client.force_login(staff)
    page = client.get(f"/admin/generation/report/{report.pk}/change/").content.decode()
    address = re.search(r'href="(/files/[^"]+)"', page)
    assert address is not None
    assert client.get(address[1]).status_code == 200
    assert "of 64 bits" in page

    with time_machine.travel(timezone.now() + timedelta(hours=49)):
        client.force_login(staff)
        assert "(overdue)" in client.get("/admin/generation/report/?overdue=1").content.decode()
    for name in ("auditentry", "blocked", "erasure"):
        assert client.get(f"/admin/generation/{name}/").status_code == 200


def test_a_deleted_video_leaves_its_report(person: User) -> None:
    job = finished(person)
    report = report_of(job, "other")
    job.delete()

    report.refresh_from_db()
    assert (report.job, Fingerprint.objects.count()) == (None, 0)
