"""The files of a person's videos and pictures: after the look at whose they are, a short-lived link."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from generation import queries
from generation.models import PreviewFrame, SourceImage, VideoJob
from generation.pages.hidden import hidden_answer
from generation.pages.http import UserRequest
from generation.pages.naming import file_name
from generation.services.links import link

# Below the lifetime of the link that it leads to.
MEDIA_CACHE_SECONDS = 240
_SAVED_AS = {"video": ("mp4", ""), "loop": ("mp4", "loop"), "poster": ("jpg", "poster")}


@login_required
@cache_control(private=True, max_age=MEDIA_CACHE_SECONDS)
@require_safe
def media(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    """The video, its poster or its loop: after the look at whose it is, a short-lived link."""
    row = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    if row.hidden_at is not None:
        return hidden_answer(request)
    if kind == "preview":
        return _preview_frame(row)
    keys = {"video": row.video_key, "poster": row.poster_key, "loop": row.loop_key}
    key = keys.get(kind)
    if not key:
        raise Http404
    ending, what = _SAVED_AS[kind]
    name = file_name(row, ending, what=what) if "download" in request.GET else ""
    return HttpResponseRedirect(link(key, download_name=name))


def _preview_frame(row: VideoJob) -> HttpResponse:
    frame = get_object_or_404(PreviewFrame, job=row)
    answer = HttpResponse(bytes(frame.jpeg), content_type="image/jpeg")
    answer["Cache-Control"] = "private, no-store"
    return answer


@login_required
@cache_control(private=True, max_age=MEDIA_CACHE_SECONDS)
@require_safe
def picture(request: UserRequest, pk: UUID, kind: str) -> HttpResponse:
    image = get_object_or_404(SourceImage, owner=request.user, pk=pk)
    if kind not in ("full", "thumbnail"):
        raise Http404
    if image.hidden_at is not None:
        return hidden_answer(request)
    key = image.thumbnail_key if kind == "thumbnail" and image.thumbnail_key else image.key
    return HttpResponseRedirect(link(key))
