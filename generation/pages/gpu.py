"""Where the GPU is: for staff."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from generation.pages.http import UserRequest, put_beside
from gpu.forms import PolicyForm
from gpu.services import config, policy
from i2v_site.errors import DomainError


def staff_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @login_required
    @wraps(view)
    def guarded(request: UserRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


class AddressForm(forms.Form):
    swarmui_url = forms.CharField(label=gettext_lazy("SwarmUI address"), max_length=500, required=False)


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def gpu_settings(request: UserRequest) -> HttpResponse:
    row = config.load()
    form = AddressForm(request.POST if request.method == "POST" else None, initial={"swarmui_url": row.swarmui_url})
    if request.method == "POST" and form.is_valid():
        try:
            config.save_config(swarmui_url=form.cleaned_data["swarmui_url"], actor=request.user)
        except DomainError as exc:
            put_beside(form, exc)
        else:
            messages.success(request, _("Saved."))
            return redirect("gpu_settings")
    return _page(request, form, PolicyForm(instance=row))


@staff_only
@never_cache
@require_POST
def save_policy(request: UserRequest) -> HttpResponse:
    form = PolicyForm(request.POST, instance=config.load())
    if not form.is_valid():
        return _page(request, AddressForm(initial={"swarmui_url": config.load().swarmui_url}), form)
    policy.save_policy(values=form.cleaned_data, actor=request.user)
    messages.success(request, _("The renting policy is saved."))
    return redirect("gpu_settings")


@staff_only
@require_POST
def test_connection(request: UserRequest) -> HttpResponse:
    """Look at the address in the form, saved or not."""
    form = AddressForm(request.POST)
    form.is_valid()
    url = form.cleaned_data.get("swarmui_url", "")
    context = {"probe": config.probe(url) if url else None, "url": url}
    if request.htmx:
        return render(request, "gpu/_probe.html", context)
    return _page(request, form, PolicyForm(instance=config.load()), **context)


def _page(request: UserRequest, form: AddressForm, rules: PolicyForm, **more: Any) -> HttpResponse:
    row = config.load()  # not the form's instance, which holds what was typed
    context = {
        "form": form,
        "rules": rules,
        "groups": [(title, [rules[name] for name in names]) for title, names in policy.GROUPS],
        "config": row,
        "available": config.swarmui_available() if row.swarmui_url else None,
    }
    bad = bool(form.errors or rules.errors)
    return render(request, "gpu/settings.html", context | more, status=422 if bad else 200)
