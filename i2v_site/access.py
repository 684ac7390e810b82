"""Who gets in: one door for everybody, the sign-up switch, and the second factor of staff."""

from collections.abc import Callable, Mapping

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from i2v_site.api import error_body


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def pre_authenticate(self, _request: HttpRequest, **_credentials: object) -> None:
        """Wrong passwords are counted by django-axes, in the database: by all web processes together.

        allauth's own limit, in each process's cache, would answer first. It stays for second factors.
        """


@never_cache
def admin_door(request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
    """Stands where the admin's own sign-in was, which asks for a password only: the way in is the ordinary one."""
    del extra_context
    index = reverse("admin:index")
    wanted = request.GET.get("next", index)
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    target = wanted if safe else index
    if not request.user.is_authenticated:
        return redirect_to_login(target, reverse(settings.LOGIN_URL))
    if not admin.site.has_permission(request):
        raise PermissionDenied
    return redirect(target)


class SecondFactorMiddleware:
    """Sends staff without a second factor to its set-up page, and nowhere else, when the setting asks for one."""

    # What is needed to set one up. The pages below /account/2fa/ are among it.
    ALLOWED = ("mfa_index", "account_logout", "account_reauthenticate", "health", "ready")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if settings.STAFF_SECOND_FACTOR and user.is_authenticated and user.is_staff:
            allowed = tuple(reverse(name) for name in self.ALLOWED)
            if not request.path.startswith(allowed) and not is_mfa_enabled(user):
                return self._send_away(request)
        return self.get_response(request)

    def _send_away(self, request: HttpRequest) -> HttpResponse:
        text = _("Staff accounts need a second factor. Set one up to go on.")
        if request.path.startswith("/api/"):
            return JsonResponse(error_body("second_factor_required", text), status=403)
        messages.warning(request, text)
        return redirect("mfa_index")


def client_ip(request: HttpRequest) -> str | None:
    """The caller's address: the entry that our own outermost proxy added, never one that the caller made up."""
    peer: str | None = request.META.get("REMOTE_ADDR")
    chain = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if not settings.NUM_PROXIES or not chain:
        return peer
    return str(chain[-min(settings.NUM_PROXIES, len(chain))])


def attempted_name(request: HttpRequest, credentials: Mapping[str, str] | None = None) -> str:
    """Whose password was tried: allauth hands a name or an address on, and the form has neither under that name."""
    given = credentials or {}
    name = given.get("username") or given.get("email") or request.POST.get("login", "")
    return name.strip().lower()


def locked_out(request: HttpRequest, *_details: object) -> HttpResponse:
    """What django-axes answers after too many wrong passwords."""
    text = {"cooloff_minutes": int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)}
    return render(request, "account/locked.html", text, status=429)
