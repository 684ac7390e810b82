"""For one wish: what every model would take, cost, and when it could begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from generation.models import Provider, VideoModel
from generation.services import estimate, history
from generation.services.estimate import Estimate
from generation.services.fitting import fitted
from generation.services.jobs import JobRequest, Settings, check_settings, is_runnable
from gpu.services import gpus
from gpu.services import outlook as fleet
from gpu.services.outlook import Outlook
from i2v_site.errors import DomainError

NOW, WAITING, COLD, OFF = "now", "waiting", "cold", "off"
_OFF = {
    Provider.SWARMUI: gettext_lazy("No SwarmUI server is configured, and none may be rented."),
    Provider.FAL: gettext_lazy("fal.ai is not set up here."),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One model for one wish. `ready`: "now", "waiting" (behind others), "cold" (a machine has to come) or "off"."""

    model: VideoModel
    ready: str
    reason: str  # one sentence
    estimate: Estimate
    settings: Settings  # what it would be made with

    @property
    def runnable(self) -> bool:
        return self.ready != OFF

    @property
    def cloud(self) -> bool:
        return self.model.provider == Provider.FAL

    @property
    def wait_s(self) -> float:
        return self.estimate.wait_seconds

    def as_json(self) -> dict[str, Any]:
        whose = {"model": self.model.slug, "name": self.model.name, "provider": self.model.provider}
        ready = {"family": self.model.family, "ready": self.ready, "reason": self.reason}
        return whose | ready | self._made_with() | self.estimate.as_json()

    def _made_with(self) -> dict[str, Any]:
        chosen = self.settings
        return {
            "num_frames": chosen.frames,
            "fps": chosen.fps,
            "steps": chosen.steps,
            "cfg_scale": chosen.cfg_scale,
            "size": f"{chosen.width}x{chosen.height}" if chosen.width and chosen.height else None,
        }


class Scene:
    """What all options of one answer share, read once: servers, the fleet, and how many videos wait."""

    def __init__(self, before: dict[str, int] | None = None) -> None:
        self.before = estimate.unfinished() if before is None else before
        self._servers: gpus.Now | None = None
        self._outlook: Outlook | None = None
        self._gpu_runnable: bool | None = None

    @property
    def servers(self) -> gpus.Now:
        self._servers = self._servers or gpus.now()
        return self._servers

    @property
    def outlook(self) -> Outlook:
        self._outlook = self._outlook or fleet.outlook()
        return self._outlook

    def runnable(self, model: VideoModel) -> bool:
        """`jobs.is_runnable`, which asks the same of every model for SwarmUI."""
        if model.provider != Provider.SWARMUI:
            return is_runnable(model)
        if self._gpu_runnable is None:
            self._gpu_runnable = is_runnable(model)
        return self._gpu_runnable


def runnable(models: Sequence[VideoModel]) -> set[int]:
    """The ids of those that can run, in a number of queries that does not grow with them."""
    scene = Scene(before={})
    return {model.pk for model in models if scene.runnable(model)}


def options(owner: User, request: JobRequest) -> list[Option]:
    """All visible models in the catalogue's order. A model that was not named gets settings as near as it takes them.

    Raises BadSetting when the named one does not take the settings.
    """
    rows = list(VideoModel.objects.visible_to(owner))
    history.remember(rows)
    scene = Scene()
    asked = next((row for row in rows if row.slug == request.model), None)
    return [found for row in rows if (found := _fitting(scene, row, request, asked))]


def _fitting(scene: Scene, row: VideoModel, request: JobRequest, asked: VideoModel | None) -> Option | None:
    try:
        return option(scene, row, fitted(row, request, asked=asked))
    except DomainError:
        if asked is not None and row.pk == asked.pk:
            raise
        return None  # a row that takes no settings of this kind is no choice


def option(scene: Scene, model: VideoModel, request: JobRequest) -> Option:
    """What `model` would take for this request. Raises BadSetting."""
    chosen = check_settings(model, request)
    servers = scene.servers if model.provider == Provider.SWARMUI else None
    found = estimate.estimate_for(model, chosen, servers=servers)
    ready, reason, wait_s = _readiness(scene, model, found.seconds)
    return Option(model, ready, reason, found.after(wait_s), chosen)


def _readiness(scene: Scene, model: VideoModel, seconds: float) -> tuple[str, str, float]:
    if not scene.runnable(model):
        return OFF, str(_OFF.get(Provider(model.provider), _("It cannot run now."))), 0.0
    before, coming_s, lanes = scene.before.get(model.provider, 0), 0.0, estimate.CLOUD_LANES
    if model.provider == Provider.PREVIEW:
        lanes = estimate.lanes(model)
    elif model.provider == Provider.SWARMUI:
        lanes = scene.outlook.servers
    if not lanes:
        coming_s = scene.outlook.ready_in_s or fleet.USUAL_BOOT.total_seconds()
        # Nobody waits for it yet: the words for a video in the queue would be untrue here.
        to_rent = scene.outlook.message == fleet.TO_RENT
        reason = _("A GPU is rented for it first.") if to_rent else f"{_(scene.outlook.message)}."
        return COLD, reason, coming_s + before * seconds
    if before < lanes:
        return NOW, _("It can begin now."), 0.0
    return (
        WAITING,
        ngettext("%(count)s video is before it.", "%(count)s videos are before it.", before) % {"count": before},
        estimate.queue_seconds(before, seconds, lanes),
    )
