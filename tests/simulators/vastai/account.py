"""Credit, charges, logs, templates and the small calls around them."""

import json
from typing import Any

from tests.simulators.clock import DAY
from tests.simulators.swarmui.messages import JsonObject, Response, text_response
from tests.simulators.vastai.calls import Call, RefusedError, routes
from tests.simulators.vastai.contracts import filtered
from tests.simulators.vastai.inventory import GPUS
from tests.simulators.vastai.world import World

MAX_CHARGES = 500
COMMANDS = ("ls", "rm", "du")


@routes.add("gpu_names", "GET", "v0/gpu_names/unique", scope="misc", needs_key=False)
def gpu_names(call: Call) -> JsonObject:
    return {"gpu_names": [gpu.name for gpu in GPUS]}


@routes.add("user", "GET", "v0/users/current", scope="user_read")
def current_user(call: Call) -> JsonObject:
    credit = call.world.ledger.credit
    return {
        "id": 4711,
        "email": "renter@example.test",
        "username": "renter",
        "fullname": "A Renter",
        "credit": credit,
        "balance": 0.0,
        "balance_threshold": 0.0,
        "balance_threshold_enabled": False,
        "billed_expected": call.world.ledger.paid,
        "billed_verified": call.world.ledger.paid,
        "can_pay": True,
        "has_billing": True,
        "paid_expected": 0.0,
        "paid_verified": 0.0,
        "ssh_key": None,
        "host_agreement_accepted": False,
        "tfa_status": "disabled",
        "sid": "sim",
    }


@routes.add("subaccounts", "GET", "v0/subaccounts", scope="user_read")
def subaccounts(call: Call) -> JsonObject:
    return {"users": []}


@routes.add("charges", "GET", "v0/charges", scope="billing_read", interval_s=1.0)
def charges(call: Call) -> JsonObject:
    """One row per contract and day, rounded to a tenth of a cent."""
    day = call.query_json("select_filters", {}).get("day", {})
    if "gte" not in day or "lte" not in day:
        raise RefusedError(400, "invalid_args", "select_filters.day needs gte and lte")
    rows = charge_rows(call.world, float(day["gte"]), float(day["lte"]))
    rows.sort(key=lambda row: row["start"], reverse=call.request.query.get("latest_first") == "true")
    limit = min(int(call.request.query.get("limit") or 50), MAX_CHARGES)
    start = int(call.request.query.get("after_token") or 0)
    more = start + limit < len(rows)
    return {
        "success": True,
        "count": len(rows[start : start + limit]),
        "total": len(rows),
        "next_token": str(start + limit) if more else None,
        "results": rows[start : start + limit],
    }


def charge_rows(world: World, since: float, until: float) -> list[dict[str, Any]]:
    """From the ledger; with `charges_lag_seconds` a day is shown that long after its end, and none before."""
    rows = []
    for number, meter in world.ledger.meters.items():
        for day, items in sorted(meter.days.items()):
            lag = world.script.charges_lag_seconds
            known = not lag or world.now - (day + 1) * DAY >= lag
            if known and since < (day + 1) * DAY and until >= day * DAY:
                rows.append(_charge(world, number, day, items))
    return rows


def _charge(world: World, number: int, day: int, items: dict[str, float]) -> dict[str, Any]:
    instance = world.instances[number]
    names = {"gpu": "GPU", "disk": "Storage", "bwd": "Download", "bwu": "Upload"}
    return {
        "start": max(day * DAY, instance.created_at),
        "end": min((day + 1) * DAY, world.now, instance.destroyed_at or world.now),
        "type": "instance",
        "source": f"instance-{number}",
        "description": f"Instance {number}",
        "amount": round(sum(items.values()), 3),
        "metadata": {"label": instance.label, "template_id": None, "machine_id": instance.ask.machine.id},
        "items": [
            {"type": item, "amount": round(amount, 3), "description": names[item]} for item, amount in items.items()
        ],
    }


@routes.add("invoices", "GET", "v1/invoices", scope="billing_read", interval_s=3.0)
def invoices(call: Call) -> JsonObject:
    if not call.query_json("select_filters", {}).get("when"):
        return {"success": False, "error": "invalid_args", "msg": "select_filters.when is required"}
    row = {"type": "credit", "amount": call.world.ledger.granted, "description": "Prepaid credit"}
    return {"success": True, "count": 1, "total": 1, "next_token": None, "results": [row]}


@routes.add("templates", "GET", "v0/template", scope="user_read", interval_s=3.0)
def show_templates(call: Call) -> JsonObject:
    rows = filtered(call.world.templates, call.query_json("select_filters", {}))
    return {"success": True, "templates_found": len(rows), "templates": rows}


@routes.add("template_create", "POST", "v0/template", scope="user_write", interval_s=3.0)
def create_template(call: Call) -> JsonObject:
    wanted = call.body()
    if "docker_login_repo" not in wanted:
        raise RefusedError(400, "invalid_args", "docker_login_repo is required")
    env = docker_flags(str(wanted.get("env", "")))
    call.world.publish_template(**wanted, env_map=env)
    return {"success": True, "template": call.world.templates[-1]}


def docker_flags(text: str) -> dict[str, str]:
    """`-p 1:1 -e A=b` as the map that create takes."""
    env: dict[str, str] = {}
    words = iter(text.split())
    for word in words:
        if word in ("-p", "-h"):
            env[f"{word} {next(words, '')}"] = "1"
        elif word == "-e":
            name, _, value = next(words, "").partition("=")
            env[name] = value.strip("\"'")
    return env


@routes.add("logs", "PUT", "v0/instances/request_logs/{}", scope="instance_read", interval_s=1.0)
def request_logs(call: Call) -> JsonObject:
    """Answers where the log will be; it is not there at once."""
    instance, body = call.instance(), call.body()
    lines = instance.log
    if str(body.get("daemon_logs", "")).lower() == "true":
        lines = [(at, f"daemon: {state}") for at, state in instance.history]
    texts = [text for _, text in lines if str(body.get("filter", "")) in text]
    tail = int(body.get("tail") or 1000)
    url = call.world.new_log("\n".join(texts[-tail:] if tail else []) + "\n")
    if call.fault == "no_result":
        url += ".never"
    return {"success": True, "result_url": url, "msg": "Logs will be available at result_url"}


def stored_log(world: World, path: str) -> Response:
    """A log by its secret address, without a key; 404 for the first looks."""
    entry = world.logs.get(path.removeprefix("/instance_logs/").removesuffix(".log"))
    if entry is None or entry[0] > 0:
        if entry is not None:
            entry[0] -= 1
        return text_response(404, "<Error><Code>NoSuchKey</Code></Error>", "application/xml")
    return text_response(200, entry[1])


@routes.add("command", "PUT", "v0/instances/command/{}", scope="instance_write", interval_s=1.5)
def execute(call: Call) -> JsonObject:
    command = str(call.body().get("command", ""))
    if command.partition(" ")[0] not in COMMANDS:
        raise RefusedError(400, "invalid_args", "only ls, rm and du")
    call.instance()
    return {"success": True, "result_url": call.world.new_log(json.dumps(command)), "writeable_path": "/workspace"}
