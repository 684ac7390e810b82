"""Clips, frames and storylines: what is taken, and what is answered."""

from typing import Any

from rest_framework import serializers

from generation.api.answers import JobErrorAnswer
from generation.api.fields import FiniteNumberField, IdField, WholeNumberField
from generation.models import Clip, Status
from generation.services.clip_options import MAX_PARTS
from i2v_site.serializers import StrictSerializer

_MAX_FRAME = 100_000


class FrameRequest(StrictSerializer):
    frame = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=_MAX_FRAME,
        help_text="From 0. Left out or null: the last.",
    )


class PartRequest(StrictSerializer):
    job_id = IdField(help_text="A finished video of yours.")
    start_frame = WholeNumberField(required=False, default=0, min_value=0, max_value=_MAX_FRAME)
    end_frame = WholeNumberField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=_MAX_FRAME,
        help_text="The first frame that is left out; null: none is.",
    )


class ClipRequest(StrictSerializer):
    """Options that the kind does not have are refused."""

    kind = serializers.ChoiceField(choices=Clip.Kind.choices)
    parts = serializers.ListField(
        child=PartRequest(), allow_empty=False, max_length=MAX_PARTS, help_text="One; 2 to 20 for `join`."
    )
    crossfade_s = FiniteNumberField(required=False, help_text="`join`: 0 (the default) for cuts, or 0.2 to 1.")
    loops = WholeNumberField(required=False, help_text="`boomerang`: 1 (the default) to 10.")
    width = WholeNumberField(required=False, help_text="`gif` and `webp`: at most so wide; 480 and 720 by default.")
    fps = WholeNumberField(required=False, help_text="`gif` and `webp`: at most so many; 12 and 16 by default.")


class PartAnswer(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    start_frame = serializers.IntegerField()
    end_frame = serializers.IntegerField(allow_null=True)


class ClipAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Clip.Kind.choices)
    state = serializers.ChoiceField(choices=Clip.State.choices)
    parts = PartAnswer(many=True, help_text="Without those whose video was deleted.")
    options = serializers.DictField(help_text="As they were used, defaults included.")
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    frames = serializers.IntegerField(allow_null=True)
    fps = serializers.FloatField(allow_null=True)
    size_bytes = serializers.IntegerField(allow_null=True)
    sound_dropped = serializers.BooleanField(help_text="Not all videos of a join had sound, so it has none.")
    url = serializers.URLField(allow_null=True, help_text="Valid for 5 minutes; ask again for a new one.")
    poster_url = serializers.URLField(allow_null=True)
    error = JobErrorAnswer(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ClipPage(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ClipAnswer(many=True)


class LinkAnswer(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    prompt = serializers.CharField()
    take_ids = serializers.ListField(child=serializers.UUIDField(), help_text="All takes, the oldest first.")
    from_earlier_take = serializers.BooleanField(help_text="It goes on from another take than the one before it here.")
    cut_frame = serializers.IntegerField(
        allow_null=True, help_text="The frame at which the next one goes on, from 0; null: the last, or there is none."
    )


class StorylineAnswer(serializers.Serializer[Any]):
    links = LinkAnswer(many=True)
    can_be_joined = serializers.BooleanField()
