"""Showing, labelling, stopping, starting and destroying instances."""

import base64
from collections import Counter
from typing import Any

from tests.simulators.swarmui.messages import JsonObject, Response
from tests.simulators.vastai.calls import Call, RefusedError, routes
from tests.simulators.vastai.instance import Instance, shown
from tests.simulators.vastai.search import OPS, ordered
from tests.simulators.vastai.world import QUEUED, World

MAX_LABEL = 1024
SMALL_PAGE = 5
STILL_LISTED_SECONDS = 60.0
COMPUTED = ("dph_total", "num_gpus", "duration", "uptime_mins")


@routes.add("list", "GET", "v1/instances", scope="instance_read", interval_s=1.0)
def list_instances(call: Call) -> JsonObject:
    """A page by cursor. The count and the labels are those of everything that matches."""
    query = call.request.query
    rows = filtered(_readable(call.world), call.query_json("select_filters", {}))
    rows = ordered(rows, _order(call.query_json("order_by", [])))
    if call.fault == "success_false":
        return {"success": False, "error": "server_error", "msg": "Could not list instances."}
    start = _cursor(call, query.get("after_token"), len(rows))
    limit = _limit(call.world, query.get("limit"))
    labels = Counter(row["label"] or "" for row in rows)
    total = len(rows)
    if call.fault.startswith("incomplete"):
        total = total if call.fault == "incomplete" else max(0, total - 1)
        rows = rows[1:]
    page = rows[start : start + limit]
    end = start if call.fault == "repeat_token" else start + limit
    more = end < len(rows)
    return {
        "success": True,
        "instances_found": len(page),
        "total_instances": total,
        "label_counts": dict(labels),
        "next_token": base64.urlsafe_b64encode(f"after {end}".encode()).decode() if more else None,
        "instances": [_columns(row, call.query_json("select_cols", None)) for row in page],
    }


@routes.add("list_v0", "GET", "v0/instances", scope="instance_read", interval_s=1.0)
def list_instances_v0(call: Call) -> JsonObject:
    rows = _readable(call.world)
    return {"instances_found": len(rows), "instances": rows}


@routes.add("filters", "GET", "v0/instances/filters", scope="instance_read")
def instance_filters(call: Call) -> JsonObject:
    names = ("actual_status", "verification", "gpu_name")
    kinds = {tuple(row[name] for name in names) for row in _readable(call.world)}
    return {"success": True, "filters": [dict(zip(names, kind, strict=True)) for kind in sorted(kinds, key=str)]}


@routes.add("show", "GET", "v0/instances/{}", scope="instance_read", interval_s=2.0)
def show_instance(call: Call) -> Response | JsonObject:
    world, script = call.world, call.world.script
    world.count_read()
    instance = world.instances.get(int(call.groups[0]))
    seen = instance is not None and world.readable(instance) and call.fault != "null"
    if not seen or instance is None or call.fault == "404":
        if script.gone_answer == "404" or call.fault == "404":
            raise RefusedError(404, "no_such_instance", f"error 404/3603: no such instance {call.groups[0]}.")
        return {"instances": None}
    record = shown(instance, now=world.now, host=world.host, script=script, by_id=True)
    as_list = script.show_as_list or call.fault == "one_in_list"
    return {"instances": [record] if as_list else record}


@routes.add("state", "PUT", "v0/instances/{}", scope="instance_write", interval_s=1.0, own_key=True)
def change_instance(call: Call) -> JsonObject:
    """Label, stop or start: whatever key the body has."""
    instance, body = call.instance(), call.body()
    if "label" in body:
        _not_for_machines(call)
        if len(str(body["label"])) > MAX_LABEL:
            raise RefusedError(400, "label_too_long", "label is limited to 1024 characters")
        instance.label = str(body["label"]) or None
    if "state" not in body:
        return {"success": True}
    if body["state"] == "stopped":
        call.world.life.stop(instance)
        return {"success": True}
    if body["state"] != "running":
        raise RefusedError(400, "invalid_args", f"unknown state {body['state']}")
    started = call.world.life.start(instance, queue=call.fault == "queued")
    return {"success": True} if started else {"success": False, "error": "resources_unavailable", "msg": QUEUED}


@routes.add("state_bulk", "PUT", "v0/instances", scope="instance_write", interval_s=1.0)
def change_instances(call: Call) -> JsonObject:
    body = call.body()
    for number in body.get("ids", []):
        instance = call.world.instances.get(int(number))
        if instance and instance.alive:
            act = call.world.life.stop if body.get("state") == "stopped" else call.world.life.start
            act(instance)
    return {"success": True}


@routes.add("reboot", "PUT", "v0/instances/reboot/{}", scope="instance_write", interval_s=1.0)
async def reboot_instance(call: Call) -> JsonObject:
    await call.world.life.reboot(_running(call))
    return {"success": True}


@routes.add("recycle", "PUT", "v0/instances/recycle/{}", scope="instance_write", interval_s=1.0)
async def recycle_instance(call: Call) -> JsonObject:
    await call.world.life.reboot(_running(call), "recycling")
    return {"success": True}


@routes.add("bid", "PUT", "v0/instances/bid_price/{}", scope="instance_write", interval_s=5.5)
def change_bid(call: Call) -> JsonObject:
    instance, price = call.instance(), call.body().get("price")
    if instance.bid is None:
        raise RefusedError(400, "invalid_request", "not an interruptible instance")
    instance.bid = float(price) if price is not None else float(instance.terms["min_bid"])
    call.world.set_rates(instance)
    return {"success": True}


@routes.add("destroy", "DELETE", "v0/instances/{}", scope="instance_write", interval_s=3.0, own_key=True)
def destroy_instance(call: Call) -> JsonObject:
    """The second time is a 404."""
    instance = call.instance()
    if call.fault == "success_false":
        return {"success": False, "error": "server_error", "msg": "Could not destroy the instance, try again."}
    if call.fault != "ignored":
        _destroy(call, instance)
    if call.fault == "still_listed":
        lag = call.world.script.destroy_lag_seconds or STILL_LISTED_SECONDS
        instance.listed_until = call.world.now + lag
    return {"success": True}


@routes.add("destroy_bulk", "DELETE", "v0/instances", scope="instance_write", interval_s=3.0)
def destroy_instances(call: Call) -> JsonObject:
    for number in call.body().get("instance_ids", []):
        instance = call.world.instances.get(int(number))
        if instance:
            _destroy(call, instance)
    return {"success": True}


def _destroy(call: Call, instance: Instance) -> None:
    call.world.life.destroy(instance, by="its own key" if call.owner else "account")


def _running(call: Call) -> Instance:
    instance = call.instance()
    if instance.actual_status != "running":
        raise RefusedError(400, "invalid_id", f"instance {instance.id} is not running")
    return instance


def _not_for_machines(call: Call) -> None:
    if call.owner is not None:
        raise RefusedError(403, "auth_error", "This key may only start, stop and destroy its instance.")


def _readable(world: World) -> list[dict[str, Any]]:
    world.count_read()
    seen = [instance for instance in world.instances.values() if world.readable(instance)]
    return [shown(instance, now=world.now, host=world.host, script=world.script) for instance in seen]


def filtered(rows: list[dict[str, Any]], filters: dict[str, Any]) -> list[dict[str, Any]]:
    """By stored columns; computed ones are refused."""
    for column, conditions in filters.items():
        if column in COMPUTED:
            raise RefusedError(400, "invalid_request", f"cannot filter by {column}")
        for op, wanted in conditions.items():
            if op not in OPS:
                raise RefusedError(400, "invalid_request", f"unknown operator {op}")
            rows = [row for row in rows if _row_matches(row.get(column), op, wanted)]
    return rows


def _row_matches(value: Any, op: str, wanted: Any) -> bool:
    try:
        return OPS[op](value, wanted)
    except TypeError:
        return False


def _order(order_by: Any) -> list[list[str]]:
    return [[pair["col"], pair.get("dir", "asc")] for pair in order_by] or [["id", "asc"]]


def _limit(world: World, text: str | None) -> int:
    limit = int(text) if text else world.script.page_limit
    return SMALL_PAGE if limit <= 0 else min(limit, world.script.page_limit)


def _cursor(call: Call, token: str | None, length: int) -> int:
    if not token and call.fault != "bad_token":
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token or "").decode().partition(" ")
        start = int(number)
    except ValueError:
        start, word = -1, ""
    if word != "after" or not 0 <= start <= length or call.fault == "bad_token":
        raise RefusedError(400, "invalid_token", "invalid after_token")
    return start


def _columns(row: dict[str, Any], wanted: Any) -> dict[str, Any]:
    if not wanted or "*" in wanted:
        return row
    return {name: row.get(name) for name in wanted}
