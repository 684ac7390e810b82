"""Frames in between: who can have them, which servers can make them, and videos that wait for them in vain."""

from collections.abc import Iterable
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from generation.models import Provider, Status, VideoJob, VideoModel
from generation.services import settling
from gpu.services import features
from gpu.services.features import FRAMES_BETWEEN


def interpolation_offered(model: VideoModel) -> bool:
    """Whether a video of this model can be asked for with frames in between now."""
    return model.provider == Provider.SWARMUI and features.offered(FRAMES_BETWEEN)


def servers_for_waiting(endpoints: Iterable[str]) -> frozenset[str]:
    """Which of these servers can make the frames in between that queued videos want; none when no video wants any.

    Videos that none of them can make end here: waiting would keep a machine rented for nothing.
    """
    waiting = VideoJob.objects.filter(status=Status.QUEUED, interpolate__gt=1)
    if not waiting.exists():
        return frozenset()
    known = features.known()
    able = frozenset(url for url in endpoints if FRAMES_BETWEEN in (known.get(url) or ()))
    if known and not any(told is None or FRAMES_BETWEEN in told for told in known.values()):
        _give_up(list(waiting.values_list("pk", flat=True)))
    return able


def _give_up(keys: Iterable[UUID]) -> None:
    why = _("The GPU server cannot put frames in between any more. Make the video without them.")
    for pk in keys:
        now = timezone.now()
        values = {"status": Status.FAILED, "finished_at": now, "updated_at": now, "phase": "", "message": ""}
        values |= {"error_code": "no_frames_between", "error_message": why}
        settling.end(VideoJob.objects.filter(pk=pk, status=Status.QUEUED), values)
