"""Numbers as people say them."""

from django import template

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """ "4 s", "1 min 10 s", "2 h 5 min"; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@register.filter
def percent(share: float) -> int:
    """0.425 -> 42: rounded down, so that 100 % means done."""
    return int(share * 100)


@register.filter
def ordinal_in_line(position: int) -> str:
    """1 -> "Next in line", 2 -> "2nd in line"."""
    if position == 1:
        return "Next in line"
    ending = "th" if 10 <= position % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position}{ending} in line"
