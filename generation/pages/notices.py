"""Notices on pages: the small region that every page asks for, and the list of the last ones."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from generation.models import Notice, VideoJob
from generation.pages.http import UserRequest
from generation.services.words_of_notices import told

LISTED = 50
SHOWN = 2


@login_required
@never_cache
@require_safe
def notices(request: UserRequest) -> HttpResponse:
    """The last ones; looking at the list makes all of them seen."""
    rows = list(Notice.objects.filter(owner=request.user).exclude(kind=Notice.Kind.PING)[:LISTED])
    if request.method == "GET":
        _see(request, Q())
    return render(request, "generation/notices.html", {"notices": [(row, told(row)) for row in rows]})


@never_cache
@require_GET
def new(request: UserRequest) -> HttpResponse:
    """What the person has not seen yet, for the region on every page; 204 when the page shows it already.

    Not behind `login_required`: the page of the sign-in must never land in the region.
    """
    if not request.user.is_authenticated:
        return HttpResponse(status=204)
    if "visible" in request.GET:
        _see_what_the_page_shows(request)
    context = _unseen(request)
    if request.GET.get("have") == context["state"]:
        return HttpResponse(status=204)
    return render(request, "generation/_notices.html", context)


@login_required
@never_cache
@require_POST
def seen(request: UserRequest, pk: UUID) -> HttpResponse:
    """Put one notice away; somebody else's is nothing that could be found."""
    return _put_away(request, Q(pk=pk))


@login_required
@never_cache
@require_POST
def all_seen(request: UserRequest) -> HttpResponse:
    return _put_away(request, Q())


def _put_away(request: UserRequest, which: Q) -> HttpResponse:
    _see(request, which)
    if request.htmx:
        return render(request, "generation/_notices.html", _unseen(request))
    return redirect("notices")


def _unseen(request: UserRequest) -> dict[str, Any]:
    rows = list(Notice.objects.filter(owner=request.user, seen_at=None)[: LISTED + 1])
    # Only while something is being made can there be news; until then the page asks no more.
    waiting = VideoJob.objects.owned_by(request.user).unfinished().exists()
    newest = rows[0].pk.hex if rows else ""
    return {
        "shown": [(row, told(row)) for row in rows[:SHOWN]],
        "unseen": min(len(rows), LISTED),
        "most": LISTED,
        "waiting": waiting,
        "state": f"{len(rows)}-{newest}-{'w' if waiting else ''}",
    }


def _see_what_the_page_shows(request: UserRequest) -> None:
    """A video's own page, and the lists, show themselves how it ended."""
    try:
        match = resolve(_page_path(request))
    except Resolver404:
        return
    if match.url_name == "job":
        _see(request, Q(job=match.kwargs["pk"]))
    elif match.url_name == "library":
        _see(request, Q(job__isnull=False))
    elif match.url_name == "notices":
        _see(request, Q())


def _page_path(request: UserRequest) -> str:
    return (request.htmx.current_url_abs_path or "").partition("?")[0].partition("#")[0] or "/-"


def _see(request: UserRequest, which: Q) -> None:
    Notice.objects.filter(which, owner=request.user, seen_at=None).update(seen_at=timezone.now())
