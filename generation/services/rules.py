"""Who chooses the model: the person by naming it, or a rule that the person has set. Never silently."""

from dataclasses import dataclass, replace

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from generation.errors import EngineNotConfigured
from generation.models import Preferences, Provider, VideoJob, VideoModel
from generation.services import checks
from generation.services.jobs import JobRequest, check_settings, submit_job
from generation.services.options import Option, options
from generation.services.preferences import preferences_of
from i2v_site.errors import DomainError

Rule = Preferences.Rule


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, and the rule that chose it in words; no words when the person named it."""

    slug: str | None
    because: str = ""


def rule_of(owner: User, rule: str | None) -> str:
    """The request's own rule, else the one the person has set."""
    return rule or preferences_of(owner).rule


def choose(*, owner: User, request: JobRequest, rule: str | None = None, family: str | None = None) -> Choice:
    """The model for this request: the named one, else one of `family` (None: of all), by the rule.

    Only "cheapest" and "soonest" ever choose the cloud; a preview is chosen when nothing else can run. Raises
    EngineNotConfigured, and BadSetting when no model takes the settings.
    """
    if request.model is not None:
        return Choice(request.model)
    rule = rule_of(owner, rule)
    rows = _candidates(owner, request, rule, family)
    if rule in (Rule.CHEAPEST, Rule.SOONEST):
        return best(rows, rule)
    if rule == Rule.NEVER_CLOUD:
        return Choice(rows[0].model.slug, _("Never the cloud: the first model that can run here."))
    return Choice(rows[0].model.slug, _("No model was named: the first that runs without the cloud."))


def best(rows: list[Option], rule: str) -> Choice:
    """The cheapest or the soonest of these, in words that say against what."""
    if rule == Rule.CHEAPEST:
        found = min(rows, key=lambda row: (row.estimate.usd, row.estimate.total_seconds))
        text = _("The cheapest of %(count)d: about $%(usd)s.")
        return Choice(found.model.slug, text % {"count": len(rows), "usd": f"{found.estimate.usd:.2f}"})
    found = min(rows, key=lambda row: (row.estimate.total_seconds, row.estimate.usd))
    text = _("The soonest of %(count)d: in about %(time)s.")
    return Choice(found.model.slug, text % {"count": len(rows), "time": in_words(found.estimate.total_seconds)})


def in_words(seconds: float) -> str:
    if seconds < 90:
        return _("%(seconds)s s") % {"seconds": round(seconds)}
    return _("%(minutes)s min") % {"minutes": round(seconds / 60)}


def _candidates(owner: User, request: JobRequest, rule: str, family: str | None) -> list[Option]:
    """What the rule may choose from, in the catalogue's order, never empty."""
    found = [row for row in options(owner, request) if family is None or row.model.family == family]
    ready = [row for row in found if row.runnable and (rule in (Rule.CHEAPEST, Rule.SOONEST) or not row.cloud)]
    if not ready:
        text = _("No model is ready: an operator must enable one or set a SwarmUI address.")
        if any(row.runnable for row in found):
            text = _(
                "No model is ready: an operator must enable one or set a SwarmUI address, or name a model of the cloud."
            )
        raise EngineNotConfigured(text, field="model")
    real = [row for row in ready if row.model.provider != Provider.PREVIEW]
    rows = real or ready
    return [row for row in rows if _takes(row.model, request)] or rows[:1]


def _takes(model: VideoModel, request: JobRequest) -> bool:
    """Whether the model takes the settings as they are: what a rule chooses is made as asked, or not at all."""
    try:
        check_settings(model, replace(request, model=model.slug))
    except DomainError:
        return False
    return True


def submit_by_rule(*, owner: User, request: JobRequest, because: str = "", parent: VideoJob | None = None) -> VideoJob:
    """`submit_job`, and the job says why a rule chose its model. Raises what `submit_job` raises."""
    if not because:
        return submit_job(owner=owner, request=request, parent=parent)
    checks.check_prompt(person=owner, prompt=request.prompt)  # outside: what it notes must not be taken back
    with transaction.atomic():
        job = submit_job(owner=owner, request=request, parent=parent)
        VideoJob.objects.filter(pk=job.pk).update(chosen_because=because[:200])
    job.chosen_because = because[:200]
    return job
