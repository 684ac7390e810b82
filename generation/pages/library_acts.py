"""What is done with the videos of the library: one at a time, or all that are selected."""

import json
from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from generation import queries
from generation.errors import NothingSelected, TooManySelected
from generation.library_queries import own
from generation.models import VideoJob
from generation.pages.http import UserRequest
from generation.pages.library import with_states
from generation.pages.library_filters import uuids
from generation.services import packing
from generation.services.deleting import UNDO_SECONDS, delete_jobs, restore_jobs
from generation.services.library import add_tags, remove_tag, set_favourite, tag_names
from i2v_site.errors import DomainError

MAX_SELECTED = packing.MAX_VIDEOS


@login_required
@require_POST
def favourite(request: UserRequest, pk: UUID) -> HttpResponse:
    """Mark one video, or with `favourite=0` take the mark away."""
    job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    set_favourite(owner=request.user, ids=[pk], on=request.POST.get("favourite") != "0")
    if not request.htmx:
        return redirect(_next(request, reverse("job", args=[pk])))
    job.refresh_from_db(fields=["favourite_at"])
    return render(request, "generation/_favourite.html", {"job": job})


@login_required
@require_POST
def tag(request: UserRequest, pk: UUID) -> HttpResponse:
    """Put tags on one video (`tag`), or take one off (`remove`)."""
    job, problem = get_object_or_404(queries.jobs_of(request.user), pk=pk), ""
    try:
        if name := request.POST.get("remove"):
            remove_tag(owner=request.user, ids=[pk], name=name)
        else:
            add_tags(owner=request.user, ids=[pk], names=tag_names(request.POST.get("tag", "")))
    except DomainError as exc:
        problem = exc.message
    if request.htmx:
        context = {"job": job, "problem": problem}
        return render(request, "generation/_tags.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    return redirect(_next(request, reverse("job", args=[pk])))


@login_required
@require_POST
def act(request: UserRequest) -> HttpResponse:
    """Do `action` with the selected videos."""
    action = _ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        raise Http404
    try:
        return action(request, _selected(request))
    except DomainError as exc:
        if request.htmx:
            return HttpResponse(status=204, headers=_said(exc.message))
        messages.error(request, exc.message)
        return redirect(_next(request))


def _selected(request: UserRequest) -> list[VideoJob]:
    """The person's own among the `ids`. Raises NothingSelected, TooManySelected; 404 when none of them is theirs."""
    ids = selected_ids(request.POST)
    if not ids:
        raise NothingSelected(_("Select a video first."))
    if len(ids) > MAX_SELECTED:
        text = ngettext("Select at most %(most)d video.", "Select at most %(most)d videos.", MAX_SELECTED)
        raise TooManySelected(text % {"most": MAX_SELECTED})
    jobs = own(request.user, ids)
    if not jobs:
        raise Http404
    return jobs


def selected_ids(data: QueryDict) -> list[UUID]:
    """One more than may be, so that too many are noticed."""
    return uuids(data.getlist("ids"), most=MAX_SELECTED + 1)


def _favourites(request: UserRequest, jobs: list[VideoJob]) -> HttpResponse:
    on = request.POST["action"] == "favourite"
    set_favourite(owner=request.user, ids=[job.pk for job in jobs], on=on)
    if on:
        text = ngettext("%(count)d video is a favourite.", "%(count)d videos are favourites.", len(jobs))
    else:
        text = ngettext(
            "%(count)d video is no favourite any more.", "%(count)d videos are no favourites any more.", len(jobs)
        )
    return _done(request, jobs, text % {"count": len(jobs)})


def _tag(request: UserRequest, jobs: list[VideoJob]) -> HttpResponse:
    names, ids = tag_names(request.POST.get("tag", "")), [job.pk for job in jobs]
    if request.POST["action"] == "tag":
        add_tags(owner=request.user, ids=ids, names=names)
        text = ngettext("Tagged %(count)d video: %(names)s.", "Tagged %(count)d videos: %(names)s.", len(jobs))
    else:
        for name in names:
            remove_tag(owner=request.user, ids=ids, name=name)
        text = ngettext("Untagged %(count)d video: %(names)s.", "Untagged %(count)d videos: %(names)s.", len(jobs))
    return _done(request, jobs, text % {"count": len(jobs), "names": ", ".join(names)})


def _compare(request: UserRequest, jobs: list[VideoJob]) -> HttpResponse:
    query = {"ids": ",".join(str(job.pk) for job in jobs), "back": _next(request).partition("?")[2]}
    address = f"{reverse('compare')}?{urlencode({name: value for name, value in query.items() if value})}"
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def _delete(request: UserRequest, jobs: list[VideoJob]) -> HttpResponse:
    ids = [str(pk) for pk in delete_jobs(owner=request.user, jobs=jobs)]
    if request.htmx:
        gone = {"ids": ids, "text": deleted_words(len(ids)), "seconds": UNDO_SECONDS}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"i2v:deleted": gone})})
    query = urlencode({"ids": ",".join(ids), "next": _next(request)})
    return redirect(f"{reverse('library_deleted')}?{query}")


def deleted_words(count: int) -> str:
    return ngettext("%(count)d video was deleted.", "%(count)d videos were deleted.", count) % {"count": count}


_ACTIONS: dict[str, Callable[[UserRequest, list[VideoJob]], HttpResponse]] = {
    "favourite": _favourites,
    "unfavourite": _favourites,
    "tag": _tag,
    "untag": _tag,
    "compare": _compare,
    "delete": _delete,
}


@login_required
@require_safe
def deleted(request: UserRequest) -> HttpResponse:
    """What was deleted, with the way back, for browsers without scripts."""
    ids = selected_ids(request.GET)
    context = {"ids": ids, "text": deleted_words(len(ids)), "next": _next(request), "seconds": UNDO_SECONDS}
    return render(request, "generation/library_deleted.html", context)


@login_required
@require_POST
def restore(request: UserRequest) -> HttpResponse:
    """Bring deleted videos back; JSON for scripts."""
    back = restore_jobs(owner=request.user, ids=selected_ids(request.POST))
    if request.accepts("application/json") and not request.accepts("text/html"):
        return JsonResponse({"ids": [str(pk) for pk in back]})
    if back:
        text = ngettext("%(count)d video is back.", "%(count)d videos are back.", len(back))
        messages.success(request, text % {"count": len(back)})
    else:
        messages.error(request, _("It was too late: the videos are gone."))
    return redirect(_next(request))


@login_required
@require_http_methods(["GET", "POST"])
def pack(request: UserRequest) -> HttpResponseBase:
    """The selected videos as one ZIP."""
    data = request.POST if request.method == "POST" else request.GET
    try:
        packed = packing.choose(owner=request.user, ids=selected_ids(data))
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect(_next(request))
    answer = StreamingHttpResponse(packing.pieces(packed), content_type="application/zip")
    name = f"videos-{timezone.localdate():%Y-%m-%d}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    # A proxy that gathers an answer before it passes it on would undo the streaming.
    answer["X-Accel-Buffering"] = "no"
    answer["Cache-Control"] = "no-store"
    return answer


def _done(request: UserRequest, jobs: list[VideoJob], text: str) -> HttpResponse:
    """The changed cards, each in the place of its older self, and a word about it."""
    if not request.htmx:
        messages.success(request, text)
        return redirect(_next(request))
    rows = own(request.user, [job.pk for job in jobs])
    answer = render(request, "generation/_library_changed.html", {"jobs": with_states(rows)})
    for name, value in _said(text).items():
        answer[name] = value
    return answer


def _said(text: str) -> dict[str, str]:
    return {"HX-Trigger": json.dumps({"i2v:said": {"text": text}})}


def _next(request: UserRequest, default: str = "") -> str:
    """Where the person came from, when that is a page of ours."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(given, allowed_hosts=None, require_https=request.is_secure())
    return given if ours and given.startswith("/") else default or reverse("library")
