"""Fields that take what they say and nothing near it."""

import math
import unicodedata
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generation.services.picture_urls import check_image_url

# Embeddings, overrides and isolates reorder what a reader sees. The plain marks that Arabic and Hebrew need are fine.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def text_problem(value: str) -> str | None:
    """Why this text is refused, in one sentence; None when it is fine."""
    if any(char in _BIDI_CONTROLS for char in value):
        return _("The text holds characters that change its direction of reading. Remove them.")
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in value):
        return _("The text holds control characters. Remove them.")
    # What Django puts for bytes of a form that are no UTF-8.
    return _("The text is not valid UTF-8.") if "\ufffd" in value else None


def _is_form(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    return bool(field.context.get("is_form"))


class TextField(serializers.CharField):
    """Trimmed text without control characters; line breaks come as \\n."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data not in (serializers.empty, None) and not isinstance(data, str):
            self.fail("invalid")
        if isinstance(data, str):
            data = data.replace("\r\n", "\n")
            if problem := text_problem(data):
                raise serializers.ValidationError(problem)
        return super().run_validation(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON integer (not "5", not 5.0, not true); in a form, its digits."""

    def to_internal_value(self, data: Any) -> int:
        if not _is_form(self) and (isinstance(data, bool) or not isinstance(data, int)):
            self.fail("invalid")
        return super().to_internal_value(data)


class FiniteNumberField(serializers.FloatField):
    """A finite JSON number; in a form, its digits."""

    default_error_messages = {"finite": gettext_lazy("A finite number is required.")}

    def to_internal_value(self, data: Any) -> float:
        if not _is_form(self) and (isinstance(data, bool) or not isinstance(data, int | float)):
            self.fail("invalid")
        try:
            value = super().to_internal_value(data)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.fail("finite")
        return value


class SwitchField(serializers.BooleanField):
    """true or false (not "yes", not 1); in a form, these words."""

    def to_internal_value(self, data: Any) -> bool:
        if _is_form(self) and data in ("true", "false"):
            return bool(data == "true")
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class IdField(serializers.UUIDField):
    """An id as text; DRF's own also takes a number for one."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class PictureField(serializers.Field[Any, Any, Any, Any]):
    """An uploaded file, or a data URL as text. What it really holds is judged by the intake."""

    default_error_messages = {
        "invalid": gettext_lazy("Give a picture: a file in a form, or a data URL (data:image/png;base64,...).")
    }

    def to_internal_value(self, data: Any) -> "UploadedFile[Any] | str":
        if isinstance(data, UploadedFile):
            return data
        if not isinstance(data, str) or not data.startswith("data:"):
            self.fail("invalid")
        return data


@extend_schema_field(OpenApiTypes.BINARY)
class PictureFileField(PictureField):
    """The same, described as a file."""


class PictureAddressField(TextField):
    """An address that may be fetched, as far as its text tells; where it leads is judged when it is fetched."""

    def to_internal_value(self, data: Any) -> str:
        address = super().to_internal_value(data)
        if address:
            check_image_url(address)
        return address
