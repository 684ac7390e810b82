"""One frame of a finished video as a picture of its person, to go on from."""

import tempfile
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from generation.errors import FrameRefused, NoVideo
from generation.models import SourceImage, Status, VideoJob
from generation.services import clip_making, intake
from generation.services.media import NotAVideo
from generation.services.stored_files import fetch

_PROMPT_CHARS = 60


def take_frame(*, owner: User, job: VideoJob, frame: int | None = None) -> SourceImage:
    """Keep exactly frame `frame` of the video, from 0 (None: the last), as one of the person's pictures.

    The same frame twice is one picture. It stays when the video is deleted, and the confirmed rights come along.
    Raises NoVideo, FrameRefused, PictureRefused.
    """
    if job.status != Status.SUCCEEDED or not job.video_key or job.hidden_at or job.deleted_at:
        raise NoVideo(_("There is no finished video to take a frame from."))
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="frame-", dir=settings.SPOOL_DIR) as name:
        folder = Path(name)
        number = _decoded(job, frame, folder)
        with (folder / "frame.png").open("rb") as file:
            image = intake.store_picture(owner=owner, file=file, name=_name(job, number))
    return _noted(image, job, number)


def _decoded(job: VideoJob, frame: int | None, folder: Path) -> int:
    try:
        fetch(job.video_key, folder / "video.mp4")
        return clip_making.take(folder / "video.mp4", frame, out=folder / "frame.png")
    except FileNotFoundError as exc:
        raise NoVideo(_("The video's file is gone.")) from exc
    except NotAVideo as exc:
        if exc.code == "no_such_frame":
            raise FrameRefused(_("The video has no frame with this number."), field="frame") from exc
        raise FrameRefused(_("No frame could be taken from this video.")) from exc


def _name(job: VideoJob, number: int) -> str:
    # Slashes would be taken for a path.
    prompt = job.prompt.replace("/", " ").replace("\\", " ")
    short = prompt if len(prompt) <= _PROMPT_CHARS else f"{prompt[:_PROMPT_CHARS].rstrip()}…"
    return _("Frame %(number)d of %(prompt)s") % {"number": number + 1, "prompt": short}


def _noted(image: SourceImage, job: VideoJob, number: int) -> SourceImage:
    """Whose frame it is (the first time, when several look the same), and which rights were confirmed for it."""
    mine = SourceImage.objects.filter(pk=image.pk)
    mine.filter(from_frame=None).update(from_job=job, from_frame=number)
    if job.rights_version:
        mine.filter(rights_version="").update(
            rights_version=job.rights_version, rights_confirmed_at=job.rights_confirmed_at
        )
    image.refresh_from_db()
    return image
