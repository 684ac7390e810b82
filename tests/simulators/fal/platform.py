"""api.fal.ai/v1: the history of requests, what they cost, the price list and the balance."""

import base64
import datetime
import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

from tests.simulators.fal.errors import platform_error
from tests.simulators.fal.jobs import Job, iso
from tests.simulators.fal.world import World
from tests.simulators.swarmui.messages import JsonObject, Request, Response, json_response

DAY = 86400.0
MAX_IDS = 50
NANO = Decimal(10) ** 9
PAYLOADS = re.compile(r"/v1/models/requests/([^/]+)/payloads")


def requests_by_endpoint(world: World, request: Request) -> Response:
    """GET /v1/models/requests/by-endpoint: newest end first; a request that runs has no end and no status code."""
    ids = _ids(request)
    wanted = request.query.get("status", "")
    rows = [
        job for job in _visible(world, request) if job.endpoint_id.lower() in ids and _matches(job, request, wanted)
    ]
    rows.sort(key=lambda job: job.ended_at if job.ended_at is not None else float("inf"), reverse=True)
    payloads = "payloads" in request.query.get("expand", "")
    return json_response(200, _page(world, request, "items", [_item(job, payloads) for job in rows]))


def _item(job: Job, payloads: bool) -> JsonObject:
    item: JsonObject = {
        "request_id": job.id,
        "endpoint_id": job.endpoint_id,
        "sent_at": iso(job.accepted_at),
        "started_at": iso(job.started_at) if job.started_at is not None else None,
        "ended_at": iso(job.ended_at) if job.ended_at is not None else None,
        "status_code": job.code or None,
        "duration": job.inference_s if job.over else None,
    }
    if payloads and job.headers.get("x-fal-store-io") != "0":
        item |= {"json_input": job.given, "json_output": job.output or None}
    return item


def delete_payloads(world: World, request: Request) -> Response:
    """DELETE /v1/models/requests/{id}/payloads: what was sent and made; files that were uploaded for it stay."""
    _admin(world)
    found = PAYLOADS.fullmatch(request.path)
    job = world.book.jobs.get(found[1]) if found else None
    if job is None:
        raise platform_error(404, "not_found", "Request not found")
    job.given, job.output = {}, {}
    return json_response(200, {"cdn_delete_results": []})


def _matches(job: Job, request: Request, status: str) -> bool:
    family = {"success": (2,), "error": (5,), "user_error": (4,)}.get(status)
    return request.query.get("request_id", job.id) == job.id and (family is None or job.code // 100 in family)


def billing_events(world: World, request: Request) -> Response:
    """GET /v1/models/billing-events: one row for every charge, of all endpoints unless some are named."""
    _admin(world)
    ids = _ids(request, required=False)
    charged = [job for job in _visible(world, request) if job.billed and (not ids or job.endpoint_id.lower() in ids)]
    rows = [_event(job) for job in reversed(charged) if request.query.get("request_id", job.id) == job.id]
    return json_response(200, _page(world, request, "billing_events", rows))


def _event(job: Job) -> JsonObject:
    units = job.billed / job.endpoint.unit_price
    return {
        "request_id": job.id,
        "endpoint_id": job.endpoint_id,
        "timestamp": iso(job.ended_at or job.accepted_at),
        "output_units": float(units),
        "unit_price": float(job.endpoint.unit_price),
        "percent_discount": 0,
        "cost_total": float(job.billed),
        "cost_estimate_nano_usd": int(job.billed * NANO),
    }


def usage(world: World, request: Request) -> Response:
    """GET /v1/models/usage: per day and endpoint."""
    _admin(world)
    ids = _ids(request, required=False)
    days: dict[str, dict[str, list[Job]]] = defaultdict(lambda: defaultdict(list))
    for job in _visible(world, request):
        if job.billed and (not ids or job.endpoint_id.lower() in ids):
            days[iso(job.ended_at or 0)[:10]][job.endpoint_id].append(job)
    series = [
        {"bucket": f"{day}T00:00:00Z", "results": [_used(name, jobs) for name, jobs in sorted(rows.items())]}
        for day, rows in sorted(days.items())
    ]
    return json_response(200, {"next_cursor": None, "has_more": False, "time_series": series})


def _used(endpoint_id: str, jobs: list[Job]) -> JsonObject:
    endpoint, cost = jobs[0].endpoint, sum((job.billed for job in jobs), Decimal(0))
    return {
        "endpoint_id": endpoint_id,
        "unit": endpoint.unit,
        "quantity": float(cost / endpoint.unit_price),
        "unit_price": float(endpoint.unit_price),
        "cost": float(cost),
        "currency": "USD",
        "auth_method": "sim key",
    }


def pricing(world: World, request: Request) -> Response:
    """GET /v1/models/pricing?endpoint_id=...: 404 when one is unknown."""
    rows = []
    for name in _ids(request):
        endpoint = world.catalogue.find(name)
        if not endpoint.known:
            raise platform_error(404, "not_found", f"Endpoint not found: {name}")
        price = float(endpoint.unit_price)
        rows.append({"endpoint_id": name, "unit_price": price, "unit": endpoint.unit, "currency": "USD"})
    return json_response(200, {"prices": rows, "next_cursor": None, "has_more": False})


def billing(world: World, request: Request) -> Response:
    """GET /v1/account/billing?expand=credits"""
    _admin(world)
    told: JsonObject = {"username": "sim"}
    if "credits" in request.query.get("expand", ""):
        told["credits"] = {"current_balance": float(world.book.balance), "currency": "USD"}
    return json_response(200, told)


def _admin(world: World) -> None:
    if not world.script.admin_key:
        raise platform_error(403, "authorization_error", "This endpoint requires an Admin API key.")


def _ids(request: Request, *, required: bool = True) -> list[str]:
    ids = [name.lower() for name in request.query.get("endpoint_id", "").split(",") if name]
    if (required and not ids) or len(ids) > MAX_IDS:
        raise platform_error(400, "validation_error", "endpoint_id: 1 to 50 ids are required")
    return ids


def _visible(world: World, request: Request) -> list[Job]:
    """In the time asked for: by default a day, 90 with a request id."""
    days = 90 if "request_id" in request.query else 1
    start = _moment(request.query.get("start", ""), world.now - days * DAY)
    end = _moment(request.query.get("end", ""), world.now + 1)
    latest = world.now - world.script.history_lag_seconds
    return [job for job in world.book if start <= job.accepted_at < end and (job.ended_at or job.accepted_at) <= latest]


def _moment(text: str, default: float) -> float:
    if not text:
        return default
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise platform_error(400, "validation_error", f"not a time: {text}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _page(world: World, request: Request, name: str, rows: list[JsonObject]) -> JsonObject:
    """The rows behind the cursor, which holds the number of the page."""
    limit = min(int(request.query.get("limit") or world.script.page_limit), 100, world.script.page_limit)
    cursor = request.query.get("cursor", "")
    page: Any = json.loads(base64.urlsafe_b64decode(cursor))["page"] if cursor else 0
    shown, more = rows[page * limit : (page + 1) * limit], len(rows) > (page + 1) * limit
    following = base64.urlsafe_b64encode(json.dumps({"page": page + 1}).encode()).decode() if more else None
    return {name: shown, "next_cursor": following, "has_more": more}
