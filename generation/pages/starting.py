"""What the create page's form begins with, and what it becomes when a model, a preset or a suggestion is chosen."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict

from generation import queries
from generation.models import Preset, SourceImage, VideoJob
from generation.pages import choosing
from generation.pages.forms import job_settings
from generation.pages.http import UserRequest
from generation.pages.pictures import frame_of, named_pictures, own_picture
from generation.pages.video_forms import SettingsForm
from generation.services import labels
from generation.services.fitting import fitted
from generation.services.jobs import JobRequest

_CARRIED = ("size", "num_frames", "seconds", "fps")  # from one model to the next
_ANY_MODELS = (
    "model",
    "prompt",
    "size",
    "num_frames",
    "seconds",
    "seed",
    "seed_lock",
    "variations",
    "image_url",
    "end_image_id",
    "visible_label",
)
_ONE_MODELS = ("fps", "steps", "cfg_scale", "negative_prompt", "interpolate", "chosen_by")


def starting_point(request: UserRequest) -> tuple[dict[str, Any], list[SourceImage]]:
    """What an address asks for: `from` a job, with a `preset`, a `model`, an `image` that continues a video."""
    image = own_picture(request, request.GET.get("image"))
    continues, frame = frame_of(request, request.GET)
    begun = {"continues": continues.pk if continues else None, "continues_frame": frame}
    job = _job_named(request)
    if job is None:
        usual = {"visible_label": labels.usual_for(request.user)}
        return usual | changed(request.user, request.GET) | begun, [image] if image else []
    image = image or (job.image if job.image and not job.image.hidden_at else None)
    return _of_job(job) | (begun if continues else {}), [image] if image else []


def _job_named(request: UserRequest) -> VideoJob | None:
    try:
        return queries.jobs_of(request.user).filter(pk=request.GET["from"]).first() if "from" in request.GET else None
    except ValidationError:
        return None


def _of_job(job: VideoJob) -> dict[str, Any]:
    return job_settings(job) | {
        "model": job.model.slug,
        "prompt": job.prompt,
        "seed": job.seed,
        "image_url": "" if job.image else job.image_url,
        "end_image_id": job.end_image_id,
        "interpolate": job.interpolate,
        "continues": job.continues_id,
        "continues_frame": job.continues_frame,
        "visible_label": job.visible_label,
        "focus": (job.focus_x, job.focus_y),
    }


def changed(owner: User, data: QueryDict) -> dict[str, Any]:
    """The form's values after the model, a preset or a setting was changed: what belongs to the old model goes."""
    values: dict[str, Any] = {name: data[name] for name in _ANY_MODELS if name in data}
    if data.get("settings_of") == data.get("model"):
        values |= {name: data[name] for name in _ONE_MODELS if name in data}
    elif fitting := for_another_model(owner, data.dict()):
        values.pop("seconds", None)
        values |= fitting
    try:
        preset = Preset.objects.select_related("model").filter(owner=owner, pk=str(data["preset"])).first()
    except (KeyError, ValidationError):
        preset = None
    if preset is not None:
        values.pop("seconds", None)
        values |= {"size": "", "num_frames": None, "seed": None, **preset.values, "model": preset.model.slug}
    return values


def for_another_model(owner: User, data: Mapping[str, Any]) -> dict[str, Any]:
    """Size and length of the form's old model (`settings_of`) as near as its new one (`model`) takes them."""
    rows = {row.slug: row for row in queries.visible_models(owner)}
    old, new = rows.get(str(data.get("settings_of"))), rows.get(str(data.get("model")))
    if old is None or new is None:
        return {}
    form = SettingsForm({name: data.get(name, "") for name in _CARRIED} | {"model": old.slug}, owner=owner)
    if not form.is_valid():
        return {}
    given = {name: form.cleaned_data[name] for name in ("size", "num_frames", "fps")}
    try:
        fit = fitted(new, JobRequest(prompt="", model=old.slug, **given), asked=old)
    except ValueError:  # a size that is none
        return {}
    return {"size": fit.size, "num_frames": fit.num_frames, "fps": fit.fps}


def shown_again(request: UserRequest) -> tuple[dict[str, Any], list[SourceImage]]:
    """The form as a browser without scripts sent it to have it shown again, with what its button changes."""
    data = request.POST.copy()
    for name, value in choosing.applied(data.get("apply", "")).items():
        data[name] = value
        if name == "num_frames":
            data.pop("seconds", None)
    values = changed(request.user, data) | {name: data.get(name) for name in ("continues", "continues_frame")}
    values |= {"rights": "rights" in data, "prompts": [text for text in data.getlist("prompts") if text.strip()]}
    if data.get("action") == "add_prompt":
        values["prompts"].append("")
    removed = data.get("remove", "")
    return values, [image for image in named_pictures(request, data) if str(image.pk) != removed]
