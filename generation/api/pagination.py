"""Lists in pages that stay right while rows are added: newest first, with a cursor."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

Row = TypeVar("Row", bound=Model)


class NewestFirst(CursorPagination):
    ordering = "-created_at"
    page_size_query_param = "limit"
    max_page_size = 100


def page(
    rows: QuerySet[Row], request: Request, *, limit: int, describe: Callable[[list[Row]], list[dict[str, Any]]]
) -> Response:
    """`{"next", "previous", "results"}` with `limit` rows; `limit` is checked already. A bad cursor is a 400."""
    paginator = NewestFirst()
    paginator.page_size = limit
    try:
        found = paginator.paginate_queryset(rows, request)
    except (NotFound, ValueError, OverflowError, DjangoValidationError) as exc:
        # A cursor is only base64: a made-up one reaches the date parser.
        raise ValidationError({"cursor": _("This is no cursor of ours. Start from the first page.")}) from exc
    return paginator.get_paginated_response(describe(found or []))
