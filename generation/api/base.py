"""What the views of this package share."""

from functools import cache
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from i2v_site.api import JSONParser, MultiPartParser
from i2v_site.serializers import StrictSerializer

S = TypeVar("S", bound=StrictSerializer)

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text of up to 255 characters. The same request again within 24 hours gets the first answer and "
    "makes no second job; another request with this key is a 422.",
)
PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description="`wait=N`: hold the answer until the job is over, 60 s at most."
)
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI,
    OpenApiParameter.HEADER,
    response=[200, 201, 202],
    description="The address of what was made.",
)


class UserRequest(Request):
    """A request behind IsAuthenticated."""

    user: User


class FormOrJsonView(APIView):
    """Takes JSON, or a form with a file."""

    parser_classes = [JSONParser, MultiPartParser]


def checked(serializer: type[S], data: Any) -> dict[str, Any]:
    """The validated data. Raises ValidationError naming the first wrong field."""
    values: dict[str, Any] = _shared(serializer, isinstance(data, QueryDict)).run_validation(data)
    return values


@cache
def _shared(serializer: type[StrictSerializer], is_form: bool) -> StrictSerializer:
    # Validating changes nothing in a serializer; making one copies all its fields, a fifth of a submit's time.
    return serializer(context={"is_form": is_form})
