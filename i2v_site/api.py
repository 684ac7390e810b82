"""What every API view shares: one error shape, bounded parsing, token sign-in."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.models import get_token_model
from rest_framework import exceptions, parsers, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from i2v_site.errors import DomainError

if TYPE_CHECKING:
    from rest_framework.views import APIView

# How exactly "last used" is known; a write per request would cost more than the request.
LAST_USED_EVERY = timedelta(minutes=5)
# What a multipart body holds besides its picture.
FORM_OVERHEAD_BYTES = 256 * 1024


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]  # knox ships no types
    """`Authorization: Token i2v_...`, in one query with the person and their preferences.

    knox's own looks up every token of the person at each request.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        tokens = get_token_model().objects
        now = timezone.now()
        try:
            found = tokens.select_related("user__preferences").get(digest=hash_token(token.decode("ascii")))
        except (UnicodeDecodeError, tokens.model.DoesNotExist):
            found = None
        if found is None or (found.expiry is not None and found.expiry < now):
            raise exceptions.AuthenticationFailed(_("The token is not valid."))
        if found.last_used_at is None or now - found.last_used_at > LAST_USED_EVERY:
            tokens.filter(pk=found.pk).update(last_used_at=now)
        owner: tuple[Any, Any] = self.validate_user(found)
        return owner


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = gettext_lazy("The request body is too large.")


class JSONParser(parsers.BaseParser):
    """JSON with a byte limit, strict UTF-8, and no NaN or Infinity.

    Not a subclass of DRF's, which is given a second copy of the whole body.
    """

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 (DRF passes it)
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        _refuse_over(limit, parser_context)
        try:
            body = stream.read(limit + 1)
        except OSError as exc:
            raise exceptions.ParseError(_("The body ended too early.")) from exc
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as exc:
            raise exceptions.ParseError(_("The body is not valid JSON in UTF-8.")) from exc


class MultiPartParser(parsers.MultiPartParser):
    """A form with files, refused by its announced length before a byte of it is stored."""

    def most_bytes(self) -> int:
        return int(settings.PICTURE_MAX_BYTES)

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _refuse_over(self.most_bytes() + FORM_OVERHEAD_BYTES, parser_context)
        try:
            return super().parse(stream, media_type=media_type, parser_context=parser_context)
        except OSError as exc:
            raise exceptions.ParseError(_("The body ended too early.")) from exc


def _refuse_over(limit: int, parser_context: Mapping[str, Any] | None) -> None:
    request = (parser_context or {}).get("request")
    announced = str(request.META.get("CONTENT_LENGTH") or "0") if request else "0"
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge


def _no_constant(name: str) -> None:
    raise ValueError(name)


class WriteThrottle(ScopedRateThrottle):
    """The view's scope, for requests that change something; looking is free."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        return request.method != "POST" or super().allow_request(request, view)

    def get_rate(self) -> str:
        # Read at each request, because the class attribute is frozen when the module is loaded.
        rates: Mapping[str, Any] = api_settings.DEFAULT_THROTTLE_RATES
        rate: str = rates[str(self.scope)]
        return rate


class AnyAccept(DefaultContentNegotiation):
    """For answers that are no document of ours (a picture, a redirect): errors are JSON whatever was asked for."""

    def select_renderer(
        self, _request: Request, _renderers: Any, _format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type


def error_body(code: str, message: str, field: str | None = None) -> dict[str, dict[str, str]]:
    error = {"code": code, "message": message}
    if field:
        error["field"] = field
    return {"error": error}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn every refusal into `{"error": {"code", "message", "field"?}}`; anything else stays a 500."""
    # Imported here: rest_framework.views itself loads this module while it starts.
    from rest_framework.views import exception_handler as drf_exception_handler

    if isinstance(exc, DomainError):
        return Response(error_body(exc.code, exc.message, exc.field), status=exc.status)
    if isinstance(exc, RequestDataTooBig):
        exc = BodyTooLarge()
    response = drf_exception_handler(exc, context)
    if response is None:
        return None
    if isinstance(exc, exceptions.ValidationError):
        field, message = _first(exc.detail)
        response.data = error_body("invalid", message, field)
    elif isinstance(exc, Http404):
        response.data = error_body("not_found", _("There is nothing here that you may see."))
    elif isinstance(exc, PermissionDenied):
        response.data = error_body("permission_denied", _("You may not do this."))
    elif isinstance(exc, exceptions.APIException):
        code = exc.get_codes()
        response.data = error_body(code if isinstance(code, str) else "error", str(exc.detail))
    return response


def _first(detail: Any, field: str | None = None) -> tuple[str | None, str]:
    """The first complaint in DRF's nested error detail, with the field that it is about."""
    if isinstance(detail, Mapping):
        name, inner = next(iter(detail.items()))
        outer = None if name == "non_field_errors" else str(name)
        return _first(inner, ".".join(part for part in (field, outer) if part) or None)
    if isinstance(detail, list):
        found = next((item for item in detail if item), _("The value is not valid."))
        return _first(found, field)
    return field, str(detail)


# --- what Django itself answers: the same shape under /api/, its own pages elsewhere -----------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    return JsonResponse(error_body("bad_request", _("The request cannot be understood.")), status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return JsonResponse(error_body("permission_denied", _("You may not do this.")), status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return JsonResponse(error_body("not_found", _("There is nothing here that you may see.")), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    if not _is_api(request):
        return defaults.server_error(request)
    return JsonResponse(error_body("server_error", _("Something went wrong on our side.")), status=500)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
