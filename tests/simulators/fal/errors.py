"""Refusals and failures in fal's words: flat for the platform's own, a list for a model's (as pydantic writes it)."""

from typing import Any

from tests.simulators.swarmui.messages import JsonObject, Response, json_response

LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
NO_KEY = "Authentication is required to access this application."
DOCS = "https://docs.fal.ai/errors"


class RefusedError(Exception):
    """An answer instead of the work."""

    def __init__(self, status: int, body: JsonObject, **headers: str) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        answer = json_response(self.status, self.body)
        return Response(answer.status, answer.body, answer.headers | self.headers)


def refused(status: int, detail: str, error_type: str = "", **headers: str) -> RefusedError:
    """An error of the platform: the detail is a sentence."""
    if not error_type:
        return RefusedError(status, {"detail": detail}, **headers)
    return RefusedError(status, {"detail": detail, "error_type": error_type}, x_fal_error_type=error_type, **headers)


def problem(loc: list[str], msg: str, kind: str, given: Any = None, ctx: JsonObject | None = None) -> JsonObject:
    """One entry of a model's error list."""
    entry = {"loc": ["body", *loc], "msg": msg, "type": kind, "url": f"{DOCS}#{kind}", "input": given}
    return entry | ({"ctx": ctx} if ctx is not None else {})


def platform_error(status: int, kind: str, message: str) -> RefusedError:
    """An error of api.fal.ai, which has its own form."""
    return RefusedError(status, {"error": {"type": kind, "message": message, "docs_url": DOCS}})
