"""The library: all one's videos, found again."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from generation import library_queries, queries
from generation.library_queries import BatchHead
from generation.models import VideoJob
from generation.pages.http import UserRequest
from generation.pages.library_filters import (
    DAYS,
    SORTS,
    STATES,
    LibraryFilter,
    chips,
    cursor_of,
    library_address,
)
from generation.services.drafts import is_draft

PAGE = 24


@login_required
@never_cache
@require_safe
def library(request: UserRequest) -> HttpResponse:
    filters, before = LibraryFilter(request.GET), request.GET.get("before", "")
    rows, following = library_queries.page_of(
        request.user, filters.wanted(), size=PAGE, after=cursor_of(before), oldest=filters.oldest
    )
    context: dict[str, Any] = {"jobs": with_states(rows), "has_open": not all(row.is_over for row in rows)}
    context["next"] = library_address(request.GET, before=following) if following else ""
    if request.htmx and before:
        return render(request, "generation/_library_page.html", context)
    context |= _around(request, filters)
    if request.htmx.target != "results":
        return render(request, "generation/library.html", context)
    answer = render(request, "generation/_library_answer.html", context)
    # Without the empty fields of the form, so that it is worth a bookmark.
    answer["HX-Push-Url"] = context["here"]
    return answer


def _around(request: UserRequest, filters: LibraryFilter) -> dict[str, Any]:
    """Everything on the page but the cards."""
    models, head = list(queries.visible_models(request.user)), _batch(request, filters)
    given = filters.cleaned_data
    active = chips(filters, models, str(head.batch) if head else str(given.get("batch") or "")[:8])
    return {
        "filters": given,
        "from_day": given.get("from"),
        "chips": active,
        "more_open": any(chip.name not in ("q", "batch") for chip in active),
        "states": STATES,
        "days": DAYS,
        "sorts": SORTS,
        "models": models,
        "tag_names": library_queries.tag_names(request.user),
        "head": head,
        "here": library_address(request.GET),
    }


def _batch(request: UserRequest, filters: LibraryFilter) -> BatchHead | None:
    pk = filters.cleaned_data.get("batch")
    return library_queries.batch_head(request.user, pk) if pk else None


@login_required
@never_cache
@require_GET
def card(request: UserRequest, pk: UUID) -> HttpResponse:
    """One card again, when its video is done."""
    rows = library_queries.own(request.user, [pk])
    if not rows:
        raise Http404
    return render(request, "generation/_card.html", with_states(rows)[0])


def with_states(rows: list[VideoJob]) -> list[dict[str, Any]]:
    """What a card shows of each."""
    states = queries.states_of(rows)
    return [{"job": row, "state": states[row.pk], "draft": is_draft(row)} for row in rows]
