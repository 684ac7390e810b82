"""What a person can do with everything that is stored about them: take it along, and have it erased."""

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation.errors import WrongConfirmation
from generation.pages.http import UserRequest
from generation.pages.politeness import too_many
from generation.services import exporting
from generation.services.erasing import close_account
from i2v_site.errors import DomainError


@login_required
@never_cache
@require_safe
def data(request: UserRequest) -> HttpResponse:
    return _page(request)


@login_required
@never_cache
@require_POST
def export(request: UserRequest) -> StreamingHttpResponse:
    """Streamed: it may be many gigabytes, and nothing of it is stored."""
    answer = StreamingHttpResponse(exporting.pieces(request.user), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="my-data-{timezone.now():%Y-%m-%d}.zip"'
    return answer


@login_required
@never_cache
@require_POST
def erase(request: UserRequest) -> HttpResponse:
    try:
        _confirm(request)
        close_account(person=request.user, actor=f"person:{request.user.pk}")  # the entry outlives the name
    except DomainError as exc:
        return _page(request, status=exc.status, error=exc.message)
    logout(request)
    return render(request, "generation/erased.html")


def _confirm(request: UserRequest) -> None:
    """Raises WrongConfirmation."""
    if too_many(request, "probe"):
        raise WrongConfirmation(_("Too many tries. Wait a minute."))
    if request.POST.get("name", "").strip() != request.user.get_username():
        raise WrongConfirmation(_("Type your user name exactly as it is shown."))
    known = did_recently_reauthenticate(request) or request.user.check_password(request.POST.get("password", ""))
    if not known:
        raise WrongConfirmation(_("The password is not right."))


def _page(request: UserRequest, *, status: int = 200, error: str = "") -> HttpResponse:
    context = {
        "error": error,
        "has_password": request.user.has_usable_password(),
        "just_signed_in": did_recently_reauthenticate(request),
        "uses_fal": bool(settings.FAL_KEY),
    }
    return render(request, "generation/data.html", context, status=status)
