"""What the API's answers look like, for the OpenAPI document. `describe` builds them, without a serializer's cost."""

from typing import Any

from rest_framework import serializers

from generation.models import Provider, Status


class ErrorDetail(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs; stable.")
    message = serializers.CharField(help_text="One sentence for people.")
    field = serializers.CharField(required=False, help_text="The field that it is about.")


class ErrorAnswer(serializers.Serializer[Any]):
    error = ErrorDetail()


class JobErrorAnswer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class JobAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    progress = serializers.FloatField(min_value=0, max_value=1)
    queue_position = serializers.IntegerField(allow_null=True, help_text="1: next.")
    eta_s = serializers.FloatField(allow_null=True, help_text="Seconds until it is done, estimated.")
    message = serializers.CharField(help_text="What is going on, for people.")
    model = serializers.CharField()
    prompt = serializers.CharField()
    negative_prompt = serializers.CharField()
    num_frames = serializers.IntegerField()
    fps = serializers.IntegerField()
    steps = serializers.IntegerField()
    cfg_scale = serializers.FloatField()
    width = serializers.IntegerField(allow_null=True, help_text="Null until the picture has been fetched.")
    height = serializers.IntegerField(allow_null=True)
    size = serializers.CharField(allow_null=True)
    seed = serializers.IntegerField(help_text="The one really used.")
    image_id = serializers.UUIDField(allow_null=True)
    image_url = serializers.CharField(allow_null=True, help_text="The address that was given.")
    video_url = serializers.URLField(allow_null=True, help_text="Valid for 5 minutes; ask again for a new one.")
    poster_url = serializers.URLField(allow_null=True)
    preview_url = serializers.URLField(
        allow_null=True, help_text="A frame of the video in the making, later a small looping video."
    )
    cost_usd = serializers.FloatField()
    error = JobErrorAnswer(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    elapsed_s = serializers.FloatField(allow_null=True)
    timings = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds spent in each phase by the last attempt."
    )
    attempts = serializers.IntegerField()


class ImageAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    content_type = serializers.CharField()
    url = serializers.URLField(help_text="Valid for 5 minutes.")
    thumbnail_url = serializers.URLField(allow_null=True)
    created_at = serializers.DateTimeField()


class CountRange(serializers.Serializer[Any]):
    default = serializers.IntegerField()
    min = serializers.IntegerField()
    max = serializers.IntegerField()
    step = serializers.IntegerField(help_text="Values are 1 plus a multiple of this.")


class NumberRange(serializers.Serializer[Any]):
    default = serializers.FloatField()
    min = serializers.FloatField()
    max = serializers.FloatField()


class SizeRange(serializers.Serializer[Any]):
    offered = serializers.ListField(child=serializers.CharField(), help_text="The default first.")
    min_side = serializers.IntegerField()
    max_side = serializers.IntegerField()
    max_pixels = serializers.IntegerField()
    multiple_of = serializers.IntegerField()


class LicenceAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    url = serializers.URLField()
    commercial_use = serializers.BooleanField()


class ModelAnswer(serializers.Serializer[Any]):
    model = serializers.CharField(help_text="What a request calls it.")
    name = serializers.CharField()
    summary = serializers.CharField()
    provider = serializers.ChoiceField(choices=Provider.choices)
    rating = serializers.CharField()
    available = serializers.BooleanField(help_text="False: it needs a SwarmUI server and none is configured.")
    licence = LicenceAnswer()
    num_frames = CountRange()
    fps = CountRange()
    steps = CountRange()
    cfg_scale = NumberRange()
    size = SizeRange()
    negative_prompt = serializers.CharField(help_text="The default one.")
    typical_seconds = serializers.FloatField()


class ModelsAnswer(serializers.Serializer[Any]):
    results = ModelAnswer(many=True)


class PresetAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    model = serializers.CharField()
    values = serializers.DictField(help_text="Settings by the names that a request uses.")
    created_at = serializers.DateTimeField()


class EstimateAnswer(serializers.Serializer[Any]):
    seconds = serializers.FloatField(help_text="Rendering time.")
    wait_seconds = serializers.FloatField(help_text="Time in the queue before it.")
    basis = serializers.ChoiceField(choices=["history", "catalogue"])


class TokenAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    starts_with = serializers.CharField(help_text="The token's first characters, to tell it from others.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="Known to a few minutes.")


class NewTokenAnswer(TokenAnswer):
    token = serializers.CharField(help_text="Shown this once.")


class _Page(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class JobPage(_Page):
    results = JobAnswer(many=True)


class ImagePage(_Page):
    results = ImageAnswer(many=True)


class PresetPage(_Page):
    results = PresetAnswer(many=True)


class TokensAnswer(serializers.Serializer[Any]):
    results = TokenAnswer(many=True)
