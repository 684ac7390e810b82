"""What the pages accept: shape only. What a model takes is decided by the services."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from generation import queries
from generation.api.fields import text_problem
from generation.models import ApiToken, SourceImage, Status, VideoJob, VideoModel
from generation.services.jobs import MAX_SEED, JobRequest
from generation.services.picture_urls import check_image_url
from i2v_site.errors import DomainError

# The wording that people agree to. Change the version with the words: a job keeps the one it was made under.
RIGHTS_VERSION = "2026-11"
RIGHTS_TEXT = "I have the rights to use this picture, and the people in it agree to this video."

# The job's columns by the names that the API and the form use for them.
SETTINGS = {
    "size": "size",
    "num_frames": "frames",
    "fps": "fps",
    "steps": "steps",
    "cfg_scale": "cfg_scale",
    "negative_prompt": "negative_prompt",
}
_MAX_INT = 2**31 - 1
_MAX_SIDE = 100_000


class TextField(forms.CharField):
    """Trimmed text by the same rules as in the API; line breaks come as \\n."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text

    def validate(self, value: Any) -> None:
        super().validate(value)
        if problem := text_problem(value):
            raise ValidationError(problem)


def _count(label: str, **values: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=_MAX_INT, **values)


class SettingsForm(forms.Form):
    """The settings of a job, without picture and prompt; empty means: the model's default."""

    model = forms.ModelChoiceField(VideoModel.objects.none(), to_field_name="slug", empty_label=None)
    size = forms.CharField(max_length=12, required=False)
    num_frames = _count("Frames")
    fps = _count("Frames per second")
    steps = _count("Steps")
    cfg_scale = forms.FloatField(label="CFG scale", required=False, min_value=0, max_value=1000)
    seed = forms.IntegerField(required=False, min_value=-1, max_value=MAX_SEED)
    negative_prompt = TextField(required=False, max_length=settings.PROMPT_MAX_CHARS)

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].queryset = queries.visible_models(owner)  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """The settings that were given, by their API names."""
        names = [*SETTINGS, "seed"]
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name) not in (None, "")}


class LookForm(SettingsForm):
    """What is known of a video while its form is filled in: enough to say what it would take."""

    prompt = forms.CharField(required=False, max_length=settings.PROMPT_MAX_CHARS)
    # Of a picture that is chosen and not sent yet.
    picture_width = forms.IntegerField(required=False, min_value=1, max_value=_MAX_SIDE)
    picture_height = forms.IntegerField(required=False, min_value=1, max_value=_MAX_SIDE)

    def request(self, image: SourceImage | None) -> JobRequest:
        """The wish so far, never to be submitted."""
        data = self.cleaned_data
        width, height = data["picture_width"], data["picture_height"]
        if image is None and width and height:
            image = SourceImage(width=width, height=height)
        given = {name: data[name] for name in ("size", "num_frames", "fps", "steps", "cfg_scale")}
        return JobRequest(prompt=data["prompt"], model=data["model"].slug, image=image, **given)


class VideoForm(SettingsForm):
    """Everything that one video needs."""

    image = forms.FileField(required=False)
    image_id = forms.UUIDField(required=False)
    image_url = forms.CharField(required=False, max_length=2048)
    prompt = TextField(max_length=settings.PROMPT_MAX_CHARS)
    focus_x = forms.FloatField(required=False, min_value=0, max_value=1)
    focus_y = forms.FloatField(required=False, min_value=0, max_value=1)
    rights = forms.BooleanField(error_messages={"required": "Confirm that you may use this picture."})

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, owner=owner, **kwargs)
        self.owner = owner

    def clean_image_url(self) -> str:
        address = str(self.cleaned_data["image_url"])
        try:
            if address:
                check_image_url(address)
        except DomainError as exc:
            raise ValidationError(exc.message) from exc
        return address

    def clean_image_id(self) -> SourceImage | None:
        chosen = self.cleaned_data["image_id"]
        if chosen is None:
            return None
        image = SourceImage.objects.filter(owner=self.owner, pk=chosen).first()
        if image is None:
            raise ValidationError("That picture is gone. Choose another one.")
        return image

    def request(self, image: SourceImage | None) -> JobRequest:
        data = self.cleaned_data
        given = {name: data[name] for name in ("num_frames", "fps", "steps", "cfg_scale")}
        return JobRequest(
            prompt=data["prompt"],
            model=data["model"].slug,
            image=image,
            image_url="" if image else data["image_url"],
            # An emptied field means: no negative prompt. Only a form without it asks for the model's own.
            negative_prompt=data["negative_prompt"] if "negative_prompt" in self.data else None,
            size=data["size"],
            focus_x=0.5 if data["focus_x"] is None else data["focus_x"],
            focus_y=0.5 if data["focus_y"] is None else data["focus_y"],
            seed=-1 if data["seed"] is None else data["seed"],
            rights_version=RIGHTS_VERSION,
            **given,
        )


def job_settings(job: VideoJob) -> dict[str, Any]:
    """A job's settings by their API names, for a form or a preset. The seed is left out: it belongs to one video."""
    return {name: getattr(job, column) for name, column in SETTINGS.items()}


class NameForm(forms.Form):
    """A name for a token or a preset."""

    name = TextField(max_length=80)


class TokenForm(NameForm):
    def save(self, owner: User) -> str:
        """Create the token and return its secret, which is not kept."""
        _row, secret = ApiToken.objects.create(user=owner, name=self.cleaned_data["name"])
        return str(secret)


class LibraryFilter(forms.Form):
    """The library's filters. Anything that does not fit is ignored: an old bookmark still shows the library."""

    status = forms.ChoiceField(choices=[("active", "In the making"), *Status.choices], required=False)
    model = forms.CharField(max_length=80, required=False)
    q = forms.CharField(max_length=200, required=False)
