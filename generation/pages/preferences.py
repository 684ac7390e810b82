"""Who chooses the model when nobody names one, and how often mail comes; and the link in every mail that ends it."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from generation.models import Preferences
from generation.pages.http import UserRequest
from generation.services import labels
from generation.services.addresses import mail_address
from generation.services.preferences import (
    BadToken,
    change_preferences,
    person_of_token,
    preferences_of,
    switch_mail_off,
)

Rule, Mail = Preferences.Rule, Preferences.Mail

RULES = [
    (
        Rule.ASK,
        gettext_lazy(
            "You see what is free and what it costs, and choose each time. Nothing goes to the cloud unasked."
        ),
    ),
    (Rule.CHEAPEST, gettext_lazy("Takes what costs least, also when that means waiting. This may be the cloud.")),
    (Rule.SOONEST, gettext_lazy("Takes what is done first, also when that costs more. This may be the cloud.")),
    (
        Rule.NEVER_CLOUD,
        gettext_lazy("Takes the first model of this site's own machines. The cloud only if you name it."),
    ),
]
MAILS = [
    (Mail.OFF, gettext_lazy("You are told on the pages only.")),
    (
        Mail.EACH,
        gettext_lazy("Within a minute or two after it is done or has failed. What ends together comes together."),
    ),
    (Mail.HOURLY, gettext_lazy("The first one comes soon; the next one an hour later at the earliest.")),
    (Mail.DAILY, gettext_lazy("The first one comes soon; the next one a day later at the earliest.")),
]


class PreferencesForm(forms.Form):
    rule = forms.ChoiceField(choices=Rule.choices)
    mail = forms.ChoiceField(choices=Mail.choices)
    visible_label = forms.BooleanField(required=False)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: UserRequest) -> HttpResponse:
    form = PreferencesForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        if not labels.is_a_choice():
            del chosen["visible_label"]  # its box was not shown
        change_preferences(person=request.user, **chosen)
        messages.success(request, _("Saved your preferences."))
        return redirect("preferences")
    row = preferences_of(request.user)
    context = {
        "rules": [(choice.value, choice.label, text, choice == row.rule) for choice, text in RULES],
        "mails": [(choice.value, choice.label, text, choice == row.mail) for choice, text in MAILS],
        "label_is_a_choice": labels.is_a_choice(),
        "visible_label": row.visible_label,
        "address": mail_address(request.user),
        "form": form,
    }
    return render(request, "generation/preferences.html", context, status=422 if form.errors else 200)


# The token says who and what, and mail programs post without a cookie (RFC 8058).
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def mail_off(request: HttpRequest, token: str) -> HttpResponse:
    """Looking changes nothing, because mail filters open every link; the button does."""
    try:
        if request.method == "POST":
            switch_mail_off(token)
        person = person_of_token(token)
    except BadToken as exc:
        raise Http404 from exc
    is_off = preferences_of(person).mail == Mail.OFF
    return render(request, "generation/preferences_mail_off.html", {"is_off": is_off})
