"""A notice in words, for the page, the list and the mail."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from generation.models import Notice

PROMPT_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is shown of one notice; addresses are absolute, "" where there is none."""

    title: str
    text: str = ""
    url: str = ""
    path: str = ""
    poster_url: str = ""


def told(notice: Notice) -> Told:
    """Asks nothing of the database: everything stands in the notice itself."""
    if notice.kind in (Notice.Kind.SUCCEEDED, Notice.Kind.FAILED, Notice.Kind.CANCELLED):
        return _video(notice)
    if notice.kind in _ABOUT_RIGHTS:
        return _rights(notice)
    if notice.kind == Notice.Kind.BUDGET:
        return _budget(notice)
    if notice.kind == Notice.Kind.SWITCHED_OFF:
        path = reverse("webhook", args=[notice.data["webhook_id"]])
        title = _("A webhook was switched off: %(name)s") % {"name": _short(str(notice.data["name"]))}
        return Told(title=title, text=_(str(notice.data["reason"])), path=path, url=settings.SITE_URL + path)
    return Told(title=notice.get_kind_display())


_ENDED = {
    Notice.Kind.SUCCEEDED.value: gettext_lazy("Your video is done: %(prompt)s"),
    Notice.Kind.FAILED.value: gettext_lazy("Your video failed: %(prompt)s"),
    Notice.Kind.CANCELLED.value: gettext_lazy("Your video was cancelled: %(prompt)s"),
}


def _video(notice: Notice) -> Told:
    data = notice.data
    path = reverse("job", args=[data["job_id"]])
    poster = reverse("job_media", args=[data["job_id"], "poster"])
    return Told(
        title=_ENDED[notice.kind] % {"prompt": _short(data["prompt"])},
        text=_(data["error"]["message"]) if data.get("error") else "",
        path=path,
        url=settings.SITE_URL + path,
        poster_url=settings.SITE_URL + poster if notice.kind == Notice.Kind.SUCCEEDED else "",
    )


_ABOUT_RIGHTS: dict[str, tuple[Any, Any]] = {
    Notice.Kind.HIDDEN.value: (
        gettext_lazy("A video of yours was hidden after a report"),
        gettext_lazy("Nobody can see it until we have looked at it. Reference: %(reference)s."),
    ),
    Notice.Kind.REMOVED.value: (
        gettext_lazy("A video of yours was taken down"),
        gettext_lazy("We looked at a report and deleted its files. Reference: %(reference)s."),
    ),
    Notice.Kind.SHOWN.value: (
        gettext_lazy("A hidden video of yours is shown again"),
        gettext_lazy("We looked at the report and changed nothing. Reference: %(reference)s."),
    ),
}


def _rights(notice: Notice) -> Told:
    title, text = _ABOUT_RIGHTS[notice.kind]
    job_id = notice.data.get("job_id") if notice.kind != Notice.Kind.REMOVED else None
    path = reverse("job", args=[job_id]) if job_id else ""
    text = text % {"reference": notice.data.get("reference", "")}
    return Told(title=str(title), text=text, path=path, url=settings.SITE_URL + path if path else "")


def _budget(notice: Notice) -> Told:
    data = notice.data
    title, words = _NEARLY_USED[data["scope"], data["period"]]
    text = words % {"used": f"{data['used_usd']:.2f}", "cap": f"{data['cap_usd']:.2f}"}
    path = reverse("settings")
    return Told(title=str(title), text=text, path=path, url=settings.SITE_URL + path)


_TODAY = gettext_lazy("$%(used)s of $%(cap)s are spent or promised today.")
_THIS_MONTH = gettext_lazy("$%(used)s of $%(cap)s are spent or promised this month.")
_NEARLY_USED = {
    ("person", "day"): (gettext_lazy("Your budget for today is nearly used up"), _TODAY),
    ("person", "month"): (gettext_lazy("Your budget for this month is nearly used up"), _THIS_MONTH),
    ("site", "day"): (gettext_lazy("The site's budget for today is nearly used up"), _TODAY),
    ("site", "month"): (gettext_lazy("The site's budget for this month is nearly used up"), _THIS_MONTH),
}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= PROMPT_CHARS else line[: PROMPT_CHARS - 1].rstrip() + "…"
