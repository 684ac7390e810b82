"""Limits for pages that need no account: the same rates, by the same rules, as in the API."""

from types import SimpleNamespace
from typing import Any, cast

from django.http import HttpRequest

from i2v_site.api import WriteThrottle


def too_many(request: HttpRequest, scope: str) -> bool:
    """Whether this caller has posted more often than `scope` allows; counts this time too."""
    view: Any = SimpleNamespace(throttle_scope=scope)
    return not WriteThrottle().allow_request(cast(Any, request), view)
