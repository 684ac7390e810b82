"""The public page that says what is known of a file."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from generation.pages.politeness import too_many
from generation.services.verifying import look_at
from i2v_site.api import FORM_OVERHEAD_BYTES
from i2v_site.errors import DomainError


# Nothing is changed by a look; and the check of the token would read the whole upload before its size is judged.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def check(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request)
    if too_many(request, "check"):
        return _page(request, status=429, error=_("That were many files at once. Wait a minute and try again."))
    megabytes = settings.CHECK_MAX_BYTES // 1024**2
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.CHECK_MAX_BYTES + FORM_OVERHEAD_BYTES:
        text = _("The file is too big: at most %(megabytes)s MB are looked at.")
        return _page(request, status=413, error=text % {"megabytes": megabytes})
    file = request.FILES.get("file")
    if file is None:
        return _page(request, status=422, error=_("Choose a file first."))
    try:
        return _page(request, told=look_at(file.chunks()))
    except DomainError as exc:
        return _page(request, status=422, error=exc.message)


def _page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    context["megabytes"] = settings.CHECK_MAX_BYTES // 1024**2
    return render(request, "generation/check.html", context, status=status)
