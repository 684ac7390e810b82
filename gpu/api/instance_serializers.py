"""The shapes of the calls about rented machines and offers."""

from typing import Any

from django.utils.translation import gettext_noop
from rest_framework import serializers

from gpu.models import InstanceKind, InstanceState
from i2v_site.serializers import StrictSerializer


class InstanceFilter(StrictSerializer):
    state = serializers.MultipleChoiceField(required=False, choices=InstanceState.choices)
    alive = serializers.BooleanField(required=False, allow_null=True, default=None, help_text="Only those not over.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=200, default=50)


class RentInput(StrictSerializer):
    offer_id = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**53, help_text="None: the best one."
    )
    reason = serializers.CharField(required=False, max_length=200, default=gettext_noop("asked for over the API"))


class EndInput(StrictSerializer):
    reason = serializers.CharField(required=False, max_length=200, default=gettext_noop("asked for over the API"))


class StageOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    standing = serializers.ChoiceField(choices=["done", "now", "next", "failed"], source="state")
    at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField()


class EventOutput(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    message = serializers.CharField()
    actor = serializers.CharField(allow_null=True, source="actor.username", default=None)


class InstanceOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="instance.id")
    kind = serializers.ChoiceField(choices=InstanceKind.choices, source="instance.kind")
    state = serializers.ChoiceField(choices=InstanceState.choices, source="instance.state")
    state_since = serializers.DateTimeField(source="instance.state_since")
    vastai_instance_id = serializers.IntegerField(allow_null=True, source="instance.vast_id")
    offer_id = serializers.IntegerField(allow_null=True, source="instance.offer_id")
    machine_id = serializers.IntegerField(allow_null=True, source="instance.host.machine_id", default=None)
    label = serializers.CharField(source="instance.label")  # type: ignore[assignment]  # a part of the answer
    gpu_name = serializers.CharField(source="instance.gpu_name")
    swarmui_url = serializers.CharField(source="instance.url")
    reason = serializers.CharField(source="instance.reason", help_text="Why it was rented.")
    end_reason = serializers.CharField(source="instance.end_reason", help_text="Why it ends.")
    trouble = serializers.CharField(source="instance.trouble", help_text="What is wrong now.")
    usd_per_hour = serializers.FloatField(source="instance.usd_per_hour")
    cost_usd = serializers.FloatField(help_text="Until now.")
    reserved_usd = serializers.FloatField(source="instance.reserved_usd", help_text="What it may cost at most.")
    created_at = serializers.DateTimeField(source="instance.created_at")
    ready_at = serializers.DateTimeField(allow_null=True, source="instance.ready_at")
    ready_in_s = serializers.FloatField(allow_null=True, help_text="An estimate, while it starts.")
    lease_until = serializers.DateTimeField(allow_null=True, source="instance.lease_until")
    max_until = serializers.DateTimeField(allow_null=True, source="instance.max_until")
    ended_at = serializers.DateTimeField(allow_null=True, source="instance.ended_at")
    gpu_use_percent = serializers.FloatField(allow_null=True, source="instance.gpu_use_percent")
    bytes_done = serializers.IntegerField(source="instance.bytes_done")
    bytes_total = serializers.IntegerField(source="instance.bytes_total")


class InstanceDetailOutput(InstanceOutput):
    stages = StageOutput(many=True)
    timeline = EventOutput(many=True, source="events")
    log_tail = serializers.CharField(source="instance.log_tail")


class InstanceList(serializers.Serializer[Any]):
    results = InstanceOutput(many=True)


class OfferFilter(StrictSerializer):
    gpu_name = serializers.CharField(required=False, max_length=60, help_text="RTX 4090, as vast.ai writes it.")
    max_usd_per_hour = serializers.FloatField(required=False, min_value=0, max_value=1000)
    country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False)
    allowed = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Only those that the policy takes, or only the others."
    )


class PartsOutput(serializers.Serializer[Any]):
    gpu = serializers.FloatField()
    storage = serializers.FloatField()
    traffic = serializers.FloatField()
    boot = serializers.FloatField()
    download = serializers.FloatField()
    risk = serializers.FloatField()


class OfferOutput(serializers.Serializer[Any]):
    offer_id = serializers.IntegerField()
    machine_id = serializers.IntegerField()
    gpu_name = serializers.CharField()
    vram_gb = serializers.FloatField(allow_null=True)
    country = serializers.CharField(help_text='Two letters; "" when unknown.')
    reliability = serializers.FloatField(allow_null=True, help_text="0 to 1.")
    download_mbps = serializers.FloatField(allow_null=True, help_text="As advertised.")
    usd_per_hour = serializers.FloatField(help_text="GPU and storage.")
    usd_per_video = serializers.FloatField(allow_null=True, help_text="The score: the sum of its parts.")
    parts = PartsOutput(allow_null=True, help_text="US dollars per finished video.")
    seconds_per_video = serializers.FloatField()
    boot_s = serializers.FloatField(help_text="From the request to ready, downloads included.")
    remembered = serializers.BooleanField(help_text="Whether this host was rented before.")
    excluded = serializers.ListField(child=serializers.CharField(), help_text="What speaks against it; empty: allowed.")


class OfferList(serializers.Serializer[Any]):
    results = OfferOutput(many=True)
