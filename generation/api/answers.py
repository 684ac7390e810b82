"""What the API's answers look like, for the OpenAPI document. `describe` builds them, without a serializer's cost."""

from typing import Any

from rest_framework import serializers

from generation.models import PriceUnit, Provider, Status


class ErrorDetail(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs; stable.")
    message = serializers.CharField(help_text="One sentence for people.")
    field = serializers.CharField(required=False, help_text="The field that it is about.")


class ErrorAnswer(serializers.Serializer[Any]):
    error = ErrorDetail()


class JobErrorAnswer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class Foretold(serializers.Serializer[Any]):
    seconds = serializers.FloatField(help_text="Rendering time.")
    seconds_low = serializers.FloatField()
    seconds_high = serializers.FloatField()
    wait_seconds = serializers.FloatField(help_text="Before it begins: the queue, and a machine that has to come.")
    usd = serializers.FloatField()
    usd_low = serializers.FloatField()
    usd_high = serializers.FloatField(help_text="Set aside at the submit; never is more charged.")
    basis = serializers.ChoiceField(
        choices=["history", "catalogue"], help_text="Of the seconds: measured here, or the operator's figure."
    )
    usd_basis = serializers.ChoiceField(choices=["free", "price", "history", "catalogue"])
    samples = serializers.IntegerField(help_text="Videos that it was measured on.")
    paid_for = serializers.CharField(help_text="What the money is for: free, your own server, a rented GPU, ...")


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
    cost_usd = serializers.FloatField(help_text="Charged to you.")
    direct_usd = serializers.FloatField(help_text="Its own seconds on the machine, or the cloud's price.")
    share_usd = serializers.FloatField(help_text="Its share of the machine's boot, downloads, idle time and storage.")
    cost_is_final = serializers.BooleanField(help_text="False: the machine still runs, or the video is not done.")
    reserved_usd = serializers.FloatField(help_text="What was set aside at the submit; never is more charged.")
    estimate = Foretold(allow_null=True, help_text="What was foretold at the submit, without the wait.")
    chosen_because = serializers.CharField(help_text="The rule that chose the model; empty when it was named.")
    alt_text = serializers.CharField(help_text="What the video shows, for people who cannot see it.")
    parent_id = serializers.UUIDField(allow_null=True, help_text="The job that this one repeats or finishes.")
    batch = serializers.UUIDField(allow_null=True, help_text="The batch that it was asked for in.")
    continues = serializers.UUIDField(allow_null=True, help_text="The job of whose video its picture is a frame.")
    continues_frame = serializers.IntegerField(allow_null=True, help_text="Which frame, from 0; null: the last.")
    end_image = serializers.UUIDField(allow_null=True, help_text="The picture that it ends with.")
    interpolate = serializers.IntegerField(help_text="So many times the frames, at so many times the speed.")
    favourite = serializers.BooleanField()
    tags = serializers.ListField(child=serializers.CharField(), help_text="Your own words for it, in their order.")
    prompt_used = serializers.CharField(allow_null=True, help_text="When the provider has changed the prompt.")
    drift = serializers.ListField(child=serializers.CharField(), help_text="What was asked for and not followed.")
    error = JobErrorAnswer(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    cancel_at = serializers.DateTimeField(allow_null=True, help_text="When a cancel takes effect; undo it before.")
    elapsed_s = serializers.FloatField(allow_null=True)
    timings = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds spent in each phase by the last attempt."
    )
    attempts = serializers.IntegerField()


class TagAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    videos = serializers.IntegerField(help_text="How many videos have it.")


class TagsAnswer(serializers.Serializer[Any]):
    results = TagAnswer(many=True)


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


class PriceAnswer(serializers.Serializer[Any]):
    usd = serializers.FloatField(help_text="Of one unit.")
    unit = serializers.ChoiceField(choices=PriceUnit.choices)
    by_resolution = serializers.DictField(
        child=serializers.FloatField(), help_text='{"480p": 0.04}: instead of `usd`, by the shorter side.'
    )
    seen_on = serializers.DateField(allow_null=True, help_text="When the price was last compared.")


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
    family = serializers.CharField(help_text="Models of one family can stand in for each other; may be empty.")
    available = serializers.BooleanField(help_text="False: it needs a server or a key, and none is configured.")
    price = PriceAnswer(allow_null=True, help_text="Of the cloud; null: nothing is paid per call.")
    licence = LicenceAnswer()
    num_frames = CountRange()
    frame_choices = serializers.ListField(
        child=serializers.IntegerField(), help_text="The only numbers of frames it makes; empty: the whole range."
    )
    fps = CountRange()
    steps = CountRange()
    cfg_scale = NumberRange()
    size = SizeRange()
    takes_end_image = serializers.BooleanField(help_text="It can be given the picture to end with.")
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


class OptionAnswer(Foretold):
    model = serializers.CharField()
    name = serializers.CharField()
    provider = serializers.ChoiceField(choices=Provider.choices)
    family = serializers.CharField()
    ready = serializers.ChoiceField(
        choices=["now", "waiting", "cold", "off"], help_text="cold: a machine has to come; off: it cannot run."
    )
    reason = serializers.CharField(help_text="One sentence.")
    num_frames = serializers.IntegerField(help_text="As near as the model takes it to what was asked.")
    fps = serializers.IntegerField()
    steps = serializers.IntegerField()
    cfg_scale = serializers.FloatField()
    size = serializers.CharField(allow_null=True)


class WarningAnswer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    field = serializers.CharField(help_text="What it is about; may be empty.")
    suggestion = serializers.DictField(help_text="Values that the request could have instead.")


class EstimateAnswer(Foretold):
    model = serializers.CharField(help_text="The one that was named, or that the rule would choose.")
    chosen_because = serializers.CharField()
    options = OptionAnswer(many=True)
    warnings = WarningAnswer(many=True)


class WouldAnswer(serializers.Serializer[Any]):
    model = serializers.CharField()
    chosen_because = serializers.CharField()
    prompt = serializers.CharField()
    negative_prompt = serializers.CharField()
    num_frames = serializers.IntegerField()
    fps = serializers.IntegerField()
    steps = serializers.IntegerField()
    cfg_scale = serializers.FloatField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    seed = serializers.IntegerField(allow_null=True, help_text="Null: a random one.")
    reserved_usd = serializers.FloatField()


class DryRunAnswer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    estimate = Foretold()
    warnings = WarningAnswer(many=True)
    would = WouldAnswer()


class FinalAnswer(OptionAnswer):
    seed = serializers.IntegerField()
    difference_usd = serializers.FloatField(help_text="What it costs more than the draft did.")


class FinalsAnswer(serializers.Serializer[Any]):
    is_draft = serializers.BooleanField(help_text="A preview, or made in fewer steps than usual.")
    results = FinalAnswer(many=True)


class TokenAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    starts_with = serializers.CharField(help_text="The token's first characters, to tell it from others.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="Known to a few minutes.")


class NewTokenAnswer(TokenAnswer):
    token = serializers.CharField(help_text="Shown this once.")


class Page(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class JobPage(Page):
    results = JobAnswer(many=True)


class ImagePage(Page):
    results = ImageAnswer(many=True)


class PresetPage(Page):
    results = PresetAnswer(many=True)


class TokensAnswer(serializers.Serializer[Any]):
    results = TokenAnswer(many=True)
