"""US dollars as people read them."""

from decimal import ROUND_HALF_UP, Decimal

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

register = template.Library()
CENTS, PARTS = Decimal("0.01"), Decimal("0.0001")


@register.filter
def dollars(usd: Decimal | float | None) -> str:
    """ "$0.0312", "$1.50", "$12,345.00", "-$0.0400"; "$0.00" for nothing, "" for None. Never scientific."""
    if usd is None or usd == "":
        return ""
    exact = Decimal(str(usd))
    size = abs(exact)
    if not size:
        return in_dollars(Decimal("0.00"))
    if size < PARTS / 2:
        return _("<%(usd)s") % {"usd": in_dollars(PARTS)} if exact > 0 else in_dollars(-PARTS)
    # What rounds up to a dollar is written as one.
    small = size.quantize(PARTS, ROUND_HALF_UP) < 1
    return in_dollars(exact.quantize(PARTS if small else CENTS, ROUND_HALF_UP))


@register.filter
def usd(amount: Decimal | float | None, places: int = 2) -> str:
    """ "$1.50" with exactly so many places; "" for None."""
    if amount is None or amount == "":
        return ""
    return in_dollars(Decimal(str(amount)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def in_dollars(usd: Decimal) -> str:
    """ "$1,234.50", or as the language writes it ("1.234,50 $"); with as many places as `usd` has."""
    places = -int(usd.as_tuple().exponent)
    amount = number_format(abs(usd), places, use_l10n=True, force_grouping=True)
    return (_("-$%(amount)s") if usd < 0 else _("$%(amount)s")) % {"amount": amount}
