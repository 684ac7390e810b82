"""Asking for a video, and changing one's mind."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from generation.errors import AlreadyOver, BadSetting, EngineNotConfigured, NotOver, TooManyOpenJobs, UnknownModel
from generation.models import Batch, Provider, Rating, Status, VideoJob, VideoModel
from generation.services import checks, labels, reports, rights, settling
from generation.services.asking import (
    MAX_SEED,
    SIZE_STEP,
    JobRequest,
    Settings,
    check_settings,
    nearest_size,
    parse_size,
)
from generation.services.estimate import estimate_for
from generation.services.extras import check_extras
from generation.services.prices import runs_in_the_cloud
from generation.services.repeating import request_of
from generation.services.verdicts import Decision, Verdict
from gpu.services import outlook
from i2v_site.crashpoints import crashpoint

# How long a process may go on with a catalogue row that has changed.
MODEL_SECONDS = 5

__all__ = [
    "MAX_SEED",
    "SIZE_STEP",
    "JobRequest",
    "Settings",
    "cancel_job",
    "cancelled",
    "check_settings",
    "choose_model",
    "ended",
    "fail_job",
    "is_runnable",
    "nearest_size",
    "parse_size",
    "queued",
    "released",
    "retry_job",
    "submit_job",
]


def submit_job(*, owner: User, request: JobRequest, parent: VideoJob | None = None) -> VideoJob:
    """Create a queued job and promise what it may cost; the dispatcher sees it within a tick.

    Raises UnknownModel, BadSetting (with the field), EngineNotConfigured, CapReached when it may cost more than a cap
    on money leaves, PromptBlocked, and TooManyOpenJobs when `owner` already has MAX_OPEN_JOBS unfinished.
    """
    model = choose_model(owner=owner, slug=request.model)
    chosen = check_settings(model, request)
    if (request.image is None) == (not request.image_url):
        raise BadSetting(_("Give one picture: an upload or an address."), field="image")
    check_extras(owner=owner, model=model, request=request)
    # Two posts at once can slip one job over the limit; that costs little, so no lock.
    if VideoJob.objects.unfinished().filter(owner=owner).count() >= settings.MAX_OPEN_JOBS:
        raise TooManyOpenJobs(
            _("Wait for one of your %(max_open_jobs)s unfinished jobs to end, or cancel one.")
            % {"max_open_jobs": settings.MAX_OPEN_JOBS}
        )
    verdict = checks.check_prompt(person=owner, prompt=request.prompt)
    foretold = estimate_for(model, chosen)
    job = VideoJob(
        owner=owner,
        model=model,
        parent=parent,
        image=request.image,
        image_url=request.image_url,
        prompt=request.prompt,
        negative_prompt=chosen.negative_prompt,
        focus_x=request.focus_x,
        focus_y=request.focus_y,
        size=chosen.size,
        width=chosen.width,
        height=chosen.height,
        frames=chosen.frames,
        fps=chosen.fps,
        steps=chosen.steps,
        cfg_scale=chosen.cfg_scale,
        seed=chosen.seed,
        batch=request.batch,
        continues=request.continues,
        continues_frame=request.continues_frame,
        end_image=request.end_image,
        interpolate=request.interpolate,
        visible_label=labels.settled(asked=request.visible_label),
        rights_version=request.rights_version,
        rights_confirmed_at=_rights_confirmed_at(request, parent),
        estimate=foretold.as_json(),
        reserved_usd=foretold.usd_high,
    )
    _insert(job, verdict)
    return job


def _insert(job: VideoJob, verdict: Verdict) -> None:
    if not job.reserved_usd and not job.rights_version and verdict.decision == Decision.ALLOW:
        job.save(force_insert=True)  # nothing beside it has to be written
        return
    with transaction.atomic():
        settling.promise(job)
        job.save(force_insert=True)
        rights.note_on_pictures(job)
        reports.ask_for_a_look(verdict, job=job)
        crashpoint("money.job_inserted")
    crashpoint("money.job_committed")


def _rights_confirmed_at(request: JobRequest, parent: VideoJob | None) -> datetime | None:
    """Now, or when it was confirmed for the job that this one repeats: nobody was asked again."""
    if not request.rights_version:
        return None
    return parent.rights_confirmed_at if parent else timezone.now()


def choose_model(*, owner: User, slug: str | None) -> VideoModel:
    """The named model, or the first one that can run now and costs nothing per call. Raises UnknownModel,
    EngineNotConfigured.
    """
    if slug is None:
        # The cloud is chosen by a person, or by a rule that a person chose, never by an order in a catalogue.
        rows = VideoModel.objects.visible_to(owner).exclude(provider=Provider.FAL)
        runnable = next((row for row in rows if is_runnable(row)), None)
        if runnable is None:
            raise EngineNotConfigured(_("No model is ready: an operator must enable one or set a SwarmUI address."))
        return runnable
    model = _enabled_model(slug)
    if model is None or (model.rating != Rating.GENERAL and not owner.has_perm("generation.use_mature_models")):
        raise UnknownModel(_("There is no such model. GET /api/models lists them."), field="model")
    if not is_runnable(model):
        raise EngineNotConfigured(_MISSING[Provider(model.provider)] % {"name": model.name}, field="model")
    return model


_MISSING = {
    Provider.SWARMUI: gettext_lazy(
        "%(name)s needs a SwarmUI server: none is configured, and none may be rented. Ask an operator, or choose "
        "another model."
    ),
    Provider.FAL: gettext_lazy(
        "%(name)s needs a key for fal.ai, and there is none. Ask an operator, or choose another model."
    ),
}


def _enabled_model(slug: str) -> VideoModel | None:
    # Half of the cost of a submit would be this wide row; an operator's change may take its seconds.
    def read() -> VideoModel | str:
        return VideoModel.objects.enabled().filter(slug=slug).first() or ""

    return cache.get_or_set(f"video-model:{slug}", read, MODEL_SECONDS) or None


def is_runnable(model: VideoModel) -> bool:
    """Whether a video of this model has anywhere to go."""
    if model.provider == Provider.FAL:
        return runs_in_the_cloud(model)
    return model.provider != Provider.SWARMUI or outlook.can_render()


def cancel_job(*, job: VideoJob) -> VideoJob:
    """Cancel an unfinished job, wherever it is. Raises AlreadyOver.

    A lease that is held stays: its holder, or who finds it lapsed, tells the engine and then lets go.
    """
    if not settling.end(VideoJob.objects.unfinished().filter(pk=job.pk), cancelled()):
        raise AlreadyOver(_("This job has already ended."))
    job.refresh_from_db()
    return job


def retry_job(*, job: VideoJob, new_seed: bool = False) -> VideoJob:
    """A new job with the settings of `job`: the same seed for an ended one, or a new seed at any time.

    Raises NotOver, and what `submit_job` raises.
    """
    if not new_seed and not job.is_over:
        raise NotOver(_("This job has not ended yet. Cancel it first, or ask for another with a new seed."))
    request = request_of(job)
    if new_seed:
        request = replace(request, seed=-1)
    checks.check_prompt(person=job.owner, prompt=request.prompt)  # outside: what it notes must not be taken back
    with transaction.atomic():
        again = submit_job(owner=job.owner, request=request, parent=job)
        if again.batch_id and again.reserved_usd:
            Batch.objects.filter(pk=again.batch_id).update(promised_usd=F("promised_usd") + again.reserved_usd)
    return again


def fail_job(*, job_id: Any, token: str, code: str, message: str) -> bool:
    """Move a job that is held with `token` to FAILED and let go of it. False when the lease was lost."""
    held = VideoJob.objects.unfinished().held_with(token).filter(pk=job_id)
    values = ended(Status.FAILED) | {"error_code": code[:40], "error_message": message[:500]}
    return settling.end(held, values) is not None


def cancelled() -> dict[str, Any]:
    """The columns of a job whose person wants it no more; its holder, if there is one, still has to be told."""
    now = timezone.now()
    return {"status": Status.CANCELLED, "finished_at": now, "updated_at": now, "phase": "", "message": ""}


def ended(status: Status) -> dict[str, Any]:
    """The columns of a job that has come to its end and that nobody holds."""
    return released(status) | {"finished_at": timezone.now()}


def queued() -> dict[str, Any]:
    """The columns of a job that waits again."""
    return released(Status.QUEUED) | {"progress": 0}


def released(status: Status) -> dict[str, Any]:
    """The columns of a job that nobody holds any more."""
    gone = {"lease_token": "", "lease_owner": "", "lease_until": None, "provider_position": None}
    return {"status": status, "updated_at": timezone.now(), "phase": "", "message": "", **gone}
