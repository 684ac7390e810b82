"""Webhooks on pages: make, edit, pause, rotate, test, and the log with its replay. Works without scripts."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from generation.api.webhook_answers import KINDS
from generation.models import Delivery, WebhookEndpoint
from generation.pages.forms import TextField
from generation.pages.http import UserRequest, ask, confirmed, put_beside
from generation.services import webhooks
from i2v_site.errors import DomainError

DELIVERIES_PER_PAGE = 20


class WebhookForm(forms.Form):
    url = TextField(max_length=2048)
    description = TextField(max_length=120, required=False)
    kinds = forms.MultipleChoiceField(choices=KINDS, required=False)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_list(request: UserRequest) -> HttpResponse:
    """A good form is answered with the new webhook's page, not a redirect: the secret is shown now and never again."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row, secret = webhooks.create_endpoint(owner=request.user, **form.cleaned_data)
        except DomainError as exc:
            put_beside(form, exc)
        else:
            return _page(request, row, secret=secret)
    context = {
        "webhooks": WebhookEndpoint.objects.filter(owner=request.user),
        "form": form,
        "kinds": KINDS,
        "chosen": form.data.getlist("kinds") if request.method == "POST" else [],  # type: ignore[attr-defined]
        "most": webhooks.MAX_ENDPOINTS,
    }
    return render(request, "generation/webhooks.html", context, status=422 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own(request, pk)
    if request.method != "POST":
        return _page(request, row)
    form = WebhookForm(request.POST)
    if form.is_valid():
        try:
            webhooks.change_endpoint(endpoint=row, **form.cleaned_data)
        except DomainError as exc:
            put_beside(form, exc)
        else:
            messages.success(request, _("Saved."))
            return redirect("webhook", row.pk)
    return _page(request, row, form=form, status=422)


def _page(
    request: UserRequest, row: WebhookEndpoint, *, form: WebhookForm | None = None, secret: str = "", status: int = 200
) -> HttpResponse:
    saved = {"url": row.url, "description": row.description, "kinds": row.kinds}
    rows = Delivery.objects.filter(endpoint=row).select_related("notice").prefetch_related("log")
    context: dict[str, Any] = {
        "webhook": row,
        "form": form or WebhookForm(initial=saved),
        "kinds": KINDS,
        "chosen": form.data.getlist("kinds") if form else row.kinds,  # type: ignore[attr-defined]
        "secret": secret,
        "deliveries": Paginator(rows, DELIVERIES_PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "generation/webhook.html", context, status=status)


@login_required
@require_POST
def switch(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own(request, pk)
    on = request.POST.get("enabled") == "1"
    webhooks.change_endpoint(endpoint=row, enabled=on)
    messages.success(
        request, _("It is called again from now on.") if on else _("Paused: nothing is sent until you go on.")
    )
    return redirect("webhook", row.pk)


@login_required
@never_cache
@require_POST
def rotate(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own(request, pk)
    if not confirmed(request):
        text = _("You get a new secret, shown once. The present one goes on signing for 24 hours.")
        return ask(request, title=_("Make a new secret?"), text=text, button=_("Make it"), back=_address(row))
    return _page(request, row, secret=webhooks.rotate_secret(endpoint=row))


@login_required
@require_POST
def test(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own(request, pk)
    try:
        webhooks.send_test(endpoint=row)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("A test is on its way. How it went is in the log below in a moment."))
    return redirect(_address(row) + "#log")


@login_required
@require_POST
def replay(request: UserRequest, pk: UUID, delivery: UUID) -> HttpResponse:
    row = _own(request, pk)
    sent = get_object_or_404(Delivery.objects.select_related("endpoint"), endpoint=row, pk=delivery)
    try:
        webhooks.replay(delivery=sent)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("It is sent again, with the same id."))
    return redirect(_address(row) + "#log")


@login_required
@require_POST
def delete(request: UserRequest, pk: UUID) -> HttpResponse:
    row = _own(request, pk)
    if not confirmed(request):
        text = _("“%(row)s” is called no more, and its log is deleted.") % {"row": row}
        return ask(request, title=_("Delete this webhook?"), text=text, button=_("Delete"), back=_address(row))
    row.delete()
    messages.success(request, _("Deleted the webhook."))
    return redirect("webhooks")


def _own(request: UserRequest, pk: UUID) -> WebhookEndpoint:
    return get_object_or_404(WebhookEndpoint, owner=request.user, pk=pk)


def _address(row: WebhookEndpoint) -> str:
    return reverse("webhook", args=[row.pk])
