"""Filters and order of the offer search, as forgiving about types as the server is."""

import operator
from collections.abc import Callable
from typing import Any

Offer = dict[str, Any]
OPS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda value, wanted: value in wanted,
    "notin": lambda value, wanted: value not in wanted,
    "nin": lambda value, wanted: value not in wanted,
}
CONTROL = {
    *("type", "order", "limit", "allocated_storage", "target_reliability", "disable_bundling", "extra_ids"),
    *("template_id", "resource_type", "client_id", "sort_option", "q", "select_cols", "rented_by_me"),
}
ALIASES = {
    "reliability2": "reliability",
    "dphtotal": "dph_total",
    "gpu_totalram": "gpu_total_ram",
    "ubuntu_version": "os_version",
    "driver_version": "driver_vers",
    "datacenter": "hosting_type",
    "geolocation": "country_code",
}
TRUE, FALSE = ("true", "1", "1.0"), ("false", "0", "0.0", "none", "null", "")
DRIVER_PARTS = 3


class BadSearchError(ValueError):
    """The query cannot be understood: 400 invalid_args."""


def matches(offer: Offer, query: dict[str, Any], *, ignored: list[str]) -> bool:
    """Whether the offer passes all filters of the query. Raises BadSearchError for an unknown operator."""
    for field, conditions in query.items():
        if field in CONTROL or field in ignored:
            continue
        # A bare value is an equality.
        pairs = conditions if isinstance(conditions, dict) else {"eq": conditions}
        for op, wanted in pairs.items():
            if op not in OPS:
                raise BadSearchError(f"unknown operator {op!r} for {field}")
            if not _passes(offer, field, op, wanted):
                return False
    return _control_passes(offer, query)


def _control_passes(offer: Offer, query: dict[str, Any]) -> bool:
    disk, reliability = query.get("allocated_storage"), query.get("target_reliability")
    return (disk is None or offer["disk_space"] >= float(disk)) and (
        reliability is None or offer["expected_reliability"] >= float(reliability)
    )


def _passes(offer: Offer, field: str, op: str, wanted: Any) -> bool:
    if field == "id":
        return False  # observed: searching by id finds nothing; ask_contract_id does
    if field == "verified":
        field, offer = "verified", {"verified": offer["verification"] == "verified"}
    column = ALIASES.get(field, field)
    if column not in offer:
        return True  # an unknown column is no filter
    value = offer[column]
    if op in ("in", "notin", "nin"):
        options = wanted if isinstance(wanted, list) else [wanted]
        return OPS[op](_like(value, value, column), [_like(value, option, column) for option in options])
    return _compare(op, value, wanted, column)


def _compare(op: str, value: Any, wanted: Any, column: str) -> bool:
    try:
        return OPS[op](_like(value, value, column), _like(value, wanted, column))
    except (TypeError, ValueError):
        return False


def _like(value: Any, given: Any, column: str) -> Any:
    """`given` as the type of `value`: "1" is 1, "True" is True, RTX_4090 is RTX 4090."""
    if isinstance(value, bool) or value is None:
        return _boolean(given)
    if isinstance(value, int | float):
        if column == "driver_vers" and isinstance(given, str) and given.count(".") == DRIVER_PARTS - 1:
            major, minor, patch = (int(part) for part in given.split("."))
            return major * 1000000 + minor * 1000 + patch
        truth = _boolean(given) if isinstance(given, str) else given
        return float(truth if not isinstance(truth, str) else given)
    return str(given).replace("_", " ").casefold()


def _boolean(given: Any) -> Any:
    text = str(given).strip().casefold()
    return True if text in TRUE else False if text in FALSE else given


def ordered(offers: list[Offer], order: Any) -> list[Offer]:
    """By `[[field, "asc" | "desc"], ...]`; the last pair counts least."""
    for pair in reversed(order or [["score", "desc"]]):
        field, direction = (pair[0], pair[1] if len(pair) > 1 else "asc") if isinstance(pair, list) else (pair, "asc")
        name = {"dphtotal": "dph_total", "reliability2": "reliability"}.get(field, field)
        offers = sorted(offers, key=lambda offer: _sortable(offer.get(name)), reverse=direction == "desc")
    return offers


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None or isinstance(value, dict | list):
        return (0, 0)
    return (2, value) if isinstance(value, str) else (1, value)
