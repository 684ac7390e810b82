"""The library's filters as they stand in its address, and the chips that take each of them away again."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from generation.library_queries import Cursor, Wanted, midnight, midnight_after
from generation.models import UNFINISHED, Status, VideoModel

MAX_TAGS = 5
ACTIVE = "active"  # everything that is not over
OLDEST = "oldest"
DAYS = (("1", gettext_lazy("Today")), ("7", gettext_lazy("Last 7 days")), ("30", gettext_lazy("Last 30 days")))
STATES = (
    (ACTIVE, gettext_lazy("In the making")),
    (Status.QUEUED.value, gettext_lazy("Queued")),
    (Status.RENDERING.value, gettext_lazy("Rendering")),
    (Status.STORING.value, gettext_lazy("Storing")),
    (Status.SUCCEEDED.value, gettext_lazy("Done")),
    (Status.FAILED.value, gettext_lazy("Failed")),
    (Status.CANCELLED.value, gettext_lazy("Cancelled")),
)
SORTS = (("", gettext_lazy("Newest first")), (OLDEST, gettext_lazy("Oldest first")))


@dataclass(frozen=True, slots=True)
class Chip:
    """One active filter. `address` is the library without it."""

    label: str
    address: str
    name: str
    value: str = ""


class LibraryFilter(forms.Form):
    """Anything that does not fit is ignored: an old bookmark still shows the library."""

    q = forms.CharField(max_length=200, required=False)
    status = forms.ChoiceField(choices=STATES, required=False)
    model = forms.SlugField(max_length=50, required=False)
    days = forms.ChoiceField(choices=DAYS, required=False)
    favourite = forms.ChoiceField(choices=[("1", "")], required=False)
    draft = forms.ChoiceField(choices=[("1", "")], required=False)
    batch = forms.UUIDField(required=False)
    sort = forms.ChoiceField(choices=[(OLDEST, "")], required=False)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        # `from` is a word of Python's own.
        self.fields["from"] = forms.DateField(required=False, input_formats=["%Y-%m-%d"])
        self.fields["to"] = forms.DateField(required=False, input_formats=["%Y-%m-%d"])
        self.is_valid()
        self.cleaned_data["tags"] = _tags(data)

    @property
    def oldest(self) -> bool:
        return self.cleaned_data.get("sort") == OLDEST

    def wanted(self) -> Wanted:
        given = self.cleaned_data
        since, until = _span(given)
        return Wanted(
            words=given.get("q") or "",
            statuses=_statuses(given.get("status") or ""),
            model=given.get("model") or "",
            since=since,
            until=until,
            favourite=True if given.get("favourite") else None,
            tags=tuple(given["tags"]),
            batch=given.get("batch"),
            draft=bool(given.get("draft")),
        )


def _statuses(status: str) -> tuple[str, ...]:
    if status == ACTIVE:
        return UNFINISHED
    return (status,) if status else ()


def _tags(data: QueryDict) -> list[str]:
    names = [name.strip() for name in data.getlist("tag")]
    fit = [name for name in names if 0 < len(name) <= 40 and name.isprintable()]
    return list(dict.fromkeys(fit))[:MAX_TAGS]


def _span(given: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    """First moment and the one behind the last; both days of a person are whole."""
    first, last = given.get("from"), given.get("to")
    if given.get("days"):
        recent = timezone.localdate() - timedelta(days=int(given["days"]) - 1)
        first = max(first, recent) if first else recent
    return midnight(first) if first else None, midnight_after(last) if last else None


def chips(filters: LibraryFilter, models: list[VideoModel], batch_name: str) -> list[Chip]:
    """What is filtered by, each with the address without it."""
    return [
        Chip(label, _without(filters.data, name, value), name, value)  # type: ignore[arg-type]  # it is a QueryDict
        for name, value, label in _active(filters.cleaned_data, models, batch_name)
    ]


def _active(given: dict[str, Any], models: list[VideoModel], batch_name: str) -> Iterator[tuple[str, str, str]]:
    names = {row.slug: row.name for row in models}
    labels: dict[str, Callable[[Any], str]] = {
        "q": lambda words: _("Words: %(words)s") % {"words": words},
        "status": lambda status: str(dict(STATES)[status]),
        "model": lambda slug: _("Model: %(name)s") % {"name": names.get(slug, slug)},
        "days": lambda days: str(dict(DAYS)[days]),
        "from": lambda day: _("From %(day)s") % {"day": date_format(day)},
        "to": lambda day: _("To %(day)s") % {"day": date_format(day)},
        "favourite": lambda _on: _("Favourites"),
        "draft": lambda _on: _("Drafts"),
        "batch": lambda _pk: _("Batch: %(name)s") % {"name": batch_name},
    }
    for name, label in labels.items():
        if value := given.get(name):
            yield name, str(value), label(value)
    for tag in given["tags"]:
        yield "tag", tag, _("Tag: %(name)s") % {"name": tag}


def _without(data: QueryDict, name: str, value: str) -> str:
    rest = data.copy()
    if name == "tag":
        rest.setlist("tag", [tag for tag in rest.getlist("tag") if tag.strip() != value])
    else:
        rest.pop(name, None)
    return library_address(rest)


def library_address(query: QueryDict, *, before: Cursor | None = None) -> str:
    """The library with these filters, from its first page or behind a video."""
    data = query.copy()
    data.pop("before", None)
    for name in list(data):
        values = [value for value in data.getlist(name) if value]
        if values:
            data.setlist(name, values)
        else:
            del data[name]
    if before:
        data["before"] = f"{before.created_at.isoformat()}_{before.pk}"
    return f"{reverse('library')}?{data.urlencode()}" if data else reverse("library")


def cursor_of(text: str) -> Cursor | None:
    """ "<time>_<id>" of the last card; None for anything else, which shows the first page."""
    moment, _, pk = text.partition("_")
    try:
        parsed = datetime.fromisoformat(moment)
        parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed
    except (ValueError, OverflowError):
        return None
    return Cursor(parsed, UUID(pk)) if parsed.tzinfo and is_uuid(pk) else None


def is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def uuids(values: list[str], *, most: int) -> list[UUID]:
    """Ids as a form or an address has them, several or with commas; what is none is left out."""
    texts = [text.strip() for value in values for text in value.split(",")]
    return [UUID(text) for text in dict.fromkeys(texts) if is_uuid(text)][:most]
