"""What staff decide about a report: taken down with every identical copy, or shown again."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
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
    """Delete what was reported, its identical copies and clips of them, whoever owns them, and refuse them from now on.

    How many there were. What is deleted after the decision is gone on with by the sweep when this process dies.
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
        for picture in pictures:
            _hide_picture(picture, report, actor)
    crashpoint("takedown.decided")
    delete_blocked_pictures()
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


def _pictures(report: Report, found_jobs: Sequence[VideoJob]) -> list[SourceImage]:
    """Frames taken from what is taken down, and for some reports what it was made of; also where others hold them."""
    wanted = Q(from_job__in=found_jobs)
    if report.kind in _PICTURE_TOO:
        wanted |= Q(jobs__in=found_jobs) | Q(jobs_that_end_with_it__in=found_jobs)
    digests = set(SourceImage.objects.filter(wanted).values_list("sha256", flat=True))
    return list(SourceImage.objects.filter(sha256__in=digests))


def _hide_picture(picture: SourceImage, report: Report, actor: User) -> None:
    SourceImage.objects.filter(pk=picture.pk, hidden_at=None).update(hidden_at=timezone.now())
    audit.note("taken_down", f"picture:{picture.pk}", actor=actor.get_username(), report=str(report.pk))


def delete_blocked_pictures() -> None:
    """Delete every picture that was taken down, and cancel what is being made of it. Safe to run twice, at once, late.

    The blocked digests say which: nobody can give such a picture again, so a row of one is a rest of a takedown.
    """
    for picture in SourceImage.objects.filter(sha256__in=Blocked.objects.values("sha256")):
        users = VideoJob.objects.unfinished().filter(Q(image=picture) | Q(end_image=picture))
        for pk in users.values_list("pk", flat=True):
            settling.end(VideoJob.objects.unfinished().filter(pk=pk), jobs.cancelled())
        try:
            intake.delete_picture(image=picture)
        except PictureInUse:  # asked for again in this moment: the next sweep
            SourceImage.objects.filter(pk=picture.pk, hidden_at=None).update(hidden_at=timezone.now())
