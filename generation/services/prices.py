"""What a video costs in the cloud, by the catalogue's prices, and whether the cloud may be used at all."""

import re
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from django.conf import settings

from generation.engines.fal_request import nearest_tier, problems, seconds_sent
from generation.models import PriceUnit, Provider, VideoModel

SMALLEST = Decimal("0.000001")
MILLION = 1_000_000


def price_of(model: VideoModel, *, width: int, height: int, frames: int, fps: int) -> Decimal:
    """US dollars that the provider takes for one video; 0 where nothing is paid per video. Pure."""
    if model.provider != Provider.FAL or model.price_usd is None:
        return Decimal(0)
    unit = _unit_price(model, width=width, height=height)
    units = _units(model, width=width, height=height, frames=frames, fps=fps)
    return (unit * units).quantize(SMALLEST, rounding=ROUND_UP)


def _unit_price(model: VideoModel, *, width: int, height: int) -> Decimal:
    tiers: Mapping[str, Any] = model.price_by_resolution or {}
    tier = nearest_tier(tiers, width=width, height=height)
    return Decimal(str(model.price_usd if tier is None else tiers[tier]))


def _units(model: VideoModel, *, width: int, height: int, frames: int, fps: int) -> Decimal:
    if model.price_unit == PriceUnit.MEGAPIXEL:
        return Decimal(width * height * frames) / MILLION
    if model.price_unit == PriceUnit.SECOND:
        # Some count a second as so many frames, whatever speed they are shown at.
        seconds = seconds_sent(model.parameters, frames=frames, fps=model.parameters.get("priced_at_fps") or fps)
        return Decimal(seconds.numerator) / seconds.denominator
    return Decimal(1)


def fal_ready() -> bool:
    """Whether videos may be sent to fal.ai: a key is set."""
    return bool(settings.FAL_KEY)


def runs_in_the_cloud(model: VideoModel) -> bool:
    """Whether a row of fal.ai can be used now: there is a key, and its parameters make sense."""
    return model.provider == Provider.FAL and fal_ready() and not problems(model.parameters)


def problems_of(parameters: object) -> list[str]:
    """Why a row's `parameters` cannot be used, in words; nothing when they can."""
    return problems(parameters)


def are_tiers(prices: object) -> bool:
    """Whether a row's `price_by_resolution` can be used."""
    if not isinstance(prices, dict):
        return False
    return all(
        re.fullmatch(r"[0-9]{3,4}[pP]?", str(tier)) and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", str(price))
        for tier, price in prices.items()
    )
