"""A job, the library, and the files of both."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from generation import queries
from generation.models import PreviewFrame, SourceImage, Status, VideoJob
from generation.pages import forms
from generation.pages.forms import LibraryFilter, NameForm
from generation.pages.http import UserRequest, ask, confirmed
from generation.pages.job_money import money_context, offer_of
from generation.services.drafts import is_draft, make_final
from generation.services.jobs import cancel_job, retry_job
from generation.services.links import link
from generation.services.presets import create_preset
from generation.templatetags.prices import price
from i2v_site.errors import DomainError

PAGE = 24
# Below the lifetime of the link that it leads to.
MEDIA_CACHE_SECONDS = 240


def _own_job(request: UserRequest, pk: UUID) -> VideoJob:
    return get_object_or_404(queries.jobs_of(request.user), pk=pk)


@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """For the pages that are not ours: the admin, the API's."""
    return HttpResponseRedirect(static("generation/icon.svg"))


@login_required
@never_cache
@require_safe
def job(request: UserRequest, pk: UUID) -> HttpResponse:
    return render(request, "generation/job.html", _job_context(request, _own_job(request, pk)))


@login_required
@never_cache
@require_GET
def job_live(request: UserRequest, pk: UUID) -> HttpResponse:
    """The part of the job's page that changes while one waits."""
    return render(request, "generation/_job_live_answer.html", _job_context(request, _own_job(request, pk)))


def _job_context(request: UserRequest, row: VideoJob) -> dict[str, Any]:
    context: dict[str, Any] = {"job": row, "state": queries.states_of([row])[row.pk]}
    if not row.is_over:
        context["has_preview"] = PreviewFrame.objects.filter(job=row).exists()
    attempts = list(row.attempts.all())
    last = attempts[-1] if attempts else None
    context |= {"attempt": last, **money_context(row, last)}
    if request.user.is_staff:
        context["attempts"] = attempts
    return context


@login_required
@require_POST
def cancel(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own_job(request, pk)
    back = reverse("job", args=[pk])
    if not confirmed(request) and row.status != Status.QUEUED:
        text = "The video is being made. What is done so far is lost."
        return ask(request, title="Cancel this video?", text=text, button="Cancel the video", back=back)
    try:
        cancel_job(job=row)
    except DomainError as exc:
        messages.info(request, exc.message)
    return redirect(back)


@login_required
@require_POST
def retry(request: UserRequest, pk: UUID) -> HttpResponse:
    """The same again, or with `new_seed` another one like it."""
    row = _own_job(request, pk)
    try:
        row = retry_job(job=row, new_seed=request.POST.get("new_seed") == "1")
    except DomainError as exc:
        messages.error(request, exc.message)
    return redirect("job", row.pk)


@login_required
@require_POST
def final(request: UserRequest, pk: UUID, model: str) -> HttpResponse:
    """From a draft to the final with this model; a question first when it costs more than a little."""
    row, back = _own_job(request, pk), reverse("job", args=[pk])
    offer = offer_of(row, model)
    if offer and offer.asks and not confirmed(request):
        title = f"Make the final with {offer.final.option.model.name}?"
        return ask(
            request,
            title=title,
            text=f"It costs {price(offer.final.option.estimate)}.",
            button="Make the final",
            back=back,
        )
    try:
        made = make_final(owner=request.user, job=row, model=model)
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    return redirect("job", made.pk)


@login_required
@require_POST
def job_preset(request: UserRequest, pk: UUID) -> HttpResponse:
    row, form = _own_job(request, pk), NameForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Give the preset a name of at most 80 characters.")
        return redirect("job", pk)
    name = form.cleaned_data["name"]
    try:
        create_preset(owner=request.user, name=name, model=row.model.slug, values=forms.job_settings(row))
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, f"Saved the preset “{name}”. It is offered when you create a video.")
    return redirect("job", pk)


@login_required
@cache_control(private=True, max_age=MEDIA_CACHE_SECONDS)
@require_safe
def media(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    """The video, its poster or its loop: after the look at whose it is, a short-lived link."""
    row = _own_job(request, pk)
    if kind == "preview":
        return _preview_frame(row)
    keys = {"video": row.video_key, "poster": row.poster_key, "loop": row.loop_key}
    key = keys.get(kind)
    if not key:
        raise Http404
    name = _download_name(row) if "download" in request.GET else ""
    types = {"video": "video/mp4", "loop": "video/mp4", "poster": ""}
    return HttpResponseRedirect(link(key, download_name=name, content_type=types[kind]))


def _preview_frame(row: VideoJob) -> HttpResponse:
    frame = get_object_or_404(PreviewFrame, job=row)
    answer = HttpResponse(bytes(frame.jpeg), content_type="image/jpeg")
    answer["Cache-Control"] = "private, no-store"
    return answer


def _download_name(row: VideoJob) -> str:
    words = slugify(row.prompt)[:50].strip("-") or "video"
    return f"{words}-{row.seed}.mp4"


@login_required
@cache_control(private=True, max_age=MEDIA_CACHE_SECONDS)
@require_safe
def picture(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    image = get_object_or_404(SourceImage, owner=request.user, pk=pk)
    if kind not in ("full", "thumbnail"):
        raise Http404
    key = image.thumbnail_key if kind == "thumbnail" and image.thumbnail_key else image.key
    return HttpResponseRedirect(link(key))


@login_required
@never_cache
@require_safe
def library(request: UserRequest) -> HttpResponse:
    filters = LibraryFilter(request.GET)
    filters.is_valid()
    chosen = filters.cleaned_data
    rows = _filtered(queries.jobs_of(request.user), chosen)
    page = list(_older_than(rows, request.GET.get("before", "")).order_by("-created_at", "-pk")[: PAGE + 1])
    more = page[PAGE:]
    page = page[:PAGE]
    filtered = any(chosen.get(name) for name in ("status", "model", "q"))
    context = {
        "jobs": _with_states(page),
        "live_ids": [row.pk for row in page if not row.is_over],
        "next": _next_address(request, page[-1]) if more else "",
        "filters": chosen,
        "filtered": filtered,
        "statuses": LibraryFilter.base_fields["status"].choices,  # type: ignore[attr-defined]
        "models": queries.visible_models(request.user),
    }
    if request.htmx and "before" in request.GET:
        return render(request, "generation/_library_page.html", context)
    template = "generation/_library_results.html" if request.htmx.target == "results" else "generation/library.html"
    return render(request, template, context)


@login_required
@never_cache
@require_GET
def library_live(request: UserRequest) -> HttpResponse:
    """The cards of unfinished videos again, each put in the place of its older self."""
    ids = [UUID(text) for text in request.GET.get("ids", "").split(",") if _is_uuid(text)][: PAGE * 4]
    rows = list(queries.jobs_of(request.user).filter(pk__in=ids))
    waiting = [row.pk for row in rows if not row.is_over]
    return render(request, "generation/_library_live.html", {"jobs": _with_states(rows), "live_ids": waiting})


def _with_states(rows: list[VideoJob]) -> list[dict[str, Any]]:
    states = queries.states_of(rows)
    return [{"job": row, "state": states[row.pk], "draft": is_draft(row)} for row in rows]


def _filtered(rows: QuerySet[VideoJob], chosen: dict[str, Any]) -> QuerySet[VideoJob]:
    status, model, words = chosen.get("status"), chosen.get("model"), chosen.get("q")
    if status == "active":
        rows = rows.filter(status__in=(Status.QUEUED, Status.RENDERING, Status.STORING))
    elif status:
        rows = rows.filter(status=status)
    if model:
        rows = rows.filter(model__slug=model)
    for word in (words or "").split()[:8]:
        rows = rows.filter(prompt__icontains=word)
    return rows


def _older_than(rows: QuerySet[VideoJob], before: str) -> QuerySet[VideoJob]:
    """`before` is "<time>_<id>" of the last card; anything else shows the first page."""
    time, _, pk = before.partition("_")
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None or not _is_uuid(pk):
            return rows
    except ValueError:
        return rows
    return rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=UUID(pk)))


def _next_address(request: UserRequest, last: VideoJob) -> str:
    query = request.GET.copy()
    query["before"] = f"{last.created_at.isoformat()}_{last.pk}"
    return f"{reverse('library')}?{query.urlencode()}"


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
