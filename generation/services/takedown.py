"""What staff decide about a report: taken down with every identical copy, or shown again."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import AlreadyDecided, NoteMissing, PictureInUse
from generation.models import Blocked, Clip, Fingerprint, Notice, Report, SourceImage, Status, VideoJob
from generation.services import audit, intake, jobs, reports, settling
from generation.services.deleting import UNDO_SECONDS
from generation.services.stored_files import delete_keys
from i2v_site.crashpoints import crashpoint
from i2v_site.queue import ring

PURGE_TASK = "generation.tasks.purge_job"
# What a person must never find again, also not as a picture to start from.
_PICTURE_TOO = (Report.Kind.INTIMATE, Report.Kind.PERSON, Report.Kind.ILLEGAL)


def take_down(*, report: Report, actor: User, note: str) -> int:
    """Delete what was reported and its identical copies, whoever owns them, and refuse them from now on; how many.

    Raises AlreadyDecided, NoteMissing.
    """
    found_jobs, found_clips = reports.copies_of(report)
    pictures = _pictures(report, found_jobs)
    with transaction.atomic():
        _decide(report, Report.State.REMOVED, actor, note)
        _block(report, found_jobs, found_clips, pictures)
        for job in found_jobs:
            _remove_job(job, report, actor)
        for clip in found_clips:
            _remove_clip(clip, report, actor)
    crashpoint("takedown.decided")
    for picture in pictures:
        _remove_picture(picture, report, actor)
    return len(found_jobs) + len(found_clips)


def dismiss(*, report: Report, actor: User, note: str) -> None:
    """Nothing was wrong: what was hidden is shown again. Raises AlreadyDecided, NoteMissing."""
    with transaction.atomic():
        _decide(report, Report.State.DISMISSED, actor, note)
        reports.show_again(report)


def _decide(report: Report, state: Report.State, actor: User, note: str) -> None:
    if not note.strip():
        raise NoteMissing(_("Say in a note why it is decided so."), field="note")
    open_one = Report.objects.filter(pk=report.pk, state=Report.State.OPEN)
    values = {"state": state, "decided_at": timezone.now(), "decided_by": actor, "note": note.strip()}
    if not open_one.update(**values):
        raise AlreadyDecided(_("This report was decided before."))
    report.refresh_from_db()
    audit.note(str(state), f"report:{report.pk}", actor=actor.get_username(), note=note.strip()[:500])


def _block(
    report: Report, found_jobs: Iterable[VideoJob], found_clips: Iterable[Clip], pictures: Iterable[SourceImage]
) -> None:
    reason = f"{report.get_kind_display()} ({str(report.pk)[:8]})"[:200]
    looks: dict[str, list[str]] = {picture.sha256: [] for picture in pictures}
    # Older files have no fingerprint.
    known = [*(job.video_sha256 for job in found_jobs), *(clip.sha256 for clip in found_clips), report.file_sha256]
    looks |= {sha256: [] for sha256 in known if sha256}
    for row in Fingerprint.objects.filter(job__in=found_jobs) | Fingerprint.objects.filter(clip__in=found_clips):
        looks[row.sha256] = row.looks
    for sha256, seen in looks.items():
        Blocked.objects.get_or_create(sha256=sha256, defaults={"looks": seen, "reason": reason})


def _remove_job(job: VideoJob, report: Report, actor: User) -> None:
    now = timezone.now()
    rows = VideoJob.objects.filter(pk=job.pk)
    settling.end(rows.unfinished(), {"status": Status.CANCELLED, "finished_at": now, "message": ""})
    # Deleted before the time in which its owner could take that back.
    rows.update(deleted_at=now - timedelta(seconds=UNDO_SECONDS + 1), hidden_at=now, updated_at=now)
    audit.note("taken_down", f"job:{job.pk}", actor=actor.get_username(), report=str(report.pk))
    reports.tell_owner(job.owner, Notice.Kind.REMOVED, report, job=job)
    ring(PURGE_TASK, str(job.pk))
    transaction.on_commit(partial(delete_keys, [key for key in (job.video_key, job.poster_key, job.loop_key) if key]))


def _remove_clip(clip: Clip, report: Report, actor: User) -> None:
    now = timezone.now()
    Clip.objects.filter(pk=clip.pk).update(deleted_at=now - timedelta(seconds=UNDO_SECONDS + 1), hidden_at=now)
    audit.note("taken_down", f"clip:{clip.pk}", actor=actor.get_username(), report=str(report.pk))
    reports.tell_owner(clip.owner, Notice.Kind.REMOVED, report, clip=clip)
    transaction.on_commit(partial(delete_keys, [key for key in (clip.key, clip.poster_key) if key]))


def _pictures(report: Report, found_jobs: Iterable[VideoJob]) -> list[SourceImage]:
    if report.kind not in _PICTURE_TOO:
        return []
    digests = SourceImage.objects.filter(jobs__in=list(found_jobs)).values("sha256")
    return list(SourceImage.objects.filter(sha256__in=digests))


def _remove_picture(picture: SourceImage, report: Report, actor: User) -> None:
    """The picture itself, also where other people hold it; what is being made of it is cancelled."""
    for job in VideoJob.objects.unfinished().filter(image=picture):
        jobs.cancel_job(job=job)
    try:
        intake.delete_picture(image=picture)
    except PictureInUse:  # asked for again in this moment: hidden, and the digest is blocked
        SourceImage.objects.filter(pk=picture.pk).update(hidden_at=timezone.now())
    audit.note("taken_down", f"picture:{picture.pk}", actor=actor.get_username(), report=str(report.pk))
