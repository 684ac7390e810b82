"""What a click does with all videos of a batch, and variations of one video."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from generation import batch_queries, queries
from generation.models import Batch
from generation.pages.http import UserRequest, ask, confirmed
from generation.pages.job_money import ASK_ABOVE_USD
from generation.services import batches
from generation.templatetags.prices import cents
from i2v_site.errors import DomainError


def address_of(batch: Batch) -> str:
    return f"{reverse('library')}?batch={batch.pk}"


def _own(request: UserRequest, pk: UUID) -> Batch:
    return get_object_or_404(batch_queries.batches_of(request.user), pk=pk)


@login_required
@require_POST
def cancel(request: UserRequest, pk: UUID) -> HttpResponse:
    batch = _own(request, pk)
    unfinished = batch_queries.tallies_of([batch])[batch.pk].unfinished
    if unfinished and not confirmed(request):
        title = ngettext("Cancel %(count)d video?", "Cancel %(count)d videos?", unfinished) % {"count": unfinished}
        text = _("What is done so far of those that are being made is lost. Finished ones stay.")
        return ask(request, title=title, text=text, button=_("Cancel them"), back=address_of(batch))
    cancelled = batches.cancel_batch(batch=batch)
    text = ngettext("%(count)d video was cancelled.", "%(count)d videos were cancelled.", cancelled)
    messages.info(request, text % {"count": cancelled})
    return redirect(address_of(batch))


@login_required
@require_POST
def retry_failed(request: UserRequest, pk: UUID) -> HttpResponse:
    batch = _own(request, pk)
    try:
        again = len(batches.retry_failed(batch=batch))
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        text = ngettext("%(count)d video is made again.", "%(count)d videos are made again.", again)
        messages.info(request, text % {"count": again})
    return redirect(address_of(batch))


@login_required
@require_POST
def vary(request: UserRequest, pk: UUID) -> HttpResponse:
    """Videos like this one with other seeds; a question first when all together cost more than a little."""
    job, back = get_object_or_404(queries.jobs_of(request.user), pk=pk), reverse("job", args=[pk])
    try:
        count = int(request.POST.get("count", batches.USUAL_VARIATIONS))
        wanted = batches.variations_of(job=job, count=count)
        total = batches.total_of(owner=request.user, requests=wanted)
        if total.usd > ASK_ABOVE_USD and not confirmed(request):
            text = _("Together they cost about %(usd)s, and at most %(most)s.")
            return ask(
                request,
                title=ngettext("Make %(count)d variation?", "Make %(count)d variations?", count) % {"count": count},
                text=text % {"usd": cents(total.usd), "most": cents(total.usd_high)},
                button=_("Make them"),
                back=back,
                keep={"count": str(count)},
            )
        batch = batches.submit_batch(owner=request.user, requests=wanted, parent=job)
    except ValueError:
        messages.error(request, _("Say how many variations in digits."))
        return redirect(back)
    except DomainError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    return redirect(address_of(batch))
