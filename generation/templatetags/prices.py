"""Prices and times that are only expected, as people say them: rounded, and never less than they may become."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any

from django import template
from django.utils.translation import gettext as _

from generation.templatetags.dollars import in_dollars
from generation.templatetags.words import in_hours, short

register = template.Library()
CENT = Decimal("0.01")


@register.filter
def cents(usd: Decimal | float | None, rounding: str = ROUND_HALF_UP) -> str:
    """ "$0.03", "$12.00", "less than $0.01"; "" for nothing at all and for None. Negative amounts lose their sign."""
    size = abs(Decimal(str(usd or 0)))
    if not size:
        return ""
    return _("less than $0.01") if size < CENT else in_dollars(size.quantize(CENT, rounding))


@register.filter
def exact(usd: Decimal | float | None) -> str:
    """What was really paid: "$0.0312", "$0.40", "$12.00"; "less than $0.0001"; "$0.00" for nothing."""
    amount = Decimal(str(usd or 0))
    parts = amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if amount and not parts:
        return _("less than $0.0001")
    whole = parts.quantize(CENT)
    return in_dollars(whole if whole == parts or parts >= 1 else parts)


@register.filter
def price(found: Any) -> str:
    """An estimate, or its JSON: "free", "your own server", "$0.40", "about $0.03, up to $0.05"; "" without one."""
    if not found:
        return ""
    if not _of(found, "usd_high"):
        return _(str(_of(found, "paid_for") or "free"))
    usual, most = usual_price(found), cents(_of(found, "usd_high"), ROUND_UP)
    if most in (cents(_of(found, "usd")), usual):
        return usual
    return _("%(usual)s, up to %(most)s") % {"usual": usual, "most": most}


@register.filter
def usual_price(found: Any) -> str:
    """The same without the upper end; "" when it is free."""
    if not found or not _of(found, "usd_high"):
        return ""
    if _of(found, "usd_basis") == "price":
        return cents(_of(found, "usd_high"), ROUND_UP)
    if Decimal(str(_of(found, "usd") or 0)) < CENT:
        return _("less than $0.01")
    return _("about %(price)s") % {"price": cents(_of(found, "usd"))}


@register.filter
def roughly(seconds: float | None) -> str:
    """ "4 s", "45 s", "6 min", "1 h 10 min"; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 90:
        return _("%(seconds)s s") % {"seconds": short(seconds) if seconds < 10 else round(seconds)}
    return in_hours(round(seconds / 60))


def _of(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else getattr(found, name)
