"""What the API takes: shape only. What a model takes is decided by the services."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from generation.api.fields import (
    FiniteNumberField,
    IdField,
    PictureAddressField,
    PictureField,
    PictureFileField,
    SwitchField,
    TextField,
    WholeNumberField,
)
from generation.models import Preferences, Status
from generation.services.jobs import MAX_SEED
from i2v_site.serializers import QuerySerializer, StrictSerializer

_MAX_COUNT = 100_000


def _count(text: str) -> WholeNumberField:
    return WholeNumberField(required=False, allow_null=True, min_value=1, max_value=_MAX_COUNT, help_text=text)


def _share(text: str) -> FiniteNumberField:
    return FiniteNumberField(required=False, min_value=0, max_value=1, help_text=text)


def _offered(size: str) -> str:
    return f"{size} The ranges of each model are at /api/models; left out or null: its default."


class Settings(StrictSerializer):
    """The settings of a video; everything left out is the model's default."""

    num_frames = _count(_offered("Frames of the video."))
    fps = _count("Frames shown in a second.")
    steps = _count("Denoising steps.")
    cfg_scale = FiniteNumberField(
        required=False, allow_null=True, min_value=0, max_value=1000, help_text="How closely the prompt is followed."
    )
    seed = WholeNumberField(required=False, min_value=-1, max_value=MAX_SEED, help_text="-1: a random one.")
    negative_prompt = TextField(required=False, allow_null=True, allow_blank=True, max_length=settings.PROMPT_MAX_CHARS)
    size = serializers.RegexField(
        r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$",
        required=False,
        allow_null=True,
        help_text='"832x480"; rounded to multiples of 16. Left out: the offered size nearest to the picture.',
        error_messages={"invalid": gettext_lazy('The size must look like "832x480".')},
    )


class VideoSettings(Settings):
    """Settings, with what depends on the picture."""

    end_image_id = IdField(
        required=False,
        allow_null=True,
        help_text="A picture from /api/images that the video ends with, where the model takes one (`takes_end_image`).",
    )
    interpolate = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=4,
        help_text="1, 2 or 4: so many times the frames, at so many times the speed; only where a GPU server offers it.",
    )

    model = serializers.SlugField(
        required=False, allow_null=True, max_length=50, help_text="From /api/models. Left out: the first that can run."
    )
    width = _count("Instead of `size`, together with `height`.")
    height = _count("Instead of `size`, together with `width`.")
    focus_x = _share("The point of the picture that a crop keeps: 0 left, 1 right.")
    focus_y = _share("The point of the picture that a crop keeps: 0 top, 1 bottom.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        width, height = attrs.pop("width", None), attrs.pop("height", None)
        if (width is None) != (height is None):
            raise serializers.ValidationError(
                {"width" if width is None else "height": _("Give both sides, or neither.")}
            )
        if width is not None:
            if attrs.get("size"):
                raise serializers.ValidationError({"size": _("Give either the size, or width and height.")})
            attrs["size"] = f"{width}x{height}"
        return attrs


def rule_field() -> serializers.ChoiceField:
    return serializers.ChoiceField(
        choices=Preferences.Rule.choices,
        required=False,
        allow_null=True,
        help_text="Who chooses when no `model` is named. Left out: what you have set. Only `cheapest` and `soonest` "
        "ever choose the cloud; the job's `chosen_because` says why.",
    )


def rights_field() -> SwitchField:
    return SwitchField(
        required=False,
        default=False,
        help_text="True: you confirm that you have the rights to use the picture and that the people in it agree to "
        "the video. Version and time of this statement are kept with the job and its pictures. Left out: nothing is.",
    )


class VideoRequest(VideoSettings):
    """One picture (`image_id`, `image` or `image_url`), a prompt, and settings."""

    rule = rule_field()
    family = serializers.SlugField(
        required=False, allow_null=True, max_length=50, help_text="The rule chooses among the models of this family."
    )
    dry_run = SwitchField(
        required=False, default=False, help_text="True: everything is checked, nothing is stored and nothing is spent."
    )
    prompt = TextField(max_length=settings.PROMPT_MAX_CHARS, help_text="What shall happen in the video.")
    continues = IdField(
        required=False, allow_null=True, help_text="A finished job of yours, of whose video the picture is a frame."
    )
    continues_frame = WholeNumberField(
        required=False, allow_null=True, min_value=0, max_value=_MAX_COUNT, help_text="Which frame; left out: the last."
    )
    image_id = IdField(required=False, allow_null=True, help_text="A picture from /api/images.")
    image = PictureField(required=False, help_text="A picture as a data URL (data:image/png;base64,...).")
    image_url = PictureAddressField(
        required=False, allow_null=True, max_length=2048, help_text="https address of a picture; a worker fetches it."
    )
    visible_label = SwitchField(
        required=False,
        allow_null=True,
        help_text="Draw a label into the video that says what made it. Left out: as in your preferences. The operator "
        "may have settled it for everybody.",
    )
    rights_confirmed = rights_field()
    picture_is_needed = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        given = [name for name in ("image_id", "image", "image_url") if attrs.get(name)]
        if len(given) > 1:
            raise serializers.ValidationError({given[1]: _("Give one picture, not several.")})
        if self.picture_is_needed and not given:
            raise serializers.ValidationError({"image": _("Give a picture: image_id, image or image_url.")})
        return attrs


class VideoForm(VideoRequest):
    """The same as a form, with the picture as a file."""

    image = PictureFileField(required=False, help_text="The picture's file.")


class EstimateRequest(VideoRequest):
    """A request for a video that is only thought of; picture and prompt may be left out."""

    prompt = TextField(required=False, allow_blank=True, max_length=settings.PROMPT_MAX_CHARS)
    picture_is_needed = False


class EstimateForm(VideoForm):
    prompt = TextField(required=False, allow_blank=True, max_length=settings.PROMPT_MAX_CHARS)
    picture_is_needed = False


class EventsRequest(QuerySerializer):
    stay = serializers.BooleanField(required=False, default=False)
    since = serializers.CharField(
        required=False, max_length=20, help_text="The id of the last event, where no header can be sent."
    )


class RetryRequest(StrictSerializer):
    new_seed = SwitchField(
        required=False, default=False, help_text="True: another video with the same settings and a new seed."
    )


class FinalRequest(StrictSerializer):
    model = serializers.SlugField(
        required=False, allow_null=True, max_length=50, help_text="Left out: the rule chooses."
    )
    steps = _count("Left out: as many as the model usually takes.")
    rule = rule_field()


class ImageRequest(StrictSerializer):
    image = PictureField(help_text="A data URL (data:image/png;base64,...).")
    name = TextField(required=False, allow_blank=True, max_length=120)


class ImageForm(StrictSerializer):
    image = PictureFileField(help_text="A JPEG, PNG or WebP file.")
    name = TextField(required=False, allow_blank=True, max_length=120)


class PresetRequest(StrictSerializer):
    name = TextField(max_length=80)
    model = serializers.SlugField(max_length=50)
    values = Settings(required=False, default=dict)


class TokenRequest(StrictSerializer):
    name = TextField(max_length=80, help_text="What the token is for.")


class PageFilter(QuerySerializer):
    limit = WholeNumberField(required=False, min_value=1, max_value=100, default=20)
    cursor = TextField(required=False, allow_blank=True, max_length=500, help_text="From `next` or `previous`.")


class JobFilter(PageFilter):
    status = serializers.MultipleChoiceField(required=False, choices=Status.choices)
    model = serializers.SlugField(required=False, allow_blank=True, max_length=50)
    created_after = serializers.DateTimeField(required=False, help_text="ISO 8601, included.")
    created_before = serializers.DateTimeField(required=False, help_text="ISO 8601, excluded.")
    q = TextField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="Words of the prompt, the text for the blind and tags.",
    )
    favourite = serializers.BooleanField(required=False, allow_null=True, default=None)
    tag = serializers.ListField(child=TextField(max_length=40), required=False, max_length=5, help_text="All of them.")
    batch = serializers.UUIDField(required=False)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's own.
        return super().get_fields() | {
            "from": serializers.DateField(required=False, help_text="The first day (UTC)."),
            "to": serializers.DateField(required=False, help_text="The last day (UTC)."),
        }
