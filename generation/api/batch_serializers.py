"""What the API takes and answers about several videos at once."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from generation.api.answers import Page
from generation.api.fields import IdField, SwitchField, TextField, WholeNumberField
from generation.api.serializers import VideoSettings, rights_field, rule_field
from generation.models import Status
from generation.services.batches import MAX_BATCH, MAX_VARIATIONS, NAME_CHARS, USUAL_VARIATIONS
from i2v_site.serializers import StrictSerializer

_VARIATIONS = "So many of each, with the seeds s, s+1, ... of the `seed` that is given, else with drawn ones."


class BatchRequest(VideoSettings):
    """Every picture with every prompt, in so many variations; all with the same settings."""

    image_ids = serializers.ListField(
        child=IdField(), min_length=1, max_length=MAX_BATCH, help_text="Pictures from /api/images."
    )
    prompts = serializers.ListField(
        child=TextField(max_length=settings.PROMPT_MAX_CHARS), min_length=1, max_length=MAX_BATCH
    )
    variations = WholeNumberField(
        required=False, default=1, min_value=1, max_value=MAX_VARIATIONS, help_text=_VARIATIONS
    )
    name = TextField(required=False, allow_blank=True, max_length=NAME_CHARS, help_text="Left out: the first prompt.")
    visible_label = SwitchField(required=False, allow_null=True)
    rights_confirmed = rights_field()
    rule = rule_field()
    family = serializers.SlugField(required=False, allow_null=True, max_length=50)


class VaryRequest(StrictSerializer):
    count = WholeNumberField(required=False, default=USUAL_VARIATIONS, min_value=1, max_value=MAX_VARIATIONS)


class CountsAnswer(serializers.Serializer[Any]):
    """How many videos have each status."""

    def get_fields(self) -> dict[str, Any]:
        return {status.value: serializers.IntegerField() for status in Status}


class BatchAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    count = serializers.IntegerField(help_text="Videos that were not deleted.")
    unfinished = serializers.IntegerField()
    counts = CountsAnswer()
    promised_usd = serializers.FloatField(help_text="What all may cost at most, as promised at the submit.")
    cost_usd = serializers.FloatField(help_text="Charged so far.")
    jobs_url = serializers.URLField()


class BatchPage(Page):
    results = BatchAnswer(many=True)


class TotalAnswer(serializers.Serializer[Any]):
    model = serializers.CharField()
    chosen_because = serializers.CharField()
    count = serializers.IntegerField()
    usd = serializers.FloatField()
    usd_low = serializers.FloatField()
    usd_high = serializers.FloatField(help_text="Set aside at the submit; never is more charged.")
    seconds = serializers.FloatField(help_text="From the first one's beginning until the last is made.")
    seconds_low = serializers.FloatField()
    seconds_high = serializers.FloatField()
