"""The form by which anybody reports a video."""

import re
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from generation.models import Report
from generation.pages.forms import TextField
from generation.pages.http import put_beside
from generation.pages.politeness import too_many
from generation.services.reports import file_report
from i2v_site.errors import DomainError

# In the words of who reports; by a check's own kind nobody can report.
KINDS = [
    (Report.Kind.INTIMATE.value, gettext_lazy("It shows me, or somebody, in an intimate way without consent")),
    (Report.Kind.PERSON.value, gettext_lazy("It shows me without my consent")),
    (Report.Kind.COPYRIGHT.value, gettext_lazy("It uses my picture or work")),
    (Report.Kind.ILLEGAL.value, gettext_lazy("It is illegal or harmful in another way")),
    (Report.Kind.OTHER.value, gettext_lazy("Something else")),
]


class ReportForm(forms.Form):
    kind = forms.ChoiceField(choices=KINDS, error_messages={"required": gettext_lazy("Choose what is wrong.")})
    address = TextField(required=False, max_length=500)
    text = TextField(required=False, max_length=4000)
    email = forms.EmailField(required=False)
    link = forms.CharField(required=False, max_length=40)
    job = forms.UUIDField(required=False)
    sha256 = forms.RegexField(r"^[0-9a-f]{64}$", required=False)
    # No person sees this field; programs that fill in everything do.
    website = forms.CharField(required=False)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def report(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        known = {name: request.GET.get(name, "") for name in ("link", "job", "sha256", "address")}
        return _page(request, ReportForm(initial=known))
    form = ReportForm(request.POST)
    if too_many(request, "report"):
        form.add_error(None, _("That were many reports from your network. Try again in an hour."))
        return _page(request, form, status=429)
    if not form.is_valid():
        return _page(request, form, status=422)
    values = dict(form.cleaned_data)
    if values.pop("website"):
        return redirect("report_thanks", "00000000")
    job_id: UUID | None = values.pop("job")
    try:
        row = file_report(job_id=job_id, **values)
    except DomainError as exc:
        put_beside(form, exc)
        return _page(request, form, status=422)
    return redirect("report_thanks", str(row.pk)[:8])


def _page(request: HttpRequest, form: ReportForm, *, status: int = 200) -> HttpResponse:
    named: Any = [form[name].value() for name in ("link", "job", "sha256")]
    context = {"form": form, "kinds": KINDS, "is_named": any(named)}
    return render(request, "generation/report.html", context, status=status)


@never_cache
@require_safe
def thanks(request: HttpRequest, reference: str) -> HttpResponse:
    if not re.fullmatch(r"[0-9a-f]{8}", reference):
        raise Http404
    return render(request, "generation/report_thanks.html", {"reference": reference})
