"""A frame of a finished video, to begin another one with."""

from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from generation import queries
from generation.models import SourceImage
from generation.pages.http import UserRequest
from generation.services.frames import take_frame
from i2v_site.errors import DomainError


class FrameForm(forms.Form):
    frame = forms.IntegerField(required=False, min_value=0, max_value=100_000)


@login_required
@require_POST
def take(request: UserRequest, pk: UUID) -> HttpResponse:
    """Keep the frame as a picture: as JSON for scripts; without them on to the form that begins with it."""
    job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    form = FrameForm(request.POST)
    if not form.is_valid():
        return _refused(request, pk, "invalid", _("The video has no frame with this number."), 400)
    try:
        image = take_frame(owner=request.user, job=job, frame=form.cleaned_data["frame"])
    except DomainError as exc:
        return _refused(request, pk, exc.code, exc.message, exc.status)
    if _for_scripts(request):
        return JsonResponse(_told(image), status=201)
    start: dict[str, object] = {"image": image.pk, "continues": pk}
    if image.from_job_id == pk:  # otherwise a picture of another video that looks exactly the same
        start["continues_frame"] = image.from_frame
    return redirect(f"{reverse('create')}?{urlencode(start)}")


def _for_scripts(request: UserRequest) -> bool:
    return "text/html" not in request.headers.get("Accept", "")


def _told(image: SourceImage) -> dict[str, object]:
    return {
        "id": str(image.pk),
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "thumbnail": reverse("picture", args=[image.pk, "thumbnail"]),
        "full": reverse("picture", args=[image.pk, "full"]),
    }


def _refused(request: UserRequest, pk: UUID, code: str, message: str, status: int) -> HttpResponse:
    if _for_scripts(request):
        return JsonResponse({"error": {"code": code, "message": message}}, status=status)
    messages.error(request, message)
    return redirect("job", pk)
