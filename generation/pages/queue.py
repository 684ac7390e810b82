"""One's own queue on every page: the drawer, the page without scripts, and what can be done there."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from generation import news, queries, queue_queries
from generation.models import VideoJob
from generation.pages.http import UserRequest
from generation.services import queueing
from i2v_site.errors import DomainError


@login_required
@never_cache
@require_safe
def queue(request: UserRequest) -> HttpResponse:
    """The queue as a page of its own."""
    return render(request, "generation/queue.html", {"queue": queue_queries.queue_of(request.user)})


@never_cache
@require_GET
def part(request: UserRequest) -> HttpResponse:
    """What stands in the drawer. Not behind `login_required`: the page of the sign-in must never land in it."""
    if not request.user.is_authenticated:
        return HttpResponse(status=204)
    return render(request, "generation/_queue_body.html", {"queue": queue_queries.queue_of(request.user)})


@never_cache
@require_GET
def live(request: UserRequest) -> JsonResponse:
    """The same as the stream, for pages that cannot have one."""
    if not request.user.is_authenticated:
        return JsonResponse({"error": {"code": "not_authenticated", "message": _("Sign in again.")}}, status=401)
    told = news.snapshot(
        person_id=request.user.pk, language=get_language() or "en", last=request.GET.get("since", "")[:20]
    )
    return JsonResponse(told)


@login_required
@require_POST
def cancel(request: UserRequest, pk: UUID) -> HttpResponse:
    """In a few seconds; until then the page of the video, and every list, offers to take it back."""
    return _done(request, lambda: queueing.ask_to_cancel(job=_own(request, pk)), default="job", pk=pk)


@login_required
@require_POST
def take_back(request: UserRequest, pk: UUID) -> HttpResponse:
    return _done(request, lambda: queueing.take_back_cancel(job=_own(request, pk)), default="job", pk=pk)


@login_required
@require_POST
def move(request: UserRequest, pk: UUID) -> HttpResponse:
    to = request.POST.get("to", "")
    if to not in ("up", "down", "first", "last"):
        return HttpResponse(status=400)
    place: queueing.Place = to  # type: ignore[assignment]  # checked above
    return _done(request, lambda: queueing.move(job=_own(request, pk), to=place))


@login_required
@require_POST
def pause(request: UserRequest) -> HttpResponse:
    """`paused`: 1 to start nothing more, 0 to go on."""
    wanted = request.POST.get("paused")
    if wanted not in ("0", "1"):
        return HttpResponse(status=400)
    act = queueing.pause if wanted == "1" else queueing.resume
    return _done(request, lambda: act(owner=request.user))


def _own(request: UserRequest, pk: UUID) -> VideoJob:
    return get_object_or_404(queries.jobs_of(request.user), pk=pk)


def _done(request: UserRequest, act: Callable[[], Any], *, default: str = "queue", **where: Any) -> HttpResponse:
    """Do it, and say how it went: to scripts in JSON, to people on the page that they come from."""
    refusal: DomainError | None = None
    try:
        act()
    except DomainError as exc:
        refusal = exc
    if _wants_json(request):
        if refusal:
            return JsonResponse({"error": {"code": refusal.code, "message": refusal.message}}, status=refusal.status)
        return JsonResponse({"ok": True})
    if refusal:
        messages.info(request, refusal.message)
    back = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return redirect(back)
    answer: HttpResponse = redirect(default, **where)
    return answer


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == "application/json"
