"""From fal's answer to a result: where the video is, what was really used, and what it costs."""

import time
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from generation.engines.base import ProviderRef, RenderRequest, RenderResult
from generation.engines.fal_client import Answer, FalClient, FalUnreachable, Hosts
from generation.engines.fal_errors import units_of
from generation.engines.fal_messages import BadAnswer, Video, decimal_of, unit_price_of, video_of
from generation.engines.fal_request import asked

PRICE_FRESH_S = 3600
SMALLEST = Decimal("0.000001")


class Prices:
    """What one billable unit of an endpoint costs, asked once an hour."""

    def __init__(self, client: FalClient) -> None:
        self._client = client
        self._known: dict[str, tuple[float, Decimal | None]] = {}

    async def of(self, endpoint: str) -> Decimal | None:
        """US dollars; None when fal does not say."""
        asked_at, price = self._known.get(endpoint, (-PRICE_FRESH_S, None))
        if time.monotonic() - asked_at < PRICE_FRESH_S:
            return price
        try:
            answer = await self._client.prices(endpoint)
            price = unit_price_of(answer.json(), endpoint) if answer.is_good else None
        except (FalUnreachable, BadAnswer):
            price = None
        self._known[endpoint] = (time.monotonic(), price)
        return price


async def result_of(
    answer: Answer, request: RenderRequest, ref: ProviderRef, *, hosts: Hosts, prices: Prices
) -> RenderResult:
    """Raises BadAnswer without a video, FalHostRefused for one that is elsewhere."""
    video = video_of(answer.json())
    url = hosts.check(video.url)
    units = decimal_of(units_of(answer))
    price = await prices.of(request.endpoint) if units is not None else None
    cost = None if units is None or price is None else (units * price).quantize(SMALLEST, rounding=ROUND_HALF_UP)
    drift = _drift(request, video)
    metadata: dict[str, Any] = {"fal": video.said, "request_id": ref["request_id"], "drift": list(drift)}
    if units is not None:
        metadata["billable_units"] = str(units)
    if video.prompt is not None:
        metadata["prompt"] = video.prompt
    return RenderResult(
        ref={"url": url, "endpoint": ref["endpoint"], "request_id": ref["request_id"]},
        seed=request.seed if video.seed is None else video.seed,
        metadata=metadata,
        cost_usd=cost,
        prompt=video.prompt,
        drift=drift,
    )


def _drift(request: RenderRequest, video: Video) -> tuple[str, ...]:
    """What the answer itself shows to have been ignored: fields that come back with another value than was sent."""
    sent: Mapping[str, Any] = asked(request, "").fields
    found = []
    if "seed" in sent and video.seed is not None and video.seed != request.seed:
        found.append(f"Seed {request.seed} was asked for; {video.seed} was used.")
    if video.prompt is not None and video.prompt.strip() != request.prompt.strip():
        found.append("fal.ai rewrote the prompt.")
    for name, value in sent.items():
        echoed = video.said.get(name)
        if name in ("seed", "prompt", "actual_prompt") or echoed is None or isinstance(value, dict | list):
            continue
        if str(echoed) != str(value) and not _same_number(echoed, value):
            found.append(f"{name} {str(value)[:60]} was asked for; {str(echoed)[:60]} was used.")
    return tuple(found)


def _same_number(one: object, other: object) -> bool:
    first, second = decimal_of(one), decimal_of(other)
    return first is not None and first == second
