"""Buttons beside a finished video: variations, smoother, bigger, each with its price."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from generation import queries
from generation.models import VideoJob
from generation.pages.http import UserRequest, ask, confirmed
from generation.pages.job_money import ASK_ABOVE_USD
from generation.services import after_steps
from generation.services.after_steps import BIGGER, SMOOTHER, Step
from generation.services.batches import USUAL_VARIATIONS
from generation.services.estimate import Estimate
from generation.templatetags.prices import price
from i2v_site.errors import DomainError


@dataclass(frozen=True, slots=True)
class StepButton:
    """One button: what it does, in words for people, and where it posts to."""

    step: Step
    name: str
    why: str
    title: str
    address: str

    @property
    def estimate(self) -> Estimate:
        return self.step.option.estimate

    @property
    def asks(self) -> bool:
        return self.estimate.usd > ASK_ABOVE_USD

    @property
    def text(self) -> str:
        return f"{self.why} {_('It costs %(price)s.') % {'price': price(self.estimate)}}"


def after_steps_context(job: VideoJob) -> dict[str, Any]:
    """For `generation/_after_steps.html`."""
    buttons = [button_of(job, step) for step in after_steps.steps_of(job)]
    return {"after_steps": buttons, "vary_count": USUAL_VARIATIONS}


def button_of(job: VideoJob, step: Step) -> StepButton:
    if step.kind == SMOOTHER:
        fps = job.fps * step.request.interpolate
        return StepButton(
            step,
            _("Smoother"),
            _(
                "Frames in between, %(fps)d a second. SwarmUI cannot add them to a finished video, so it is rendered "
                "again with the same seed and settings."
            )
            % {"fps": fps},
            _("Make a smoother video?"),
            reverse("job_smoother", args=[job.pk]),
        )
    return StepButton(
        step,
        _("Bigger"),
        _(
            "%(size)s pixels. A finished video cannot be enlarged well, so it is rendered again with the same seed and "
            "settings; details may differ."
        )
        % {"size": step.request.size.replace("x", " x ")},
        _("Make a bigger video?"),
        reverse("job_bigger", args=[job.pk]),
    )


@login_required
@require_POST
def smoother(request: UserRequest, pk: UUID) -> HttpResponse:
    return _make(request, pk, SMOOTHER)


@login_required
@require_POST
def bigger(request: UserRequest, pk: UUID) -> HttpResponse:
    return _make(request, pk, BIGGER)


def _make(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    job, back = get_object_or_404(queries.jobs_of(request.user), pk=pk), reverse("job", args=[pk])
    try:
        button = button_of(job, after_steps.step_of(job, kind))
        if button.asks and not confirmed(request):
            return ask(request, title=button.title, text=button.text, button=_("Make it"), back=back)
        made = after_steps.make(job, kind)
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    return redirect("job", made.pk)
