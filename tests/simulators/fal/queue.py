"""queue.fal.run: submit, status, result, cancel."""

import json
from typing import Any

from tests.simulators.fal.errors import LOCKED, RefusedError, refused
from tests.simulators.fal.jobs import COMPLETED, IN_PROGRESS, IN_QUEUE, Job
from tests.simulators.fal.world import World
from tests.simulators.swarmui.messages import JsonObject, Request, Response, json_response

NAMESPACES = ("workflows", "comfy")
NOT_READY = "Request is still in progress"


def submit(world: World, request: Request, fault: str) -> Response:
    """POST /{endpoint_id}"""
    endpoint_id = request.path.strip("/")
    given = _body(request)
    _admit(world, endpoint_id, given)
    job = world.accept(endpoint_id, given, webhook=request.query.get("fal_webhook", ""), headers=request.headers)
    answer = {"status": IN_QUEUE, "request_id": job.id, **addresses(world, job), "queue_position": world.position(job)}
    if fault == "no_request_id":
        answer = {"status": IN_QUEUE}
    if fault == "foreign_urls":
        answer |= {name: "https://fal.example.com/" + name for name in addresses(world, job)}
    return _with(json_response(200, answer), {"x-fal-request-id": job.id})


def _body(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(request.body or b"{}")
    except ValueError:
        raise refused(400, "Invalid JSON in the request body") from None
    if not isinstance(given, dict):
        raise refused(400, "The request body must be a JSON object")
    return given


def _admit(world: World, endpoint_id: str, given: dict[str, Any]) -> None:
    """Raises RefusedError when the account or the endpoint does not allow it."""
    script = world.script
    if endpoint_id in script.unknown_apps or "/" not in endpoint_id:
        raise refused(404, f'Application "{endpoint_id}" not found')
    if world.book.balance <= 0:
        raise refused(403, LOCKED)
    if script.max_open and len(world.book.open()) >= script.max_open:
        raise too_many(world)
    problems = world.catalogue.find(endpoint_id).problems(given) if script.validate_at_submit else []
    if problems:
        raise RefusedError(422, {"detail": problems}, x_fal_retryable="false")


def too_many(world: World) -> RefusedError:
    return refused(429, "Concurrent requests limit exceeded", retry_after=str(world.script.retry_after))


def status(world: World, request: Request, fault: str) -> Response:
    """GET /{app}/requests/{id}/status: 202 until it is over, then 200."""
    job = _job(world, request, "/status")
    word = {"says_queued": IN_QUEUE, "says_progress": IN_PROGRESS, "unknown_word": "ARCHIVED"}.get(fault, job.status)
    told: JsonObject = {"status": word, "request_id": job.id, **addresses(world, job)}
    if word == IN_QUEUE:
        told["queue_position"] = world.position(job)
    else:
        told["logs"] = job.logs(world.now) if _wants(request, "logs") else None
    if word == COMPLETED:
        told["metrics"] = {"inference_time": job.inference_s} if job.started_at is not None else {}
        if job.code != 200:
            told["error"] = job.error
        if job.error_type:
            told["error_type"] = job.error_type
    return json_response(200 if word == COMPLETED else 202, told)


def result(world: World, request: Request, fault: str) -> Response:
    """GET /{app}/requests/{id}: what the model answered, with its own status."""
    job = _job(world, request)
    if not job.over or fault == "not_ready":
        raise refused(400, NOT_READY)
    return _with(json_response(job.code, job.output), {"x-fal-request-id": job.id} | job.answer_headers)


def cancel(world: World, request: Request, fault: str) -> Response:
    """PUT /{app}/requests/{id}/cancel: 202 when asked in time; it may finish all the same."""
    try:
        job = _job(world, request, "/cancel")
    except RefusedError:
        return json_response(404, {"status": "NOT_FOUND"})
    if job.over or fault == "completed":
        return json_response(400, {"status": "ALREADY_COMPLETED"})
    waited = job.started_at is None
    world.cancel(job)
    if waited and world.script.cancel_says_ok:
        return json_response(200, {"status": "OK"})
    return json_response(202, {"status": "CANCELLATION_REQUESTED"})


def addresses(world: World, job: Job) -> dict[str, str]:
    base = f"{world.urls['queue']}/{app_of(job.endpoint_id)}/requests/{job.id}"
    return {"response_url": base, "status_url": base + "/status", "cancel_url": base + "/cancel"}


def app_of(endpoint_id: str) -> str:
    """Owner and alias: subpaths are for submitting only."""
    parts = endpoint_id.split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


def _job(world: World, request: Request, tail: str = "") -> Job:
    """Raises 404 for an id that the app does not have, 405 when the path holds a subpath."""
    app, _, rest = request.path.strip("/").partition("/requests/")
    job = world.book.jobs.get(rest.removesuffix(tail))
    if job is None:
        raise refused(404, "Request not found", "request_not_found")
    if app != app_of(job.endpoint_id):
        raise refused(405 if app.startswith(app_of(job.endpoint_id) + "/") else 404, "Method Not Allowed")
    return job


def _wants(request: Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true", "yes")


def _with(answer: Response, headers: dict[str, str]) -> Response:
    return Response(answer.status, answer.body, answer.headers | headers)
