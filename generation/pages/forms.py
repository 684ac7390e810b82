"""What the smaller forms of the pages accept: shape only. (The create page's: generation.pages.video_forms.)"""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from generation.api.fields import text_problem
from generation.models import ApiToken, VideoJob

# The job's columns by the names that the API and the form use for them.
SETTINGS = {
    "size": "size",
    "num_frames": "frames",
    "fps": "fps",
    "steps": "steps",
    "cfg_scale": "cfg_scale",
    "negative_prompt": "negative_prompt",
}


class TextField(forms.CharField):
    """Trimmed text by the same rules as in the API; line breaks come as \\n."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text

    def validate(self, value: Any) -> None:
        super().validate(value)
        if problem := text_problem(value):
            raise ValidationError(problem)


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
