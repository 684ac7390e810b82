"""What the input serializers of every app share."""

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers

_CSRF_FIELD = "csrfmiddlewaretoken"


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, by name: a misspelt setting is never silently ignored."""

    not_ours: frozenset[str] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {*self.fields, *self.not_ours, *([_CSRF_FIELD] if isinstance(data, QueryDict) else [])}
            for name in data:
                if name not in known:
                    raise serializers.ValidationError({_printable(name): "There is no such field."})
        return super().to_internal_value(data)


class QuerySerializer(StrictSerializer):
    """What stands behind the question mark of an address."""

    not_ours = frozenset({"format"})  # the browsable API's

    def to_internal_value(self, data: Any) -> Any:
        for name, value in data.items():
            # DRF takes an empty date or choice of a form for one that was left out.
            if value == "" and not getattr(self.fields.get(name), "allow_blank", False):
                raise serializers.ValidationError({name: "Give a value, or leave it out."})
        return super().to_internal_value(data)


def _printable(name: str) -> str:
    return name[:80] if name.isprintable() and name else "body"
