"""Asks fal.ai to delete what it keeps of a person's calls (DELETE /v1/models/requests/{id}/payloads).

That takes an admin key, and deletes what was sent as JSON and the results. The picture that was uploaded for a call
is not among it: it expires by the time limit that was sent with it.
"""

import asyncio
import logging
from typing import Any

from django.conf import settings

from generation import providers
from generation.engines.fal_client import FalUnreachable
from generation.models import Attempt, Provider

log = logging.getLogger(__name__)
# fal.ai answers in about a second; more calls than that go on in the next round.
AT_ONCE = 200
KEPT_DAYS = 30


def forget(*, person_id: int) -> dict[str, Any]:
    """Have fal.ai forget the person's calls; what it keeps all the same, {} when that is nothing. Safe to repeat."""
    sent = Attempt.objects.filter(job__owner=person_id, engine=Provider.FAL).exclude(sent_at=None)
    rows = {
        str(request_id): pk
        for pk, ref, evidence, kept in sent.values_list("pk", "provider_ref", "evidence", "engine_metadata")
        if (request_id := (ref | evidence).get("request_id")) and not kept.get("forgotten")
    }
    if not rows:
        return {}
    done = asyncio.run(_forget(list(rows)[:AT_ONCE])) if settings.FAL_KEY else set()
    for request_id in done:
        attempt = Attempt.objects.get(pk=rows[request_id])
        Attempt.objects.filter(pk=attempt.pk).update(engine_metadata=attempt.engine_metadata | {"forgotten": True})
    left = len(rows) - len(done)
    return {"calls": left, "kept_by_fal_for_days": KEPT_DAYS} if left else {}


async def _forget(request_ids: list[str]) -> set[str]:
    done: set[str] = set()
    client = providers.fal_client()
    try:
        for request_id in request_ids:
            answer = await client.forget(request_id)
            if answer.is_good or answer.status == 404:
                done.add(request_id)
            elif answer.status in (401, 403):
                log.warning("FAL_KEY is no admin key: fal.ai keeps what was sent to it for %s days", KEPT_DAYS)
                break
    except FalUnreachable:
        log.warning("fal.ai could not be reached to delete what it keeps")
    finally:
        await client.aclose()
    return done
