"""Deleting a video, and the way back while there is one."""

import re
from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from generation import queries
from generation.pages.http import UserRequest
from generation.services.deleting import delete_jobs, restore_jobs

# A message with this tag brings a button that takes the deletion back; the ids follow it (templates/_note.html).
UNDO_TAG = "undo"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@login_required
@require_POST
def delete(request: UserRequest, pk: UUID) -> HttpResponse:
    """At once and without a question, because it can be undone."""
    row = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    say_deleted(request, delete_jobs(owner=request.user, jobs=[row]))
    return redirect("library")


def say_deleted(request: UserRequest, ids: Sequence[UUID]) -> None:
    """On the next page: how many videos went, with the way back."""
    if ids:
        text = ngettext("%(count)s video deleted.", "%(count)s videos deleted.", len(ids)) % {"count": len(ids)}
        messages.success(request, text, extra_tags=" ".join([UNDO_TAG, *map(str, ids)]))


@login_required
@require_POST
def restore(request: UserRequest) -> HttpResponse:
    """Brings the videos `ids` back: 204, or 409 when it is too late, for scripts; a page with a message for others."""
    ids = [UUID(text) for text in request.POST.getlist("ids") if _UUID.fullmatch(text)]
    restored = restore_jobs(owner=request.user, ids=ids)
    too_late = _("It is too late: the video is gone.")
    if request.headers.get("Accept") == "application/json":
        error = {"error": {"code": "too_late", "message": too_late}}
        return HttpResponse(status=204) if restored else JsonResponse(error, status=409)
    if not restored:
        messages.error(request, too_late)
    return redirect("job", restored[0]) if len(restored) == 1 else redirect("library")
