"""What a request may bring besides: an end picture, frames in between, the video that it continues."""

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from generation.errors import BadSetting
from generation.models import Attempt, Status, VideoJob, VideoModel
from generation.services.asking import JobRequest
from generation.services.smoothing import interpolation_offered


def check_extras(*, owner: User, model: VideoModel, request: JobRequest) -> None:
    """Refuse what is somebody else's, and what no server can do now. Raises BadSetting with the field."""
    if request.image is not None and request.image.hidden_at is not None:
        raise BadSetting(_("There is no such picture."), field="image")
    end = request.end_image
    if end is not None and (end.owner_id != owner.pk or end.hidden_at is not None):
        raise BadSetting(_("There is no such picture."), field="end_image")
    if request.interpolate > 1 and not interpolation_offered(model):
        raise BadSetting(_("No GPU server can put frames in between now."), field="interpolate")
    if request.continues is not None:
        _check_continues(owner, request.continues, request.continues_frame)


def _check_continues(owner: User, job: VideoJob, frame: int | None) -> None:
    gone = job.deleted_at is not None or job.hidden_at is not None
    if job.owner_id != owner.pk or job.status != Status.SUCCEEDED or gone:
        raise BadSetting(_("Only a finished video of yours can be continued."), field="continues")
    frames = frames_of(job)
    if frame is not None and not 0 <= frame < frames:
        raise BadSetting(
            _("This video has the frames 0 to %(last)d.") % {"last": frames - 1},
            field="continues_frame",
        )


def frames_of(job: VideoJob) -> int:
    """The frames of a finished video: as counted in its file, else as they were asked for."""
    stored = Attempt.objects.filter(job=job, outcome=Attempt.Outcome.STORED).order_by("number").last()
    counted = stored.engine_metadata.get("stored", {}).get("frames") if stored else None
    return int(counted or job.frames * job.interpolate)
