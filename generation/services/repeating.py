"""A job as the request that it was made from, to ask for it again."""

from django.utils.translation import gettext as _

from generation.errors import BadSetting, NoVideo
from generation.models import VideoJob
from generation.services.asking import JobRequest


def request_of(job: VideoJob) -> JobRequest:
    """Everything that was asked for `job`, with the seed really used.

    Raises BadSetting when its picture is gone, NoVideo when it is hidden.
    """
    if job.hidden_at is not None:
        raise NoVideo(_("Somebody reported this video. Nobody can see it, you neither, until we have looked at it."))
    image_url = job.image_url if job.image is None else ""
    if job.image is None and not image_url:
        raise BadSetting(_("The picture of this job was deleted. Start again with a picture."), field="image")
    # What it continues may be deleted by now; the picture that was taken from it is still there.
    goes_on = job.continues is not None and job.continues.deleted_at is None and job.continues.hidden_at is None
    return JobRequest(
        prompt=job.prompt,
        model=job.model.slug,
        image=job.image,
        image_url=image_url,
        negative_prompt=job.negative_prompt,
        size=job.size,
        focus_x=job.focus_x,
        focus_y=job.focus_y,
        num_frames=job.frames,
        fps=job.fps,
        steps=job.steps,
        cfg_scale=job.cfg_scale,
        seed=job.seed,
        rights_version=job.rights_version,
        end_image=job.end_image,
        interpolate=job.interpolate,
        continues=job.continues if goes_on else None,
        continues_frame=job.continues_frame if goes_on else None,
        visible_label=job.visible_label,
        batch=job.batch,
    )
