"""What a person's videos were charged: this month or another, by day, by model and for each video."""

from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from generation import spend_queries as money
from generation.pages import plot
from generation.pages.http import UserRequest
from generation.pages.spend_csv import Cell, csv_file
from gpu import queries_spend as books
from gpu.months import Month
from gpu.services.charges import headroom

VIDEOS_SHOWN = 25
Rows = Iterator[list[Cell]]


@login_required
@never_cache
@require_safe
def spend(request: UserRequest) -> HttpResponse:
    month = month_of(request)
    spent = money.person_spend(request.user, month)
    videos = shown(request, books.charged_videos(request.user.pk, month), VIDEOS_SHOWN)
    caps = headroom(request.user.pk)
    context = {
        "month": month,
        "months": months_to_pick(books.account_of(request.user.pk), shown=month),
        "spent": spent,
        "plot": plot.draw_days(month.days, [plot.Stack(_("Charged"), "bar-person", spent.days)]),
        "page": videos,
        "videos": money.videos_of(request.user, list(videos)),
        "promises": money.promises_of(request.user) if month.is_now else [],
        "caps": caps,
        "caps_set": any(room.cap_usd is not None for room in caps.person),
    }
    return render(request, "generation/spend.html", context)


@login_required
@never_cache
@require_safe
def spend_table(request: UserRequest, table: str) -> StreamingHttpResponse:
    """One table of the page as CSV."""
    if table not in _TABLES:
        raise Http404
    month = month_of(request)
    header, rows = _TABLES[table]
    return csv_file(f"spending-{table}-{month}", header.split(), rows(request, month))


def month_of(request: UserRequest) -> Month:
    """The month asked for; this one when none was, or something that is none."""
    return Month.parse(request.GET.get("month", "")) or Month.now()


def months_to_pick(*accounts: str, shown: Month) -> list[Month]:
    """Those with money, this one, and the one that is shown; newest first."""
    return sorted({*books.months_of(accounts), shown}, reverse=True)


def shown(request: UserRequest, rows: Any, size: int, name: str = "page") -> Page[Any]:
    """The page that the query's `name` asks for; the nearest one for a number that there is not."""
    return Paginator(rows, size).get_page(request.GET.get(name))


def _days(request: UserRequest, month: Month) -> Rows:
    spent = money.person_spend(request.user, month)
    for day, usd in sorted(spent.days.items()):
        yield [day, usd]


def _models(request: UserRequest, month: Month) -> Rows:
    for row in money.person_spend(request.user, month).models:
        yield [row.slug, row.name, row.videos, row.usd]


def _videos(request: UserRequest, month: Month) -> Rows:
    for row in money.all_videos_of(request.user, month):
        job = row.job
        known: list[Cell] = (
            [job.model.slug, job.prompt, job.direct_usd, job.share_usd, job.cost_usd, job.cost_is_final]
            if job
            else [None] * 6
        )
        yield [row.job_id, row.at, row.usd, *known]


def _promises(request: UserRequest, _month: Month) -> Rows:
    for row in money.promises_of(request.user):
        yield [row.job.pk, row.job.created_at, row.job.status, row.job.model.slug, row.job.prompt, row.usd]


_TABLES: dict[str, tuple[str, Callable[[UserRequest, Month], Rows]]] = {
    "days": ("day charged_usd", _days),
    "models": ("model name videos charged_usd", _models),
    "videos": (
        "video at charged_usd_in_month model prompt direct_usd share_usd charged_usd_in_all final",
        _videos,
    ),
    "promised": ("video submitted_at status model prompt promised_usd", _promises),
}
