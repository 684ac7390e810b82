"""Clips made of finished videos: asking for one, and deleting it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.clip_queries import Length, lengths_of
from generation.errors import ClipRefused, NoVideo, TooManyClips
from generation.models import Clip, ClipPart, Status, VideoJob
from generation.services.clip_options import MAX_PARTS, checked, ending, refuse_too_long
from generation.services.clip_storing import store_clip
from generation.services.stored_files import delete_keys, keys_of_clip
from i2v_site import queue

__all__ = ["MAX_UNFINISHED", "Part", "delete_clip", "make_clip", "purge_clip", "store_clip"]

MAX_UNFINISHED = 20
UNFINISHED = (Clip.State.QUEUED, Clip.State.MAKING)


@dataclass(frozen=True, slots=True)
class Part:
    """One video, whole or from frame `start_frame` up to and without `end_frame`, counted from 0."""

    job: VideoJob
    start_frame: int = 0
    end_frame: int | None = None


def make_clip(*, owner: User, kind: str, parts: Sequence[Part], options: Mapping[str, Any] | None = None) -> Clip:
    """Queue a clip of 1 video, or of 2 to MAX_PARTS for a join; a worker makes it.

    Raises ClipRefused (with the field), NoVideo, and TooManyClips when MAX_UNFINISHED of the person's wait.
    """
    if kind not in Clip.Kind.values:
        raise ClipRefused(_("There is no such kind of clip."), field="kind")
    _check_parts(owner, kind, parts)
    wanted = checked(kind, options or {})
    lengths = lengths_of([part.job for part in parts])
    refuse_too_long(kind, [_cut(part, lengths[part.job.pk]) for part in parts], wanted)
    # Two posts at once can slip one over the limit; that costs little, so no lock.
    if Clip.objects.filter(owner=owner, deleted_at=None, state__in=UNFINISHED).count() >= MAX_UNFINISHED:
        raise TooManyClips(
            _("Wait until some of your clips are done: %(count)d wait already.") % {"count": MAX_UNFINISHED}
        )
    with transaction.atomic():
        clip = Clip.objects.create(owner=owner, kind=kind, options=wanted | {"parts": len(parts)})
        ClipPart.objects.bulk_create(
            ClipPart(clip=clip, job=part.job, position=place, start_frame=part.start_frame, end_frame=part.end_frame)
            for place, part in enumerate(parts)
        )
        queue.ring("generation.tasks.make_clip", str(clip.pk))
    return clip


def _check_parts(owner: User, kind: str, parts: Sequence[Part]) -> None:
    if kind == Clip.Kind.JOIN and not 2 <= len(parts) <= MAX_PARTS:
        raise ClipRefused(_("Join 2 to %(most)d videos.") % {"most": MAX_PARTS}, field="parts")
    if kind != Clip.Kind.JOIN and len(parts) != 1:
        raise ClipRefused(_("This kind of clip is made of one video."), field="parts")
    for part in parts:
        job = part.job
        seen = job.owner_id == owner.pk and job.deleted_at is None and job.hidden_at is None
        if not seen or job.status != Status.SUCCEEDED or not job.video_key:
            raise NoVideo(_("Only finished videos of your own can be used."))


def _cut(part: Part, whole: Length) -> Length:
    """Raises ClipRefused when the part is no part of the video."""
    end = whole.frames if part.end_frame is None else part.end_frame
    if not 0 <= part.start_frame < end <= whole.frames:
        limits = {"frames": whole.frames}
        raise ClipRefused(
            _("The video has %(frames)d frames: choose a start before the end.") % limits, field="start_frame"
        )
    return Length(end - part.start_frame, whole.fps)


def delete_clip(*, clip: Clip) -> None:
    """Hide a clip at once; a task deletes its files and its row. One that is being made is given up."""
    with transaction.atomic():
        if Clip.objects.filter(pk=clip.pk, deleted_at=None).update(deleted_at=timezone.now()):
            queue.ring("generation.tasks.purge_clip", str(clip.pk))


def purge_clip(*, clip_id: str) -> None:
    """Delete the files of a deleted clip, then its row. Safe to run twice.

    A worker that still makes it finds the row gone, and deletes what it has put.
    """
    clip = Clip.objects.filter(pk=clip_id).exclude(deleted_at=None).first()
    if clip is None:
        return
    for number in range(1, clip.tries + 1):
        delete_keys(keys_of_clip(clip.pk, number, ending(clip.kind)))
    delete_keys([f"clip/{clip.pk}"])  # the local storage's empty folder
    clip.delete()
