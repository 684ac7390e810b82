"""What the views share."""

from collections.abc import Mapping

from django.contrib.auth.models import User
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

from i2v_site.errors import DomainError


class UserRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User
    htmx: HtmxDetails


def put_beside(form: Form, exc: DomainError) -> None:
    """Show a refusal at the field it is about, or above the form."""
    form.add_error(exc.field if exc.field in form.fields else None, exc.message)


def confirmed(request: HttpRequest) -> bool:
    """Scripts ask in a dialog and then say so; without them the question is a page of its own."""
    return request.POST.get("confirmed") == "1"


def ask(
    request: HttpRequest, *, title: str, text: str, button: str, back: str, keep: Mapping[str, str] | None = None
) -> HttpResponse:
    """A page with the question whose answer posts to the same address again, with the fields in `keep`."""
    context = {"title": title, "text": text, "button": button, "back": back, "keep": keep or {}}
    return render(request, "confirm.html", context)
