"""/health: the process answers. /ready: everything that a video needs answers, with the reason where it does not."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger(__name__)

# A check returns None when all is well, or one sentence that says what is wrong.
Check = Callable[[], str | None]
_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Apps add their own checks from AppConfig.ready(): this package imports no app."""
    _checks[name] = check


def database() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return None


register("database", database)


@require_safe
@never_cache
def health(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@require_safe
@never_cache
def ready(_request: HttpRequest) -> JsonResponse:
    reasons = {name: _reason(name, check) for name, check in _checks.items()}
    broken = any(reasons.values())
    body = {"status": "unavailable" if broken else "ok", "checks": {k: v or "ok" for k, v in reasons.items()}}
    return JsonResponse(body, status=503 if broken else 200)


def _reason(name: str, check: Check) -> str | None:
    try:
        return check()
    except Exception as exc:
        # Whatever a dependency throws is the answer to the question asked; its text may hold addresses.
        log.warning("ready: %s: %s", name, type(exc).__name__)
        return f"The {name} check failed ({type(exc).__name__})."
