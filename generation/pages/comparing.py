"""Two to four videos beside each other, in step, with the settings that differ."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from generation import queries
from generation.models import Attempt, Status, VideoJob
from generation.pages.http import UserRequest
from generation.pages.job_money import prompt_used
from generation.pages.library_filters import library_address, uuids
from generation.pages.why import facts_of
from generation.services.history import busy_seconds
from generation.templatetags.prices import exact
from generation.templatetags.words import duration

FEWEST, MOST = 2, 4


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of all the videos."""

    label: str
    texts: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.texts)) > 1


@login_required
@never_cache
@require_safe
def compare(request: UserRequest) -> HttpResponse:
    """The videos called by `ids`; `back` holds the library's filters that one came from."""
    ids, back = uuids(request.GET.getlist("ids"), most=MOST + 1), library_address(_query(request.GET.get("back", "")))
    jobs = _own(request, ids)
    shown = [job for job in jobs if job.status == Status.SUCCEEDED and job.hidden_at is None]
    if len(shown) < len(jobs):
        messages.error(request, _("Only finished videos can be compared."))
        return redirect(back)
    if not FEWEST <= len(shown) <= MOST:
        messages.error(request, _("Select two to four videos to compare."))
        return redirect(back)
    rows = _rows(shown)
    context = {"jobs": shown, "rows": rows, "differing": sum(row.differs for row in rows), "back": back}
    return render(request, "generation/compare.html", context | {"here": request.get_full_path()})


def _query(text: str) -> QueryDict:
    try:
        return QueryDict(text)
    except ValueError:  # more fields than anybody filters by
        return QueryDict()


def _own(request: UserRequest, ids: list[UUID]) -> list[VideoJob]:
    rows = queries.jobs_of(request.user).select_related("end_image").prefetch_related("attempts")
    found = {row.pk: row for row in rows.filter(pk__in=ids)}
    if len(found) < len(ids):
        raise Http404
    return [found[pk] for pk in ids]


def _rows(jobs: list[VideoJob]) -> list[Row]:
    tries = [_last(job) for job in jobs]
    columns: list[dict[str, str]] = []
    labels: dict[str, str] = {}
    for job, attempt in zip(jobs, tries, strict=True):
        facts = [*_words(job, attempt), *((fact.label, fact.text) for fact in facts_of(job, attempt))]
        columns.append(dict([*facts, *_bill(job, attempt)]))
        labels |= dict.fromkeys(columns[-1], "")
    rows = [Row(label, [column.get(label, "") for column in columns]) for label in labels]
    return [row for row in rows if any(row.texts)]


def _words(job: VideoJob, attempt: Attempt | None) -> list[tuple[str, str]]:
    return [
        (_("Prompt"), job.prompt),
        (_("Prompt really used"), prompt_used(job, attempt)),
        (_("Should not appear"), job.negative_prompt),
    ]


def _bill(job: VideoJob, attempt: Attempt | None) -> list[tuple[str, str]]:
    seconds = busy_seconds(attempt.timings) if attempt else 0
    cost: Any = exact(job.cost_usd) if job.cost_usd else _("free")
    return [(_("Cost"), str(cost)), (_("It took"), duration(seconds) if seconds else "")]


def _last(job: VideoJob) -> Attempt | None:
    return max(job.attempts.all(), key=lambda attempt: attempt.number, default=None)
