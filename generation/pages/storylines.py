"""A chain of continued videos: looking at it, another take of one, all of it as one clip."""

import hashlib
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation import queries
from generation.models import VideoJob
from generation.pages.http import UserRequest
from generation.services.storylines import another_take, join_storyline
from generation.storyline import Storyline, storyline_of
from i2v_site.errors import DomainError

CROSSFADES = (
    ("0", gettext_lazy("Cut")),
    ("0.25", gettext_lazy("Crossfade, a quarter of a second")),
    ("0.5", gettext_lazy("Crossfade, half a second")),
    ("1", gettext_lazy("Crossfade, one second")),
)


class JoinForm(forms.Form):
    crossfade_s = forms.FloatField(required=False)


def storyline_context(job: VideoJob) -> dict[str, Any]:
    """What `generation/_storyline.html` shows; nothing for a video that is not part of a chain."""
    alone = job.continues_id is None and job.parent_id is None
    if alone and not VideoJob.objects.visible().filter(continues=job).exists():
        return {}
    story = storyline_of(job)
    return {"story": story, "story_job": job} if len(story.links) > 1 else {}


def _own(request: UserRequest, pk: UUID) -> VideoJob:
    return get_object_or_404(queries.jobs_of(request.user), pk=pk)


@login_required
@never_cache
@require_safe
def storyline(request: UserRequest, pk: UUID) -> HttpResponse:
    job = _own(request, pk)
    story = storyline_of(job)
    seen = _state_of(story)
    if request.GET.get("seen") == seen:
        return HttpResponse(status=204)  # nothing is replaced under somebody's hands
    context = {
        "job": job,
        "story": story,
        "seen": seen,
        "crossfades": CROSSFADES,
        "waits": any(not link.job.is_over for link in story.links),
    }
    template = "generation/_storyline_cards.html" if request.htmx else "generation/storyline.html"
    return render(request, template, context)


def _state_of(story: Storyline) -> str:
    states = ",".join(f"{take.pk}:{take.status}" for link in story.links for take in link.takes)
    return hashlib.sha256(states.encode()).hexdigest()[:16]


@login_required
@require_POST
def again(request: UserRequest, pk: UUID) -> HttpResponse:
    """Another take of this link, then the chain with it."""
    try:
        take = another_take(job=_own(request, pk))
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect("storyline", pk)
    messages.success(request, _("Another take is on its way."))
    return redirect("storyline", take.pk)


@login_required
@require_POST
def join(request: UserRequest, pk: UUID) -> HttpResponse:
    job, form = _own(request, pk), JoinForm(request.POST)
    form.is_valid()
    try:
        clip = join_storyline(owner=request.user, job=job, crossfade_s=form.cleaned_data.get("crossfade_s") or 0)
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect("storyline", pk)
    return redirect("clip", clip.pk)
