"""The page of a finished video: what stands beside the player, and the words for who cannot see it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from generation import queries
from generation.clip_queries import clips_of
from generation.models import Attempt, Clip, ClipPart, Status, VideoJob
from generation.pages.after_steps import after_steps_context
from generation.pages.clips import clips_context
from generation.pages.credentials import credentials_of
from generation.pages.films import film_of
from generation.pages.http import UserRequest
from generation.pages.sharing import share_context
from generation.pages.storylines import storyline_context
from generation.services.describing import ALT_TEXT_MAX, describe_video

VARIATIONS = range(1, 9)
# In the order in which they happen; what is not named here is not worth a person's look.
_PHASES = {
    "sending": gettext_lazy("Sending the picture"),
    "waiting": gettext_lazy("Waiting at the engine"),
    "loading": gettext_lazy("Loading the model"),
    "rendering": gettext_lazy("Rendering"),
    "finishing": gettext_lazy("Finishing"),
    "fetch": gettext_lazy("Fetching"),
    "check": gettext_lazy("Checking"),
    "measure": gettext_lazy("Measuring"),
    "sign": gettext_lazy("Signing"),
    "put": gettext_lazy("Storing"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of the making: `start` and `share` are percent of all."""

    name: str
    words: str
    seconds: float
    start: float
    share: float


class AltTextForm(forms.Form):
    alt_text = forms.CharField(max_length=ALT_TEXT_MAX, required=False)


def result_context(request: UserRequest, job: VideoJob, attempt: Attempt | None) -> dict[str, Any]:
    """Nothing for a video that is not finished. `attempt` is the last one, if there was any."""
    if job.status != Status.SUCCEEDED:
        return {}
    return {
        "film": film_of(job, attempt),
        "credentials": credentials_of(attempt),
        "spans": spans_of(attempt),
        "variations": VARIATIONS,
        "alt_text_max": ALT_TEXT_MAX,
        "formats": formats_of(job),
        **share_context(request, job),
        **after_steps_context(job),
        **clips_context(job),
        **storyline_context(job),
    }


def formats_of(job: VideoJob) -> list[dict[str, Any]]:
    """Other formats of the whole video: with the clip where it was made already."""
    whole = ClipPart.objects.filter(job=job, start_frame=0, end_frame=None).values("clip")
    done = clips_of(job).filter(pk__in=whole, state=Clip.State.DONE, hidden_at=None)
    made = {clip.kind: clip for clip in done.filter(kind__in=[Clip.Kind.GIF, Clip.Kind.WEBP])}
    return [{"kind": kind, "name": kind.label, "clip": made.get(kind)} for kind in (Clip.Kind.GIF, Clip.Kind.WEBP)]


def spans_of(attempt: Attempt | None) -> list[Span]:
    """Where the seconds went, in order."""
    timings = attempt.timings if attempt else {}
    known = [(name, words, float(timings[name])) for name, words in _PHASES.items() if timings.get(name)]
    total = sum(seconds for *_rest, seconds in known)
    found: list[Span] = []
    start = 0.0
    for name, words, seconds in known:
        share = round(100 * seconds / total, 2)
        found.append(Span(name, str(words), seconds, start, share))
        start = round(start + share, 2)
    return found


@login_required
@require_POST
def alt_text(request: UserRequest, pk: UUID) -> HttpResponse:
    """Keep what the video shows; the field again for htmx, the video's page for others."""
    job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    form = AltTextForm(request.POST)
    problem = "" if form.is_valid() else str(form.errors["alt_text"][0])
    if not problem:
        describe_video(job=job, text=form.cleaned_data["alt_text"])
    if request.htmx:
        context = {"job": job, "alt_text_max": ALT_TEXT_MAX, "problem": problem, "saved": not problem}
        return render(request, "generation/_alt_text.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    else:
        messages.success(request, _("Saved."))
    return redirect("job", pk)
