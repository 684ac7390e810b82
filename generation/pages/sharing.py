"""A person's links to their videos: made and taken back on the video's page."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from generation import queries
from generation.clip_queries import clips_of
from generation.models import Clip, ShareLink, VideoJob
from generation.pages.http import UserRequest, ask, confirmed
from generation.services.sharing import links_of, revoke, share
from i2v_site.errors import DomainError

DATE = "date"
_DAYS = {"1": 1, "7": 7, "30": 30}
EXPIRIES = [
    ("1", gettext_lazy("In 1 day")),
    ("7", gettext_lazy("In 7 days")),
    ("30", gettext_lazy("In 30 days")),
    ("never", gettext_lazy("Never")),
    (DATE, gettext_lazy("At the end of this day")),
]


class ShareForm(forms.Form):
    """Empty `clip`: the video itself."""

    clip = forms.UUIDField(required=False)
    audience = forms.ChoiceField(choices=ShareLink.Audience.choices)
    expires = forms.ChoiceField(choices=EXPIRIES)
    date = forms.DateField(required=False)
    shows_prompt = forms.BooleanField(required=False)
    allows_download = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("expires") == DATE and not values.get("date"):
            self.add_error("date", _("Choose a day."))
        return values

    def expires_at(self) -> datetime | None:
        """A day ends in UTC; the page says so."""
        chosen = self.cleaned_data["expires"]
        if chosen == DATE:
            return timezone.make_aware(datetime.combine(self.cleaned_data["date"], time.max))
        return timezone.now() + timedelta(days=_DAYS[chosen]) if chosen in _DAYS else None


@login_required
@require_POST
def create(request: UserRequest, pk: UUID) -> HttpResponse:
    """A link to the video, or to a clip of it; the page of the video then shows it."""
    job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
    form = ShareForm(request.POST)
    back = f"{reverse('job', args=[pk])}#share"
    if not form.is_valid():
        messages.error(request, str(next(iter(form.errors.values()))[0]))
        return redirect(back)
    clip = None
    if form.cleaned_data["clip"]:
        clip = get_object_or_404(clips_of(job), pk=form.cleaned_data["clip"])
    chosen = {name: form.cleaned_data[name] for name in ("audience", "shows_prompt", "allows_download")}
    what = {"clip": clip} if clip else {"job": job}
    try:
        share(owner=request.user, expires_at=form.expires_at(), **what, **chosen)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("The link is made. Copy it below."))
    return redirect(back)


@login_required
@require_POST
def revoke_link(request: UserRequest, pk: UUID) -> HttpResponse:
    link = get_object_or_404(ShareLink.objects.select_related("clip"), pk=pk, owner=request.user)
    back = f"{_home_of(link)}#share"
    if not confirmed(request):
        text = _("Whoever has it cannot see the video any more. A new link has another address.")
        return ask(request, title=_("Take this link back?"), text=text, button=_("Take it back"), back=back)
    revoke(link=link)
    messages.success(request, _("The link does not work any more."))
    return redirect(back)


def _home_of(link: ShareLink) -> str:
    part = link.clip.parts.first() if link.clip else None
    return reverse("job", args=[part.job_id if part else link.job_id])


def share_context(request: UserRequest, job: VideoJob) -> dict[str, Any]:
    """The links there are, and what else of the video can be shared."""
    links = list(links_of(job))
    now = timezone.now()
    rows = [
        {
            "link": link,
            "address": request.build_absolute_uri(reverse("shared", args=[link.token])),
            "over": link.expires_at is not None and link.expires_at <= now,
        }
        for link in links
    ]
    return {
        "shares": rows,
        "share_clips": clips_of(job).filter(state=Clip.State.DONE, hidden_at=None),
        "audiences": ShareLink.Audience.choices,
        "expiries": EXPIRIES,
    }
