"""Searching offers and making a contract."""

import json
from typing import Any

from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.vastai.calls import Call, RefusedError, routes
from tests.simulators.vastai.inventory import Ask
from tests.simulators.vastai.search import BadSearchError, matches, ordered
from tests.simulators.vastai.world import World

DEFAULT_DISK_GB = 8.0
MAX_LABEL, MAX_ONSTART, MAX_ENV, MAX_ENV_KEY, MAX_PORTS = 256, 16 * 1024, 32768, 256, 64
MIN_DISK_GB = 8.0


@routes.add("search", "POST", "v0/bundles", scope="misc", interval_s=6.0, needs_key=False)
def search_offers(call: Call) -> JsonObject:
    return {"offers": found(call.world, call.body())}


@routes.add("search", "GET", "v0/bundles", scope="misc", interval_s=6.0, needs_key=False)
def search_offers_old(call: Call) -> JsonObject:
    return {"offers": found(call.world, call.query_json("q", {}))}


@routes.add("search", "PUT", "v0/search/asks", scope="misc", interval_s=6.0)
def search_asks(call: Call) -> JsonObject:
    return {"offers": found(call.world, call.body().get("q") or {})}


def found(world: World, query: JsonObject) -> list[dict[str, Any]]:
    """At most 64, whatever `limit` says; some of them gone already, when the script wants that."""
    script = world.script
    disk = float(query.get("allocated_storage") or DEFAULT_DISK_GB)
    bid = query.get("type") in ("bid", "interruptible")
    asks = [ask for ask in world.inventory.asks.values() if not ask.gone]
    offers = [world.offer(ask, disk_gb=disk, bid=bid) for ask in asks]
    try:
        offers = [offer for offer in offers if matches(offer, query, ignored=script.filters_ignored)]
    except BadSearchError as exc:
        raise RefusedError(400, "invalid_args", f"error 400/3570: {exc}") from None
    limit = min(int(query.get("limit") or script.offers_cap), script.offers_cap)
    shown = ordered(offers, query.get("order"))[:limit]
    for offer in shown:
        if script.stale_offers and world.random.random() < script.stale_offers:
            world.inventory.asks[offer["id"]].gone = True
    return shown


@routes.add("create", "PUT", "v0/asks/{}", scope="instance_write", interval_s=4.5)
def create_instance(call: Call) -> JsonObject:
    """Make the contract. Every documented refusal is here, or scripted as a fault."""
    world, wanted = call.world, call.body()
    _refuse_scripted(call)
    template = _template(world, wanted)
    ask = world.inventory.asks.get(int(call.groups[0]))
    if ask is None or ask.gone:
        raise no_such_ask(call.groups[0])
    _check(wanted)
    bid = _price(wanted)
    if not ask.on_market:
        raise RefusedError(
            410, "no_such_ask", f"error 410/3601: no_such_ask Instance type by id {ask.id} is not available."
        )
    _check_money(world, ask, disk_gb=_disk(wanted), bid=bid)
    if call.fault == "phantom":
        return {"success": True, "new_contract": world.next_id + 500000, "instance_api_key": "0" * 48}
    too_low = call.fault == "bid_too_low" or (
        bid is not None and bid < world.offer(ask, disk_gb=8, bid=True)["min_bid"]
    )
    instance = world.rent(
        ask, disk_gb=_disk(wanted), bid=bid, stopped=too_low or wanted.get("target_state") == "stopped",
        **_contents(world, wanted, template),
    )  # fmt: skip
    answer = {"new_contract": instance.id, "instance_api_key": instance.api_key}
    if too_low:
        return {"success": False, "error": "bid_too_low", "msg": "Your bid is below the minimum."} | answer
    return {"success": True} | answer


def _refuse_scripted(call: Call) -> None:
    ask_id, script = call.groups[0], call.world.script
    if call.fault == "no_such_ask_404":
        raise no_such_ask(ask_id)
    text = f"no_such_ask Instance type by id {ask_id} is not available."
    refusals = {
        "no_such_ask_410": (410, "no_such_ask", f"error 410/3601: {text}"),
        "no_such_ask_400": (400, "no_such_ask", f"error 400/3600: {text}"),
        "gone_409": (409, "conflict", f"Offer {ask_id} is no longer available."),
        "insufficient_credit": (script.insufficient_credit_status, "insufficient_credit", "Your account lacks credit."),
        "spend_rate_limit": (400, "spend_rate_limit", "Your spend rate limit would be exceeded."),
        "server_error": (500, "server_error", "error 500/3610: server_error"),
        "success_false": (200, "invalid_state", "The account cannot rent at the moment."),
    }
    if call.fault in refusals:
        raise RefusedError(*refusals[call.fault])


def no_such_ask(ask_id: str) -> RefusedError:
    # The code stands in msg; `error` says invalid_args.
    text = f"error 404/3603: no_such_ask Instance type by id {ask_id} is not available."
    return RefusedError(404, "invalid_args", text)


def _template(world: World, wanted: JsonObject) -> dict[str, Any]:
    hash_id = wanted.get("template_hash_id")
    if not hash_id:
        if not wanted.get("image"):
            raise RefusedError(400, "invalid_args", "error 400/3571: image or template_hash_id is required")
        return {}
    for template in world.templates:
        if template["hash_id"] == hash_id:
            return template
    raise RefusedError(404, "invalid_args", f"error 404/3580: no such template {hash_id}")


def _check(wanted: JsonObject) -> None:
    env = wanted.get("env")
    keys = list(env) if isinstance(env, dict) else []
    problems = (
        ("invalid_args", "disk must be at least 8 GB", _disk(wanted) < MIN_DISK_GB),
        ("label_too_long", "label is limited to 256 characters", len(str(wanted.get("label", ""))) > MAX_LABEL),
        ("invalid_args", "onstart is too long", len(str(wanted.get("onstart", ""))) > MAX_ONSTART),
        ("invalid_args", "env is too long", len(json.dumps(env)) > MAX_ENV),
        ("invalid_args", "an env key is too long", any(len(key) > MAX_ENV_KEY for key in keys)),
        ("invalid_args", "at most 64 ports", sum(key.startswith("-p ") for key in keys) > MAX_PORTS),
    )
    for code, msg, wrong in problems:
        if wrong:
            raise RefusedError(400, code, f"error 400/3572: {msg}")


def _disk(wanted: JsonObject) -> float:
    try:
        return float(wanted.get("disk", DEFAULT_DISK_GB))
    except (TypeError, ValueError):
        raise RefusedError(400, "invalid_args", "error 400/3573: disk is not a number") from None


def _price(wanted: JsonObject) -> float | None:
    price = wanted.get("price")
    if price is None:
        return None
    if not isinstance(price, int | float) or not 0.001 <= price <= 128:
        raise RefusedError(400, "invalid_price", "error 400/3574: price must be between 0.001 and 128")
    return float(price)


def _check_money(world: World, ask: Ask, *, disk_gb: float, bid: float | None) -> None:
    script = world.script
    if world.ledger.credit < script.min_credit_to_rent:
        status = script.insufficient_credit_status
        raise RefusedError(status, "insufficient_credit", "Your account lacks credit; see the billing page.")
    rate = (bid or 0.0) or world.offer(ask, disk_gb=disk_gb)["dph_total"]
    if script.spend_limit_per_hour and world.burn_per_hour() + rate > script.spend_limit_per_hour:
        raise RefusedError(400, "spend_rate_limit", "Your spend rate limit would be exceeded.")


def _contents(world: World, wanted: JsonObject, template: dict[str, Any]) -> dict[str, Any]:
    """What runs in the instance: the template's values under those of the request; env merges by key."""
    env = dict(template.get("env_map", {}))
    # A string of docker flags is documented and not applied (observed).
    if isinstance(wanted.get("env"), dict):
        env |= {str(key): str(value) for key, value in wanted["env"].items()}
    args = wanted.get("args") or []
    runtype = wanted.get("runtype") or template.get("runtype") or ("args" if args else "ssh")
    return {
        "image": str(wanted.get("image") or f"{template.get('image', '')}:{template.get('tag', 'latest')}"),
        "label": str(wanted["label"]) if wanted.get("label") and world.script.label_at_create else None,
        "env": env,
        "onstart": wanted.get("onstart") or template.get("onstart"),
        "runtype": str(runtype),
        "args": [str(arg) for arg in args],
        "template_hash": template.get("hash_id"),
    }
