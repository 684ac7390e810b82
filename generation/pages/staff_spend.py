"""What the site spends, for staff: by day, person, machine and cloud model, and whether the books add up."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from generation import spend_compare
from generation import spend_queries as money
from generation.pages import plot
from generation.pages.gpu import staff_only
from generation.pages.http import UserRequest
from generation.pages.spend import Rows, month_of, months_to_pick, shown
from generation.pages.spend_csv import Cell, csv_file
from generation.services import accuracy
from gpu import queries_spend as books
from gpu.months import Month
from gpu.services.audit import check_ledger
from gpu.services.charges import headroom

PEOPLE_SHOWN = 25
MACHINES_SHOWN = 15
PROBLEMS_SHOWN = 20


@staff_only
@never_cache
@require_safe
def staff_spend(request: UserRequest) -> HttpResponse:
    month = month_of(request)
    spent = money.site_spend(month)
    caps = headroom(request.user.pk).site
    people = shown(request, spent.people, PEOPLE_SHOWN, "people")
    context = {
        "month": month,
        "months": months_to_pick("machine", "cloud", shown=month),
        "spent": spent,
        "plot": _plot(spent),
        "caps": caps,
        "soft_share": caps[0].soft_percent / 100,
        "people_page": people,
        "people": money.named(list(people)),
        "machines_page": shown(request, spent.machines, MACHINES_SHOWN, "machines"),
        "comparisons": spend_compare.compare(month),
        "accuracy": _accuracy(),
        "accuracy_days": accuracy.DAYS,
    }
    if "check" in request.GET:  # without scripts it is asked for; with them it comes after the page
        context |= _check()
    return render(request, "gpu/spend.html", context)


@staff_only
@never_cache
@require_safe
def check(request: UserRequest) -> HttpResponse:
    """Whether the books add up: every entry is read, so the page does not wait for it."""
    if not request.htmx:
        return redirect("/staff/spend?check=1#books")
    return render(request, "gpu/_spend_checks.html", _check())


def _check() -> dict[str, Any]:
    found = check_ledger()
    return {"checked": True, "problems": found[:PROBLEMS_SHOWN], "more": max(0, len(found) - PROBLEMS_SHOWN)}


def _accuracy() -> list[accuracy.Accuracy]:
    """All models together, then each; empty before the first video with an estimate."""
    together, each = accuracy.accuracy()
    return [together, *each] if each else []


def _plot(spent: money.SiteSpend) -> plot.DayPlot | None:
    machine = plot.Stack(_("Machines"), "bar-machine", {row.day: row.machine_usd for row in spent.days})
    cloud = plot.Stack(_("Cloud"), "bar-cloud", {row.day: row.cloud_usd for row in spent.days})
    return plot.draw_days(spent.month.days, [machine, cloud])


@staff_only  # type: ignore[arg-type]  # it is written for pages; this answer is streamed
@never_cache
@require_safe
def staff_spend_table(request: UserRequest, table: str) -> StreamingHttpResponse:
    """One table of the page as CSV."""
    if table not in _TABLES:
        raise Http404
    month = month_of(request)
    header, rows = _TABLES[table]
    return csv_file(f"money-{table}-{month}", header.split(), rows(month))


def _days(month: Month) -> Rows:
    for row in money.site_days(month):
        yield [row.day, row.machine_usd, row.cloud_usd, row.usd]


def _people(month: Month) -> Rows:
    for row in money.named(books.people(month)):
        one = row.money
        yield [one.person_id, row.name, one.videos, one.usd, one.promised_usd, one.monthly_cap_usd]


def _machines(month: Month) -> Rows:
    for row in money.machines(month):
        one = row.money
        yield [
            one.instance.pk,
            one.instance.vast_id,
            one.instance.gpu_name,
            one.instance.created_at,
            one.instance.ended_at,
            one.hours,
            one.month_usd,
            one.booked_usd,
            one.bill_usd,
            one.difference_usd,
            row.videos,
            row.direct_usd,
            row.overhead_usd,
            row.overhead,
        ]


def _cloud(month: Month) -> Rows:
    for row in money.cloud_models(month):
        yield [row.slug, row.name, row.videos, row.usd]


def _compared(month: Month) -> Rows:
    for row in spend_compare.compare(month):
        yield [row.family, row.size, *_range(row.own), *_range(row.cloud), row.cheaper]


def _range(side: spend_compare.Range | None) -> list[Cell]:
    return [side.videos, side.median_usd, side.low_usd, side.high_usd] if side else [0, None, None, None]


def _estimates(_month: Month) -> Rows:
    for row in _accuracy():
        yield [row.slug, row.name or "all", *_errors(row.seconds), *_errors(row.usd)]


def _errors(of: accuracy.Errors) -> list[Cell]:
    return [of.videos, of.median_error, of.inside, of.bias]


_TABLES: dict[str, tuple[str, Callable[[Month], Rows]]] = {
    "days": ("day machines_usd cloud_usd total_usd", _days),
    "people": ("person_id person videos charged_usd promised_usd monthly_cap_usd", _people),
    "machines": (
        "machine vast_id gpu rented_at ended_at hours month_usd booked_usd vast_bill_usd difference_usd videos "
        "direct_usd overhead_usd overhead_share",
        _machines,
    ),
    "cloud": ("model name videos usd", _cloud),
    "compare": (
        "family size own_videos own_median_usd own_low_usd own_high_usd cloud_videos cloud_median_usd cloud_low_usd "
        "cloud_high_usd cheaper",
        _compared,
    ),
    "estimates": (
        "model name videos_timed seconds_median_error seconds_in_range seconds_bias videos_priced usd_median_error "
        "usd_in_range usd_bias",
        _estimates,
    ),
}
