"""The page of a job, and what one does with it there."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from generation import queries
from generation.models import PreviewFrame, VideoJob
from generation.pages import forms
from generation.pages.forms import NameForm
from generation.pages.http import UserRequest, ask, confirmed
from generation.pages.job_money import money_context, offer_of
from generation.pages.results import result_context
from generation.services.drafts import make_final
from generation.services.jobs import retry_job
from generation.services.presets import create_preset
from generation.templatetags.prices import price
from i2v_site.errors import DomainError


def _own_job(request: UserRequest, pk: UUID) -> VideoJob:
    return get_object_or_404(queries.jobs_of(request.user), pk=pk)


@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """For the pages that are not ours: the admin, the API's."""
    return HttpResponseRedirect(static("generation/icon.svg"))


@login_required
@never_cache
@require_safe
def job(request: UserRequest, pk: UUID) -> HttpResponse:
    return render(request, "generation/job.html", _job_context(request, _own_job(request, pk)))


@login_required
@never_cache
@require_GET
def job_live(request: UserRequest, pk: UUID) -> HttpResponse:
    """The part of the job's page that changes while one waits."""
    return render(request, "generation/_job_live_answer.html", _job_context(request, _own_job(request, pk)))


def _job_context(request: UserRequest, row: VideoJob) -> dict[str, Any]:
    context: dict[str, Any] = {"job": row, "state": queries.states_of([row])[row.pk]}
    if not row.is_over:
        context["has_preview"] = PreviewFrame.objects.filter(job=row).exists()
    attempts = list(row.attempts.all())
    last = attempts[-1] if attempts else None
    context |= {"attempt": last, **money_context(row, last), **result_context(request, row, last)}
    if request.user.is_staff:
        context["attempts"] = attempts
    return context


@login_required
@require_POST
def retry(request: UserRequest, pk: UUID) -> HttpResponse:
    """The same again, or with `new_seed` another one like it."""
    row = _own_job(request, pk)
    try:
        row = retry_job(job=row, new_seed=request.POST.get("new_seed") == "1")
    except DomainError as exc:
        messages.error(request, exc.message)
    return redirect("job", row.pk)


@login_required
@require_POST
def final(request: UserRequest, pk: UUID, model: str) -> HttpResponse:
    """From a draft to the final with this model; a question first when it costs more than a little."""
    row, back = _own_job(request, pk), reverse("job", args=[pk])
    offer = offer_of(row, model)
    if offer and offer.asks and not confirmed(request):
        title = _("Make the final with %(name)s?") % {"name": offer.final.option.model.name}
        return ask(
            request,
            title=title,
            text=_("It costs %(estimate)s.") % {"estimate": price(offer.final.option.estimate)},
            button=_("Make the final"),
            back=back,
        )
    try:
        made = make_final(owner=request.user, job=row, model=model)
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    return redirect("job", made.pk)


@login_required
@require_POST
def job_preset(request: UserRequest, pk: UUID) -> HttpResponse:
    row, form = _own_job(request, pk), NameForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Give the preset a name of at most 80 characters."))
        return redirect("job", pk)
    name = form.cleaned_data["name"]
    try:
        create_preset(owner=request.user, name=name, model=row.model.slug, values=forms.job_settings(row))
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        said = _("Saved the preset “%(name)s”. It is offered when you create a video.")
        messages.success(request, said % {"name": name})
    return redirect("job", pk)
