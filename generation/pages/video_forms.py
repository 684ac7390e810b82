"""What the create page accepts: shape only. What a model takes is decided by the services."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from generation import queries
from generation.models import SourceImage, VideoJob, VideoModel
from generation.pages.forms import SETTINGS, TextField
from generation.services import labels
from generation.services.batches import MAX_BATCH, MAX_VARIATIONS, expanded
from generation.services.jobs import MAX_SEED, JobRequest
from generation.services.lengths import frames_of
from generation.services.picture_urls import check_image_url
from generation.services.rights import RIGHTS_VERSION
from i2v_site.errors import DomainError

_MAX_INT = 2**31 - 1
MAX_SECONDS = 3600


def _count(label: Any, **values: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=_MAX_INT, **values)


class SettingsForm(forms.Form):
    """The settings of a job, without picture and prompt; empty means: the model's default.

    `seconds`, where given, stand for the nearest number of frames that the model makes.
    """

    model = forms.ModelChoiceField(VideoModel.objects.none(), to_field_name="slug", empty_label=None)
    size = forms.CharField(max_length=12, required=False)
    num_frames = _count(gettext_lazy("Frames"))
    seconds = forms.FloatField(label=gettext_lazy("Length"), required=False, min_value=0, max_value=MAX_SECONDS)
    fps = _count(gettext_lazy("Frames per second"))
    steps = _count(gettext_lazy("Steps"))
    cfg_scale = forms.FloatField(label=gettext_lazy("CFG scale"), required=False, min_value=0, max_value=1000)
    seed = forms.IntegerField(label=gettext_lazy("Seed"), required=False, min_value=-1, max_value=MAX_SEED)
    negative_prompt = TextField(
        label=gettext_lazy("What should not appear"), required=False, max_length=settings.PROMPT_MAX_CHARS
    )
    interpolate = _count(gettext_lazy("Smoother"))

    @property
    def label_is_a_choice(self) -> bool:
        return labels.is_a_choice()

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner
        self.fields["model"].queryset = queries.visible_models(owner)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        model, seconds = data.get("model"), data.get("seconds")
        if model is not None and seconds is not None:
            try:
                data["num_frames"] = frames_of(model, seconds, data.get("fps"))
            except DomainError as exc:
                self.add_error("seconds", exc.message)
        return data

    def values(self) -> dict[str, Any]:
        """The settings that were given, by their API names."""
        names = [*SETTINGS, "seed"]
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name) not in (None, "")}


class WishForm(SettingsForm):
    """Settings, and of what and how many: enough to say what it would take."""

    prompt = forms.CharField(required=False, max_length=settings.PROMPT_MAX_CHARS)
    variations = forms.IntegerField(
        label=gettext_lazy("Variations"), required=False, min_value=1, max_value=MAX_VARIATIONS
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        field = TextField(required=False, max_length=settings.PROMPT_MAX_CHARS)
        try:
            data["prompts"] = [text for one in listed(self.data, "prompts")[:MAX_BATCH] if (text := field.clean(one))]
        except ValidationError as exc:
            self.add_error("prompt", exc)
        return data

    def request(self) -> JobRequest:
        """The wish with its first prompt and no picture."""
        data = self.cleaned_data
        given = {name: data[name] for name in ("size", "num_frames", "fps", "steps", "cfg_scale")}
        return JobRequest(
            prompt=data["prompt"],
            model=data["model"].slug,
            seed=-1 if data["seed"] is None else data["seed"],
            interpolate=data["interpolate"] or 1,
            **given,
        )

    def requests(self, first: JobRequest, images: list[SourceImage]) -> list[JobRequest]:
        """Every picture with every prompt, in variations; each picture cut around its own focus.

        Only the first picture can be the frame that is continued. Raises BadSetting for too many.
        """
        prompts = [first.prompt, *self.cleaned_data["prompts"]]
        wishes = expanded(
            request=first, images=images, prompts=prompts, variations=self.cleaned_data["variations"] or 1
        )
        focus = {image.pk: self.focus_of(place) for place, image in enumerate(images)}
        return [self._for_its_picture(wish, first, focus) for wish in wishes]

    def _for_its_picture(
        self, wish: JobRequest, first: JobRequest, focus: dict[UUID, tuple[float, float]]
    ) -> JobRequest:
        if wish.image is None:
            return wish
        x, y = focus[wish.image.pk]
        if wish.image == first.image:
            return replace(wish, focus_x=x, focus_y=y)
        return replace(wish, focus_x=x, focus_y=y, continues=None, continues_frame=None)

    def focus_of(self, place: int) -> tuple[float, float]:
        """Around which point the picture at this place is cut: the middle unless another one was given."""
        return _share(self.data, "focus_x", place), _share(self.data, "focus_y", place)


class VideoForm(WishForm):
    """Everything that one video, or a batch of them, needs. The pictures themselves: generation.pages.pictures."""

    image_url = forms.CharField(required=False, max_length=2048)
    prompt = TextField(max_length=settings.PROMPT_MAX_CHARS)
    focus_x = forms.FloatField(required=False, min_value=0, max_value=1)
    focus_y = forms.FloatField(required=False, min_value=0, max_value=1)
    end_image_id = forms.UUIDField(required=False)
    continues = forms.UUIDField(required=False)
    continues_frame = _count(gettext_lazy("Frame"))
    visible_label = forms.BooleanField(required=False)
    rights = forms.BooleanField(error_messages={"required": gettext_lazy("Confirm that you may use this picture.")})
    # Where what is wrong with pictures is said; their files and ids are read by generation.pages.pictures.
    image = forms.Field(required=False)
    image_id = forms.Field(required=False)
    end_image = forms.Field(required=False)

    def clean_focus_x(self) -> list[float]:
        return self._of_every_picture("focus_x")

    def clean_focus_y(self) -> list[float]:
        return self._of_every_picture("focus_y")

    def _of_every_picture(self, name: str) -> list[float]:
        return [self.fields[name].clean(value) for value in listed(self.data, name)]

    def clean_image_url(self) -> str:
        address = str(self.cleaned_data["image_url"])
        try:
            if address:
                check_image_url(address)
        except DomainError as exc:
            raise ValidationError(exc.message) from exc
        return address

    def clean_end_image_id(self) -> SourceImage | None:
        chosen = self.cleaned_data["end_image_id"]
        if chosen is None:
            return None
        image = SourceImage.objects.filter(owner=self.owner, pk=chosen, hidden_at=None).first()
        if image is None:
            raise ValidationError(_("That picture is gone. Choose another one."))
        return image

    def clean_continues(self) -> VideoJob | None:
        """The video whose frame the picture is. One that is gone is only forgotten: the picture is there."""
        pk = self.cleaned_data["continues"]
        return queries.jobs_of(self.owner).filter(pk=pk).first() if pk else None

    def request(self) -> JobRequest:
        """The wish with its first prompt and no picture, as it may be submitted."""
        data = self.cleaned_data
        continues = data["continues"]
        return replace(
            super().request(),
            image_url=data["image_url"],
            # An emptied field means: no negative prompt. Only a form without it asks for the model's own.
            negative_prompt=data["negative_prompt"] if "negative_prompt" in self.data else None,
            end_image=data["end_image_id"] if data["model"].takes_end_image else None,
            continues=continues,
            continues_frame=data["continues_frame"] if continues else None,
            visible_label=data["visible_label"],
            rights_version=RIGHTS_VERSION,
            focus_x=self.focus_of(0)[0],
            focus_y=self.focus_of(0)[1],
        )


def listed(data: Any, name: str) -> list[Any]:
    """All values of a repeated field, of what a browser sent or of a plain dict."""
    if hasattr(data, "getlist"):
        return list(data.getlist(name))
    given = data.get(name, [])
    return given if isinstance(given, list) else [given]


def _share(data: Any, name: str, place: int) -> float:
    """The value at `place` of a repeated field, from 0 to 1; the middle when it is none."""
    try:
        return min(1.0, max(0.0, float(listed(data, name)[place])))
    except (IndexError, TypeError, ValueError):
        return 0.5
