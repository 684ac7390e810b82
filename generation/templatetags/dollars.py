"""US dollars as people read them."""

from decimal import ROUND_HALF_UP, Decimal

from django import template

register = template.Library()
CENTS, PARTS = Decimal("0.01"), Decimal("0.0001")
LEAST = "<$0.0001"


@register.filter
def dollars(usd: Decimal | float | None) -> str:
    """ "$0.0312", "$1.50", "$12,345.00", "-$0.0400"; "$0.00" for nothing, "" for None. Never scientific."""
    if usd is None or usd == "":
        return ""
    exact = Decimal(str(usd))
    size = abs(exact)
    sign = "-" if exact < 0 else ""
    if not size:
        return "$0.00"
    if size < PARTS / 2:
        return LEAST if exact > 0 else "-" + LEAST.removeprefix("<")
    # What rounds up to a dollar is written as one.
    small = size.quantize(PARTS, ROUND_HALF_UP) < 1
    return f"{sign}${size.quantize(PARTS if small else CENTS, ROUND_HALF_UP):,f}"
