"""Clips of a video: asking for them, watching them come, playing, downloading, deleting."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import clip_queries, queries
from generation.models import Clip, Status, VideoJob
from generation.pages import clip_words
from generation.pages.films import Film, clip_film
from generation.pages.hidden import hidden_answer
from generation.pages.http import UserRequest, ask, confirmed
from generation.services import clips
from generation.services.clip_options import OPTIONS, ending
from generation.services.links import link
from i2v_site.errors import DomainError

PAGE = 24
SHOWN = 12  # beside their video; the others are on the page of all clips
MEDIA_CACHE_SECONDS = 240


@dataclass(frozen=True, slots=True)
class ClipRow:
    """A clip with its words."""

    clip: Clip
    name: str
    facts: str
    problem: str
    sound: str

    @property
    def is_over(self) -> bool:
        return self.clip.state in (Clip.State.DONE, Clip.State.FAILED)

    @property
    def is_video(self) -> bool:
        return ending(self.clip.kind) == ".mp4"


class ClipForm(forms.Form):
    """`first` and `last` are counted from 1, as people do, and both are in it."""

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in Clip.Kind.values if kind != Clip.Kind.JOIN])
    first = forms.IntegerField(required=False, min_value=1)
    last = forms.IntegerField(required=False, min_value=1)
    loops = forms.IntegerField(required=False)
    width = forms.IntegerField(required=False)
    fps = forms.IntegerField(required=False)

    def part(self, job: VideoJob) -> clips.Part:
        return clips.Part(job, (self.cleaned_data["first"] or 1) - 1, self.cleaned_data["last"])

    def options(self) -> dict[str, Any]:
        known = OPTIONS.get(self.cleaned_data["kind"], {})
        return {name: self.cleaned_data[name] for name in known if self.cleaned_data.get(name) is not None}


def rows_of(found: Iterable[Clip]) -> list[ClipRow]:
    words = clip_words
    return [
        ClipRow(clip, words.name_of(clip), words.facts_of(clip), words.problem_of(clip), words.sound_of(clip))
        for clip in found
    ]


def clips_context(job: VideoJob) -> dict[str, Any]:
    """What `generation/_clips.html` shows; nothing for a video that is not finished. Two queries."""
    if job.status != Status.SUCCEEDED or job.hidden_at:
        return {}
    frames = clip_queries.lengths_of([job])[job.pk].frames
    return {"clips_job": job, "clips_frames": frames, "clip_ways": clip_words.WAYS, **_made_context(job)}


def _made_context(job: VideoJob, problem: str = "") -> dict[str, Any]:
    rows = rows_of(clip_queries.clips_of(job)[:SHOWN])
    states = ",".join(f"{row.clip.pk}:{row.clip.state}" for row in rows)
    return {
        "clips_job": job,
        "clips": rows,
        "clips_wait": any(not row.is_over for row in rows),
        "clips_seen": hashlib.sha256(states.encode()).hexdigest()[:16],
        "clips_problem": problem,
    }


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def of_job(request: UserRequest, pk: UUID) -> HttpResponse:
    """The clips of a video; by POST another one is asked for."""
    job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    if request.method == "POST":
        return _make(request, job)
    context = _made_context(job)
    if request.GET.get("seen") == context["clips_seen"]:
        return HttpResponse(status=204)  # nothing is replaced under somebody's hands
    if not request.htmx:
        return redirect(_beside(pk))
    return render(request, "generation/_clips_made.html", context)


def _beside(pk: UUID) -> str:
    return f"{reverse('job', args=[pk])}#clips"


def _make(request: UserRequest, job: VideoJob) -> HttpResponse:
    form, problem = ClipForm(request.POST), ""
    if form.is_valid():
        kind = form.cleaned_data["kind"]
        try:
            clips.make_clip(owner=request.user, kind=kind, parts=[form.part(job)], options=form.options())
        except DomainError as exc:
            problem = exc.message
    else:
        problem = str(next(iter(form.errors.values()))[0])
    if request.htmx:
        made = _made_context(job, problem)
        return render(request, "generation/_clips_made.html", made, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    else:
        messages.success(request, _("The clip is being made. It appears below the video."))
    return redirect(_beside(job.pk))


@login_required
@never_cache
@require_safe
def all_clips(request: UserRequest) -> HttpResponse:
    page = Paginator(clip_queries.clips_of_person(request.user), PAGE).get_page(request.GET.get("page"))
    return render(request, "generation/clips.html", {"page": page, "clips": rows_of(page)})


def _own(request: UserRequest, pk: UUID) -> Clip:
    return get_object_or_404(clip_queries.clips_of_person(request.user), pk=pk)


@login_required
@never_cache
@require_safe
def one(request: UserRequest, pk: UUID) -> HttpResponse:
    (row,) = rows_of([_own(request, pk)])
    parts = row.clip.parts.filter(job__deleted_at=None).select_related("job")
    context = {"row": row, "clip": row.clip, "parts": parts, "film": _film(row)}
    return render(request, "generation/clip.html", context)


def _film(row: ClipRow) -> Film | None:
    clip = row.clip
    if clip.state != Clip.State.DONE or not row.is_video or clip.hidden_at:
        return None
    address, poster = (reverse("clip_media", args=[clip.pk, kind]) for kind in ("file", "poster"))
    return clip_film(clip, address=address, poster=poster, label=row.name)


@login_required
@cache_control(private=True, max_age=MEDIA_CACHE_SECONDS)
@require_safe
def media(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    """The file or its poster: after the look at whose it is, a short-lived link."""
    clip = _own(request, pk)
    key = {"file": clip.key, "poster": clip.poster_key}.get(kind)
    if clip.hidden_at is not None:
        return hidden_answer(request)
    if not key:
        raise Http404
    name = _download_name(clip) if "download" in request.GET else ""
    return HttpResponseRedirect(link(key, download_name=name))


def _download_name(clip: Clip) -> str:
    part = clip.parts.select_related("job").first()
    words = slugify(part.job.prompt)[:50].strip("-") if part else ""
    return f"{words or 'video'}-{clip.kind}{ending(clip.kind)}"


@login_required
@require_POST
def delete(request: UserRequest, pk: UUID) -> HttpResponse:
    clip = _own(request, pk)
    part = clip.parts.select_related("job").filter(job__deleted_at=None).first()
    back = _beside(part.job_id) if part and clip.kind != Clip.Kind.JOIN else reverse("clips")
    if not confirmed(request):
        title, text = _("Delete this clip?"), _("Its file is deleted for good. The videos it is made of stay.")
        return ask(request, title=title, text=text, button=_("Delete"), back=reverse("clip", args=[pk]))
    clips.delete_clip(clip=clip)
    messages.success(request, _("The clip was deleted."))
    return redirect(back)
