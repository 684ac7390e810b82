"""Prices and times that are only expected, as people say them: rounded, and never less than they may become."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any

from django import template

register = template.Library()
CENT = Decimal("0.01")
LESS = "less than $0.01"


@register.filter
def cents(usd: Decimal | float | None, rounding: str = ROUND_HALF_UP) -> str:
    """ "$0.03", "$12.00", "less than $0.01"; "" for nothing at all and for None. Negative amounts lose their sign."""
    size = abs(Decimal(str(usd or 0)))
    if not size:
        return ""
    return LESS if size < CENT else f"${size.quantize(CENT, rounding):,f}"


@register.filter
def exact(usd: Decimal | float | None) -> str:
    """What was really paid: "$0.0312", "$0.40", "$12.00"; "less than $0.0001"; "$0.00" for nothing."""
    amount = Decimal(str(usd or 0))
    parts = amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if amount and not parts:
        return "less than $0.0001"
    whole = parts.quantize(CENT)
    return f"${whole if whole == parts or parts >= 1 else parts:,f}"


@register.filter
def price(found: Any) -> str:
    """An estimate, or its JSON: "free", "your own server", "$0.40", "about $0.03, up to $0.05"; "" without one."""
    if not found:
        return ""
    if not _of(found, "usd_high"):
        return str(_of(found, "paid_for") or "free")
    usual, most = usual_price(found), cents(_of(found, "usd_high"), ROUND_UP)
    return usual if usual.removeprefix("about ") == most else f"{usual}, up to {most}"


@register.filter
def usual_price(found: Any) -> str:
    """The same without the upper end; "" when it is free."""
    if not found or not _of(found, "usd_high"):
        return ""
    if _of(found, "usd_basis") == "price":
        return cents(_of(found, "usd_high"), ROUND_UP)
    text = cents(_of(found, "usd")) or LESS
    return text if text == LESS else f"about {text}"


@register.filter
def roughly(seconds: float | None) -> str:
    """ "4 s", "45 s", "6 min", "1 h 10 min"; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _of(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else getattr(found, name)
