"""The fleet for staff: machines, what they cost, what could be rented, and what was."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation import fleet_queries as videos
from generation.pages import plot
from generation.pages.gpu import staff_only
from generation.pages.http import UserRequest, ask, confirmed
from gpu import queries
from gpu.services import config, machines, offer_table
from i2v_site.errors import DomainError

HOURS = (6, 24, 168)
OFFERS_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Card:
    """A machine, the videos on it, and what one more lease would cost."""

    view: queries.MachineView
    renders: list[videos.Render]
    lease_usd: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a score as a piece of a bar, in percent of the dearest score shown."""

    name: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    offer: offer_table.OfferRow
    bars: list[Bar]


class OfferFilter(forms.Form):
    gpu_name = forms.CharField(required=False, max_length=60)
    country = forms.CharField(required=False, max_length=2)
    max_usd_per_hour = forms.FloatField(required=False, min_value=0, max_value=1000)
    allowed = forms.BooleanField(required=False)


@staff_only
@never_cache
@require_safe
def fleet(request: UserRequest) -> HttpResponse:
    context = _live() | _plot(request) | {"history": queries.history(), "range_hours": HOURS}
    if "offers" in request.GET:  # without scripts the market is a page of its own
        context |= _offers(request)
    return render(request, "gpu/fleet.html", context)


@staff_only
@never_cache
@require_safe
def live(request: UserRequest) -> HttpResponse:
    """The part of the page that changes every few seconds."""
    return render(request, "gpu/_fleet_live.html", _live())


@staff_only
@never_cache
@require_safe
def plot_part(request: UserRequest) -> HttpResponse:
    return render(request, "gpu/_plot.html", _plot(request) | {"range_hours": HOURS})


@staff_only
@never_cache
@require_safe
def offers(request: UserRequest) -> HttpResponse:
    if not request.htmx:
        return redirect(f"/staff/fleet?offers=1&{request.GET.urlencode()}#offers")
    return render(request, "gpu/_offers.html", _offers(request))


def _live() -> dict[str, Any]:
    now = timezone.now()
    row = config.load()
    alive = queries.machines_alive(now)
    renders = videos.renders_by_endpoint(view.instance.url for view in alive)
    cards = [
        Card(
            view,
            renders.get(view.instance.url, []),
            float(view.instance.usd_per_hour) * row.lease_minutes / 60,
        )
        for view in alive
    ]
    return {
        "cards": cards,
        "config": row,
        "money": queries.spending(now),
        "status": queries.fleet_status(),
        "alarms": queries.open_alarms(),
        "waiting": videos.waiting_for_gpu(),
    }


def _plot(request: UserRequest) -> dict[str, Any]:
    asked = request.GET.get("hours", "")
    hours = next((number for number in HOURS if str(number) == asked), 24)
    now = timezone.now()
    return {"plot": plot.draw(queries.plot_series(hours=hours, now=now), hours=hours, now=now), "hours": hours}


def _offers(request: UserRequest) -> dict[str, Any]:
    form = OfferFilter(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    try:
        seen, problem = offer_table.look(), ""
    except DomainError as exc:
        seen, problem = [], exc.message
    found = offer_table.matching(
        seen,
        gpu_name=wanted.get("gpu_name", ""),
        country=wanted.get("country", ""),
        max_usd_per_hour=wanted.get("max_usd_per_hour"),
        allowed=True if wanted.get("allowed") else None,
    )
    return {
        "offers": _lines(found[:OFFERS_SHOWN]),
        "found": len(found),
        "problem": problem,
        "form": form,
        "gpu_names": sorted({row.gpu_name for row in seen}),
        "countries": sorted({row.country for row in seen if row.country}),
        "renting": config.load().renting,
    }


def _lines(rows: list[offer_table.OfferRow]) -> list[Line]:
    most = max((row.usd_per_video or 0 for row in rows), default=0) or 1
    return [Line(row, _bars(row, most)) for row in rows]


def _bars(row: offer_table.OfferRow, most: float) -> list[Bar]:
    bars, x = [], 0.0
    for name in ("gpu", "storage", "traffic", "boot", "download", "risk") if row.parts else ():
        width = 100 * getattr(row.parts, name) / most
        bars.append(Bar(name, x, width))
        x += width
    return bars


# --- what staff do --------------------------------------------------------------------------------------------------


@staff_only
@require_POST
def rent(request: UserRequest) -> HttpResponse:
    number = request.POST.get("offer_id", "")
    offer_id = int(number) if number.isascii() and number.isdigit() and len(number) <= 15 else None
    if number and offer_id is None:
        raise Http404
    if not confirmed(request):
        return ask(
            request,
            title=_("Rent this machine?") if offer_id else _("Rent a machine?"),
            text=_("It costs money from the moment it is rented until it is given back."),
            button=_("Rent"),
            back="/staff/fleet",
        )
    try:
        machines.request_machine(offer_id=offer_id, reason=gettext_noop("Asked for by staff."), actor=request.user)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("A machine was asked for."))
    return redirect("fleet")


# What each act is called, asked and answered with.
_ACTS = {
    "extend": (
        gettext_lazy("Keep this machine longer?"),
        gettext_lazy("It stays for one more lease and costs its price."),
        gettext_lazy("Extend"),
        gettext_lazy("Extended."),
    ),
    "drain": (
        gettext_lazy("Drain this machine?"),
        gettext_lazy("It gets no new videos and is given back when it has finished."),
        gettext_lazy("Drain"),
        gettext_lazy("It finishes its work."),
    ),
    "destroy": (
        gettext_lazy("Destroy this machine?"),
        gettext_lazy("It is given back at once. Videos on it are made again elsewhere."),
        gettext_lazy("Destroy"),
        gettext_lazy("It is being given back."),
    ),
}


@staff_only
@require_POST
def act(request: UserRequest, pk: UUID, action: str) -> HttpResponse:
    """Extend, drain or destroy one machine, after a question."""
    instance = queries.find(pk)
    if instance is None or action not in _ACTS:
        raise Http404
    title, text, button, done = map(str, _ACTS[action])
    if not confirmed(request):
        return ask(request, title=title, text=f"{instance}. {text}", button=button, back="/staff/fleet")
    try:
        if action == "extend":
            machines.extend_lease(instance=instance, actor=request.user)
        elif action == "drain":
            machines.drain(instance=instance, reason=gettext_noop("asked for by staff"), actor=request.user)
        else:
            machines.destroy(instance=instance, reason=gettext_noop("asked for by staff"), actor=request.user)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, f"{instance}: {done}")
    return redirect("fleet")
