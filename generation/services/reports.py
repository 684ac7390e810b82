"""Reports: what people outside or our own checks say about a video, hiding it, and telling who must know."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import ReportRefused
from generation.models import Blocked, Clip, ClipPart, Fingerprint, Notice, Report, ShareLink, SourceImage, VideoJob
from generation.services import audit, fingerprints, notify
from generation.services.verdicts import Decision, Verdict
from gpu.services.alarms import staff_addresses
from i2v_site.queue import ring

Kind = Report.Kind
TELL_TASK = "generation.tasks.tell_staff_of_report"
# By when somebody must have decided.
DUE = {Kind.INTIMATE: timedelta(hours=48)}
USUALLY_DUE = timedelta(days=7)


def ask_for_a_look(verdict: Verdict, *, job: VideoJob | None = None, image: SourceImage | None = None) -> None:
    """Let staff look at what a check was not sure about; nothing happens for what it allowed."""
    if verdict.decision != Decision.REVIEW:
        return
    subject = f"job:{job.pk}" if job else f"picture:{image.pk if image else ''}"
    with transaction.atomic():
        text = f"{verdict.category}: {verdict.message}".strip(": ")
        row = Report(kind=Kind.CHECK, job=job, address=subject, text=text[:4000])
        _open(row, action="check_asks_for_a_look", category=verdict.category)


def file_report(
    *,
    kind: str,
    text: str,
    email: str = "",
    link: str = "",
    job_id: UUID | None = None,
    address: str = "",
    sha256: str = "",
) -> Report:
    """Take a report and find what it is about: by the token of a share link, a job's id, an address, or a digest.

    An intimate one hides the video, with its identical copies, at once. Raises ReportRefused when it names nothing.
    """
    if not (link or job_id or address or sha256):
        raise ReportRefused(_("Say which video it is: its address, or the file."), field="address")
    job, clip = _meant(link, job_id, address, sha256)
    row = Report(kind=kind, text=text, email=email, address=address[:500] or link, job=job, clip=clip)
    row.file_sha256 = sha256
    with transaction.atomic():
        _open(row, action="reported", kind=kind)
        if kind == Kind.INTIMATE:
            hide(row)
    return row


def _open(row: Report, *, action: str, **details: Any) -> None:
    row.due_at = timezone.now() + DUE.get(Kind(row.kind), USUALLY_DUE)
    row.save(force_insert=True)
    audit.note(action, f"report:{row.pk}", **details)
    ring(TELL_TASK, str(row.pk))


def _meant(link: str, job_id: UUID | None, address: str, sha256: str) -> tuple[VideoJob | None, Clip | None]:
    # Addresses of ours hold the token or the id; nobody has to know which part it is.
    words = {word for word in address.replace("?", "/").replace("=", "/").split("/") if word} | {link}
    shared = ShareLink.objects.select_related("job", "clip").filter(token__in=words - {""}).first()
    if shared:
        return shared.job, shared.clip
    ids = {pk for word in words if (pk := _uuid(word))} | ({job_id} if job_id else set())
    if job := VideoJob.objects.filter(pk__in=ids).first():
        return job, None
    if clip := Clip.objects.filter(pk__in=ids).first():
        return None, clip
    print_of = Fingerprint.objects.select_related("job", "clip").filter(sha256=sha256).first() if sha256 else None
    return (print_of.job, print_of.clip) if print_of else (None, None)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# --- hiding -----------------------------------------------------------------------------------------------------------


def copies_of(report: Report) -> tuple[list[VideoJob], list[Clip]]:
    """What was reported, every file of ours that is the same (byte for byte or frame for frame), and clips of those.

    Whoever owns them, and also clips that are still to be made.
    """
    jobs = {report.job_id} if report.job_id else set()
    clips = {report.clip_id} if report.clip_id else set()
    for row in fingerprints.identical(job=report.job, clip=report.clip, sha256=report.file_sha256):
        jobs |= {row.job_id} if row.job_id else set()
        clips |= {row.clip_id} if row.clip_id else set()
    clips |= set(ClipPart.objects.filter(job__in=jobs).values_list("clip", flat=True))
    return list(VideoJob.objects.filter(pk__in=jobs)), list(Clip.objects.filter(pk__in=clips))


def hide(report: Report) -> None:
    """Nobody sees the files any more until staff have decided; their owners are told. Call it in a transaction."""
    jobs, clips = copies_of(report)
    now = timezone.now()
    for job in jobs:
        if VideoJob.objects.filter(pk=job.pk, hidden_at=None).update(hidden_at=now, updated_at=now):
            audit.note("hidden", f"job:{job.pk}", report=str(report.pk))
            tell_owner(job.owner, Notice.Kind.HIDDEN, report, job=job)
    for clip in clips:
        if Clip.objects.filter(pk=clip.pk, hidden_at=None).update(hidden_at=now):
            audit.note("hidden", f"clip:{clip.pk}", report=str(report.pk))
            tell_owner(clip.owner, Notice.Kind.HIDDEN, report, clip=clip)
    SourceImage.objects.filter(from_job__in=jobs, hidden_at=None).update(hidden_at=now)


def show_again(report: Report) -> None:
    """Take back `hide`, but for what another open report, or another takedown, is about. Call it in a transaction."""
    others = Report.objects.filter(kind=Kind.INTIMATE, state=Report.State.OPEN).exclude(pk=report.pk)
    still = [copies_of(other) for other in others]
    jobs, clips = copies_of(report)
    for job in jobs:
        mine = VideoJob.objects.filter(pk=job.pk, deleted_at=None).exclude(hidden_at=None)
        if all(job not in held for held, _clips in still) and mine.update(hidden_at=None, updated_at=timezone.now()):
            _show_frames_of(job)
            audit.note("shown_again", f"job:{job.pk}", report=str(report.pk))
            tell_owner(job.owner, Notice.Kind.SHOWN, report, job=job)
    for clip in clips:
        own = Clip.objects.filter(pk=clip.pk, deleted_at=None).exclude(hidden_at=None)
        if all(clip not in held for _jobs, held in still) and own.update(hidden_at=None):
            audit.note("shown_again", f"clip:{clip.pk}", report=str(report.pk))
            tell_owner(clip.owner, Notice.Kind.SHOWN, report, clip=clip)


def _show_frames_of(job: VideoJob) -> None:
    taken_down = Blocked.objects.values("sha256")
    SourceImage.objects.filter(from_job=job).exclude(sha256__in=taken_down).update(hidden_at=None)


def tell_owner(
    owner: Any, kind: Notice.Kind, report: Report, *, job: VideoJob | None = None, clip: Clip | None = None
) -> None:
    """A neutral notice: what happened, never who said what."""
    subject = job or clip
    data = {"job_id": str(job.pk) if job else None, "clip_id": str(clip.pk) if clip else None}
    data["reference"] = str(report.pk)[:8]
    notify.tell(owner=owner, kind=kind, key=f"{kind}:{report.pk}:{subject.pk if subject else ''}", data=data, job=job)


# --- telling staff ----------------------------------------------------------------------------------------------------


def tell_staff(*, report_id: str) -> None:
    """Mail everybody on the staff that a report waits. Delivered twice, it is mailed twice, which does no harm."""
    row = Report.objects.filter(pk=report_id, state=Report.State.OPEN).first()
    addresses = staff_addresses()
    if row is None or not addresses:
        return
    page = settings.SITE_URL + reverse("admin:generation_report_change", args=[row.pk])
    hidden = "It is hidden already. " if row.kind == Kind.INTIMATE else ""
    body = f"{row.get_kind_display()}\n\n{hidden}Decide by {row.due_at:%Y-%m-%d %H:%M} UTC:\n{page}\n"
    send_mail(f"[Image to Video] A report: {row.get_kind_display()}", body, None, addresses)


def overdue() -> Q:
    return Q(state=Report.State.OPEN, due_at__lt=timezone.now())
