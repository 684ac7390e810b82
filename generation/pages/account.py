"""A person's own things: tokens, pictures, presets."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation.api.describe import TOKEN_ID_CHARS
from generation.models import ApiToken, Preset, SourceImage
from generation.pages.forms import TokenForm
from generation.pages.http import UserRequest, ask, confirmed
from generation.services.intake import delete_picture
from i2v_site.errors import DomainError

PICTURES_PER_PAGE = 24


@login_required
@never_cache
@require_safe
def settings_page(request: UserRequest) -> HttpResponse:
    return _settings(request, token_form=TokenForm())


def _settings(request: UserRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    pictures = Paginator(SourceImage.objects.filter(owner=request.user), PICTURES_PER_PAGE)
    context |= {
        "tokens": [(row, row.digest[:TOKEN_ID_CHARS]) for row in ApiToken.objects.filter(user=request.user)],
        "pictures": pictures.get_page(request.GET.get("page")),
        "presets": request.user.presets.select_related("model"),
        "site": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "generation/settings.html", context, status=status)


@login_required
@never_cache
@require_POST
def create_token(request: UserRequest) -> HttpResponse:
    """Answers with the page itself instead of a redirect: the secret is shown now and never again."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _settings(request, token_form=form, status=422)
    secret = form.save(request.user)
    return _settings(request, token_form=TokenForm(), secret=secret, secret_name=form.cleaned_data["name"])


@login_required
@require_POST
def revoke_token(request: UserRequest, pk: str) -> HttpResponse:
    token = get_object_or_404(ApiToken, user=request.user, digest__startswith=pk)
    if not confirmed(request):
        text = _("Programs that use “%(name)s” stop working at once.") % {"name": token.name}
        return ask(request, title=_("Revoke this token?"), text=text, button=_("Revoke"), back=reverse("settings"))
    token.delete()
    messages.success(request, _("Revoked the token “%(name)s”.") % {"name": token.name})
    return redirect("settings")


@login_required
@require_POST
def delete_preset(request: UserRequest, pk: UUID) -> HttpResponse:
    preset = get_object_or_404(Preset, owner=request.user, pk=pk)
    if not confirmed(request):
        text = _("The preset “%(name)s” is deleted for good. Videos made with it stay.") % {"name": preset.name}
        return ask(request, title=_("Delete this preset?"), text=text, button=_("Delete"), back=reverse("settings"))
    preset.delete()
    messages.success(request, _("Deleted the preset “%(name)s”.") % {"name": preset.name})
    return redirect("settings")


@login_required
@require_POST
def delete_picture_page(request: UserRequest, pk: UUID) -> HttpResponse:
    image = get_object_or_404(SourceImage, owner=request.user, pk=pk)
    if not confirmed(request):
        text = _("The picture is deleted for good. Videos made from it stay.")
        return ask(request, title=_("Delete this picture?"), text=text, button=_("Delete"), back=reverse("settings"))
    try:
        delete_picture(image=image)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("Deleted the picture."))
    return redirect("settings")
