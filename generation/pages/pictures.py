"""Pictures for the create page: sent at once, found again, taken from a form."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from generation import queries
from generation.models import SourceImage, Status, VideoJob
from generation.pages.films import film_of
from generation.pages.http import UserRequest
from generation.pages.video_forms import VideoForm
from generation.services.batches import MAX_BATCH
from generation.services.intake import store_picture
from i2v_site.errors import DomainError

PAGE = 30
_WORDS = 8  # of a search


def picture_json(image: SourceImage) -> dict[str, Any]:
    """What scripts need to show a picture of its owner and to ask for a video of it."""
    return {
        "id": str(image.pk),
        "name": str(image),
        "width": image.width,
        "height": image.height,
        "thumbnail": reverse("picture", args=[image.pk, "thumbnail"]),
        "full": reverse("picture", args=[image.pk, "full"]),
    }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pictures(request: UserRequest) -> HttpResponse:
    """GET: one's pictures, to choose from. POST of `image`: 201 with the stored one; 4xx changes nothing."""
    return _upload(request) if request.method == "POST" else _choose_picture(request)


def _upload(request: UserRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return _problem("not_authenticated", _("You are signed out. Sign in again: what you typed is kept."), 401)
    file = request.FILES.get("image")
    if file is None:
        return _problem("invalid", _("Choose a picture."), 400)
    try:
        image = store_picture(owner=request.user, file=file, name=file.name or "")
    except DomainError as exc:
        return _problem(exc.code, exc.message, exc.status)
    return JsonResponse(picture_json(image), status=201)


def _problem(code: str, message: str, status: int) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)


@login_required
def _choose_picture(request: UserRequest) -> HttpResponse:
    rows = _containing(own_pictures(request), "name", request.GET.get("q", ""))
    return _found(request, rows, "pictures")


@login_required
@never_cache
@require_safe
def videos(request: UserRequest) -> HttpResponse:
    """One's finished videos, to choose one and a frame of it."""
    rows = queries.jobs_of(request.user).filter(status=Status.SUCCEEDED, hidden_at=None)
    return _found(request, _containing(rows, "prompt", request.GET.get("q", "")), "create_videos")


@login_required
@never_cache
@require_safe
def frames(request: UserRequest, pk: UUID) -> HttpResponse:
    """One finished video, to choose a frame of it. 404 for anybody else's."""
    rows = queries.jobs_of(request.user).filter(status=Status.SUCCEEDED, hidden_at=None)
    job = get_object_or_404(rows, pk=pk)
    context = {"job": job, "film": film_of(job, job.attempts.last())}
    return render(request, "generation/_create_frames.html", context)


def _found(request: UserRequest, rows: QuerySet[Any], name: str) -> HttpResponse:
    """A page of what was found: all of it, or with htmx the part that a dialog shows."""
    first = _count(request.GET.get("after"))
    found = list(rows.order_by("-created_at", "-pk")[first : first + PAGE + 1])
    context = {
        "found": found[:PAGE],
        "more": first + PAGE if len(found) > PAGE else None,
        "q": request.GET.get("q", ""),
        "address": reverse(name),
        "kind": name,
    }
    part = "generation/_create_found.html" if request.htmx else "generation/create_choose.html"
    return render(request, part, context)


def _containing(rows: QuerySet[Any], column: str, words: str) -> QuerySet[Any]:
    wanted = Q()
    for word in words.replace("\x00", "").split()[:_WORDS]:
        wanted &= Q(**{f"{column}__icontains": word})
    return rows.filter(wanted)


def _count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else 0


# --- what a form names ---------------------------------------------------------------------------------------------


def own_pictures(request: HttpRequest) -> QuerySet[SourceImage]:
    return SourceImage.objects.filter(owner=request.user, hidden_at=None)  # type: ignore[misc]  # behind login_required


def named_pictures(request: UserRequest, data: Any) -> list[SourceImage]:
    """The pictures that `image_id` names, in that order; what is gone or somebody else's is left out."""
    wanted = [pk for text in data.getlist("image_id")[:MAX_BATCH] if (pk := _uuid(text))]
    rows = own_pictures(request).in_bulk(wanted) if wanted else {}
    return [rows[pk] for pk in dict.fromkeys(wanted) if pk in rows]


def own_picture(request: UserRequest, pk: str | None) -> SourceImage | None:
    wanted = _uuid(pk or "")
    return own_pictures(request).filter(pk=wanted).first() if wanted else None


def given_pictures(request: UserRequest, form: VideoForm) -> list[SourceImage]:
    """The pictures of a form that was sent, first those that were there. Says at the form what is wrong with them.

    An upload is stored even when another field is wrong, so that nobody sends it twice.
    """
    named = [text for text in request.POST.getlist("image_id") if text]
    images = named_pictures(request, request.POST)
    if len(images) < len(set(named)):
        form.add_error("image_id", _("That picture is gone. Choose another one."))
    images += stored_uploads(request, form, "image")
    if not images and not form.data.get("image_url") and not {"image", "image_id"} & set(form.errors):
        form.add_error("image", _("Choose a picture."))
    return list(dict.fromkeys(images))


def stored_uploads(request: UserRequest, form: VideoForm, field: str) -> list[SourceImage]:
    """The files that came with a form, which browsers without scripts send."""
    images = []
    for file in request.FILES.getlist(field)[:MAX_BATCH]:
        try:
            images.append(store_picture(owner=request.user, file=file, name=file.name or ""))
        except DomainError as exc:
            form.add_error(field, exc.message)
    return images


def frame_of(request: UserRequest, data: Any) -> tuple[VideoJob | None, int | None]:
    """Which video a form or an address continues, and from which frame; nothing where it is not one's own."""
    pk = _uuid(data.get("continues", ""))
    job = queries.jobs_of(request.user).filter(pk=pk).first() if pk else None
    frame = data.get("continues_frame", "")
    return job, _count(frame) if job and frame and frame.isdigit() else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
