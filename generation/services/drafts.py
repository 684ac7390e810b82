"""From a draft to the final: the same picture, crop, prompt and seed, made by a model that does it properly."""

from dataclasses import dataclass, replace
from decimal import Decimal

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from generation.errors import EngineNotConfigured
from generation.models import Provider, VideoJob, VideoModel
from generation.services import history
from generation.services.fitting import fitted, nearest_taken
from generation.services.jobs import JobRequest, choose_model
from generation.services.options import Option, Scene, option
from generation.services.repeating import request_of
from generation.services.rules import Rule, best, rule_of, submit_by_rule
from i2v_site.errors import DomainError


@dataclass(frozen=True, slots=True)
class Final:
    """One way to make the final of a draft, and what it costs more than the draft did (may be negative)."""

    option: Option
    request: JobRequest
    difference_usd: Decimal


def is_draft(job: VideoJob) -> bool:
    """Whether it is a preview, or was made in fewer steps than its model usually takes."""
    return job.model.provider == Provider.PREVIEW or job.steps < job.model.default_steps


def finals(job: VideoJob) -> list[Final]:
    """All ways to make the final of `job`, in the catalogue's order, also those that cannot run now.

    Raises BadSetting when its picture is gone.
    """
    rows = [row for row in VideoModel.objects.visible_to(job.owner) if _is_more(row, job)]
    history.remember(rows)
    scene = Scene()
    found = []
    for row in rows:
        request = final_request(job, row)
        try:
            choice = option(scene, row, request)
        except DomainError:
            continue  # a row that does not take the draft's settings at all
        found.append(Final(choice, request, choice.estimate.usd - job.cost_usd))
    return found


def _is_more(row: VideoModel, job: VideoJob) -> bool:
    """Another model that really makes video, or the draft's own when it has more steps to give."""
    if row.provider == Provider.PREVIEW:
        return False
    return row.pk != job.model_id or row.default_steps > job.steps


def final_request(job: VideoJob, model: VideoModel, *, steps: int | None = None) -> JobRequest:
    """The draft's wish for `model`, in the size nearest to the draft's that it takes. Raises BadSetting."""
    draft = _wish(job)
    if model.pk == job.model_id:
        return replace(draft, steps=steps, cfg_scale=job.cfg_scale)
    wish = fitted(model, draft, asked=job.model)
    size = nearest_taken(model, job.width, job.height) if job.width and job.height else wish.size
    return replace(wish, size=size, steps=steps)


def _wish(job: VideoJob) -> JobRequest:
    return replace(
        request_of(job),
        # The preview has none of its own: the target's default is what its draft left open.
        negative_prompt=job.negative_prompt or None,
        size=f"{job.width}x{job.height}" if job.width and job.height else job.size,
        steps=None,
        cfg_scale=None,
        batch=None,
    )


def chosen_final(
    *, owner: User, job: VideoJob, model: str | None = None, steps: int | None = None, rule: str | None = None
) -> tuple[JobRequest, str]:
    """What would be submitted for the final of `job`, and why this model; no words when it was named.

    Raises UnknownModel, EngineNotConfigured, BadSetting.
    """
    if model is not None:
        return final_request(job, choose_model(owner=owner, slug=model), steps=steps), ""
    rule = rule_of(owner, rule)
    may_cloud = rule in (Rule.CHEAPEST, Rule.SOONEST)
    rows = [row for row in finals(job) if row.option.runnable and (may_cloud or not row.option.cloud)]
    if not rows:
        raise EngineNotConfigured(
            _("No model can make the final now without the cloud. GET this address for all, and name one."),
            field="model",
        )
    if not may_cloud:
        first = rows[0].option.model
        return final_request(job, first, steps=steps), _(
            "The first that makes a final without the cloud: %(name)s."
        ) % {"name": first.name}
    choice = best([row.option for row in rows], rule)
    row = next(row for row in rows if row.option.model.slug == choice.slug)
    return final_request(job, row.option.model, steps=steps), choice.because


def make_final(
    *, owner: User, job: VideoJob, model: str | None = None, steps: int | None = None, rule: str | None = None
) -> VideoJob:
    """Submit the final of a draft; its `parent` is the draft. Raises what `chosen_final` and `submit_job` raise."""
    request, because = chosen_final(owner=owner, job=job, model=model, steps=steps, rule=rule)
    return submit_by_rule(owner=owner, request=request, parent=job, because=because)
