"""Numbers as people say them, in their language."""

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from i2v_site import sentences

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """ "4 s", "1 min 10 s", "2 h 5 min"; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return _("%(seconds)s s") % {"seconds": short(seconds)}
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)s s") % {"seconds": whole}
    minutes, rest = divmod(whole, 60)
    if minutes < 60 and rest:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    return in_hours(minutes)


def in_hours(minutes: int) -> str:
    """ "45 min", "2 h", "2 h 5 min"."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return _("%(minutes)s min") % {"minutes": minutes}
    if not rest:
        return _("%(hours)s h") % {"hours": hours}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": rest}


def short(number: float) -> str:
    """ "4", "4.5", or "4,5" where the language has a comma."""
    rounded = round(number, 1)
    return number_format(rounded, 0 if rounded == int(rounded) else 1)


@register.filter
def translated(text: str | None) -> str:
    """A sentence that was stored in English, in the reader's language where it is known."""
    return sentences.translated(text or "")


@register.filter
def percent(share: float) -> int:
    """0.425 -> 42: rounded down, so that 100 % means done."""
    return int(share * 100)


@register.filter
def ordinal_in_line(position: int) -> str:
    """1 -> "Next in line", 2 -> "2nd in line"."""
    if position == 1:
        return _("Next in line")
    # English has four endings; other languages translate all four alike.
    endings = {1: _("%(number)sst in line"), 2: _("%(number)snd in line"), 3: _("%(number)srd in line")}
    last = 0 if 10 <= position % 100 <= 20 else position % 10
    return endings.get(last, _("%(number)sth in line")) % {"number": position}
