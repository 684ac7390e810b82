"""The shapes of the GPU calls."""

from typing import Any

from rest_framework import serializers

from gpu.models import GpuProvider
from i2v_site.serializers import StrictSerializer


class _AddressField(serializers.CharField):
    """A text, and not a number that could be read as one; what it may be is the service's decision."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class GpuConfigInput(StrictSerializer):
    swarmui_url = _AddressField(
        required=False, allow_blank=True, max_length=500, help_text="https://host:port. Empty: no GPU is used."
    )
    gpu_provider = serializers.ChoiceField(required=False, choices=GpuProvider.choices)


class GpuConfigOutput(serializers.Serializer[Any]):
    swarmui_url = serializers.CharField(help_text="Empty when no GPU is configured.")
    swarmui_available = serializers.BooleanField(help_text="Whether it answered in the last few seconds.")
    gpu_provider = serializers.ChoiceField(choices=GpuProvider.choices)
    vastai_instance_id = serializers.IntegerField(allow_null=True, help_text="The rented machine, when there is one.")


class TestConnectionInput(StrictSerializer):
    __test__ = False  # not for pytest to collect

    url = _AddressField(max_length=500, help_text="https://host:port")


class BackendOutput(serializers.Serializer[Any]):
    title = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField(help_text="SwarmUI's word: running, idle, loading, errored, ...")


class TestConnectionOutput(serializers.Serializer[Any]):
    __test__ = False

    ok = serializers.BooleanField()
    latency_ms = serializers.IntegerField(allow_null=True)
    version = serializers.CharField()
    backends = BackendOutput(many=True)
    models = serializers.ListField(child=serializers.CharField())
    error = serializers.CharField(help_text="One of five fixed sentences; empty when ok.")
