"""What the OpenAPI document says about every call alike: sign-in, errors, unknown fields."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

Schema = dict[str, Any]

_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "For programs; stable."},
                "message": {"type": "string", "description": "One sentence for people."},
                "field": {"type": "string", "description": "The field that it is about."},
            },
        }
    },
}
_WHY = {
    "400": "The request is wrong; `field` says where.",
    "401": "Sign in, or send a valid token.",
    "403": "Not yours to do, or the CSRF token is missing.",
    "404": "Nothing here that you may see.",
    "406": "No answer in the wanted media type.",
    "409": "The present state does not allow it.",
    "413": "The body is too large.",
    "415": "The body's media type is not supported.",
    "429": "Too many requests; see `Retry-After`.",
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped there
    target_class = "i2v_site.api.TokenAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, _auto_schema: Any) -> Schema:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token i2v_...`: the word Token, a space, and a token made in the settings.",
        }


def refuse_unknown_fields(result: Schema, **_kwargs: Any) -> Schema:
    """Request bodies are closed: a misspelt field is a 400, never ignored."""
    schemas = result["components"].get("schemas", {})
    for operation in _operations(result):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name in schemas and schemas[name].get("type") == "object":
                schemas[name]["additionalProperties"] = False
    return result


def document_errors(result: Schema, **_kwargs: Any) -> Schema:
    """Add the answers that every call of a kind can give, in the one error shape."""
    result["components"].setdefault("schemas", {})["Error"] = _ERROR
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            for status in _possible(path, method, operation):
                content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
                operation["responses"].setdefault(status, {"description": _WHY[status], "content": content})
    return result


def _possible(path: str, method: str, operation: Schema) -> list[str]:
    statuses = ["401", "406"]
    if method != "get":
        statuses += ["400", "403", "409"]
    if method == "post":
        statuses.append("429")
    if "requestBody" in operation:
        statuses += ["413", "415"]
    if "{" in path:
        statuses.append("404")
    if any(parameter["in"] != "path" for parameter in operation.get("parameters", [])):
        statuses.append("400")
    return statuses


def _operations(result: Schema) -> list[Schema]:
    return [operation for methods in result["paths"].values() for operation in methods.values()]
