"""The page where a video begins."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from generation import queries
from generation.models import Preset, Provider, SourceImage, VideoModel
from generation.pages import forms
from generation.pages.forms import NameForm, SettingsForm, VideoForm
from generation.pages.http import UserRequest, put_beside
from generation.services.estimate import estimate_job
from generation.services.intake import store_picture
from generation.services.jobs import JobRequest, is_runnable, parse_size, submit_job
from generation.services.presets import create_preset
from i2v_site.errors import DomainError

EXAMPLES = [
    "Push in slowly",
    "Slow orbit to the left",
    "Gentle wind, soft light",
    "She turns and smiles",
    "Pan right, handheld",
]
PICTURES_OFFERED = 24


@dataclass(frozen=True, slots=True)
class ModelChoice:
    row: VideoModel
    runnable: bool
    simulated: bool


@dataclass(frozen=True, slots=True)
class SizeChoice:
    value: str
    width: int
    height: int

    @property
    def shape(self) -> str:
        if self.width == self.height:
            return "Square"
        return "Wide" if self.width > self.height else "Tall"


@dataclass(frozen=True, slots=True)
class NumberSetting:
    """A number with the range that the chosen model takes."""

    name: str
    label: str
    value: Any
    least: float
    most: float
    step: float
    help: str
    errors: list[str]


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: UserRequest) -> HttpResponse:
    if request.method == "POST":
        return _submit(request)
    initial, image = _starting_point(request)
    return _page(request, VideoForm(owner=request.user, initial=initial), image=image)


@login_required
@require_GET
def settings_fields(request: UserRequest) -> HttpResponse:
    """The settings again, after another model or a preset was chosen."""
    form = VideoForm(owner=request.user, initial=_changed(request.user.pk, request.GET))
    return render(request, "generation/_settings.html", _settings_context(request, form))


@login_required
@require_GET
def estimate(request: UserRequest) -> HttpResponse:
    """One line: how long it will take. Empty when the settings do not fit (yet)."""
    form = SettingsForm(request.GET, owner=request.user)
    context: dict[str, Any] = {}
    if form.is_valid():
        data = form.cleaned_data
        given = {name: data[name] for name in ("size", "num_frames", "fps", "steps", "cfg_scale")}
        image = _own_picture(request, request.GET.get("image_id"))
        try:
            wish = JobRequest(prompt="", model=data["model"].slug, image=image, **given)
            context["estimate"] = estimate_job(owner=request.user, request=wish)
        except DomainError as exc:
            context["problem"] = exc.message
    return render(request, "generation/_estimate.html", context)


@login_required
@require_POST
def save_preset(request: UserRequest) -> HttpResponse:
    """Keep the settings in the form under a name."""
    names, form = (
        NameForm({"name": request.POST.get("preset_name", "")}),
        SettingsForm(request.POST, owner=request.user),
    )
    for broken in (names, form):
        if not broken.is_valid():
            field, problems = next(iter(broken.errors.items()))
            return _presets(request, problem=f"{field.replace('_', ' ').capitalize()}: {problems[0]}", status=422)
    name = names.cleaned_data["name"]
    try:
        create_preset(owner=request.user, name=name, model=form.cleaned_data["model"].slug, values=form.values())
    except DomainError as exc:
        return _presets(request, problem=exc.message, status=422)
    return _presets(request, saved=name)


def _presets(request: UserRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    if not request.htmx:
        messages.info(request, context.get("problem") or f"Saved the preset “{context['saved']}”.")
        return redirect("create")
    context["presets"] = request.user.presets.select_related("model")
    return render(request, "generation/_presets.html", context, status=status)


def _submit(request: UserRequest) -> HttpResponse:
    if request.POST.get("action") in ("update", "preset"):  # what htmx does with scripts
        form = VideoForm(owner=request.user, initial=_changed(request.user.pk, request.POST))
        return _page(request, form, image=_kept(request))
    form, status = VideoForm(request.POST, request.FILES, owner=request.user), 422
    form.is_valid()
    image = _picture(request, form)
    if not form.errors:
        try:
            job = submit_job(owner=request.user, request=form.request(image))
        except DomainError as exc:
            put_beside(form, exc)
            status = exc.status
        else:
            return redirect("job", job.pk)
    return _page(request, form, image=image, status=status)


def _picture(request: UserRequest, form: VideoForm) -> SourceImage | None:
    """The picture given. An upload is stored even when another field is wrong, so that nobody sends it twice."""
    chosen: SourceImage | None = form.cleaned_data.get("image_id")
    upload = form.cleaned_data.get("image")
    if upload:
        try:
            return store_picture(owner=request.user, file=upload, name=upload.name or "")
        except DomainError as exc:
            form.add_error("image", exc.message)
            return None
    if (
        not chosen
        and not form.data.get("image_url")
        and not form.errors.get("image_id")
        and not form.errors.get("image")
    ):
        form.add_error("image", "Choose a picture.")
    return chosen


def _kept(request: UserRequest) -> SourceImage | None:
    """The picture of a form that is only shown again."""
    upload = request.FILES.get("image")
    if upload is not None:
        try:
            return store_picture(owner=request.user, file=upload, name=upload.name or "")
        except DomainError as exc:
            messages.warning(request, exc.message)
    return _own_picture(request, request.POST.get("image_id"))


def _own_picture(request: UserRequest, pk: str | None) -> SourceImage | None:
    try:
        return SourceImage.objects.filter(owner=request.user, pk=UUID(pk)).first() if pk else None
    except ValueError:
        return None


def _starting_point(request: UserRequest) -> tuple[dict[str, Any], SourceImage | None]:
    """What an address asks for: `from` a job, with a `preset`, a `model`, an `image`."""
    image = _own_picture(request, request.GET.get("image"))
    try:
        job = queries.jobs_of(request.user).filter(pk=request.GET["from"]).first() if "from" in request.GET else None
    except ValidationError:
        job = None
    if job is None:
        return _changed(request.user.pk, request.GET), image
    initial = forms.job_settings(job) | {
        "model": job.model.slug,
        "prompt": job.prompt,
        "seed": job.seed,
        "image_url": "" if job.image else job.image_url,
        "focus_x": job.focus_x,
        "focus_y": job.focus_y,
    }
    return initial, image or job.image


def _changed(owner_id: int, data: QueryDict) -> dict[str, Any]:
    """The form's values after the model or a preset was changed: what belongs to the old model goes."""
    kept = ("model", "prompt", "size", "num_frames", "seed", "image_url", "focus_x", "focus_y")
    values: dict[str, Any] = {name: data[name] for name in kept if name in data}
    try:
        preset = Preset.objects.select_related("model").filter(owner=owner_id, pk=str(data["preset"])).first()
    except (KeyError, ValidationError):
        preset = None
    if preset is not None:
        values |= {"size": "", "num_frames": None, "seed": None, **preset.values, "model": preset.model.slug}
    return values


def _page(request: UserRequest, form: VideoForm, *, image: SourceImage | None, status: int = 200) -> HttpResponse:
    context = _settings_context(request, form) | {
        "image": image,
        "pictures": request.user.source_images.all()[:PICTURES_OFFERED],
        "examples": EXAMPLES,
        "rights_text": forms.RIGHTS_TEXT,
        "prompt_max": settings.PROMPT_MAX_CHARS,
        "picture_max_bytes": settings.PICTURE_MAX_BYTES,
        "focus_x": _share(form["focus_x"].value()),
        "focus_y": _share(form["focus_y"].value()),
    }
    return render(request, "generation/create.html", context, status=status)


def _share(value: Any) -> float:
    try:
        return min(1.0, max(0.0, float(value)))
    except (TypeError, ValueError):
        return 0.5


def _settings_context(request: UserRequest, form: VideoForm) -> dict[str, Any]:
    rows = [
        ModelChoice(row, is_runnable(row), settings.DEMO and row.provider == Provider.SWARMUI)
        for row in queries.visible_models(request.user)
    ]
    model = _chosen_model(rows, form)
    if model is None:
        return {"form": form, "models": []}
    size = str(form["size"].value() or "")
    return {
        "form": form,
        "models": rows,
        "model": model,
        "sizes": _sizes(model, size),
        "size": size,
        "numbers": _numbers(model, form),
        "negative_prompt": _or_default(form["negative_prompt"].value(), model.default_negative_prompt),
        "presets": request.user.presets.select_related("model"),
    }


def _chosen_model(rows: list[ModelChoice], form: VideoForm) -> VideoModel | None:
    wanted = form["model"].value()
    ready = [choice.row for choice in rows if choice.runnable]
    found = [row for row in ready if row.slug == wanted]
    return next(iter([*found, *ready, *(choice.row for choice in rows)]), None)


def _sizes(model: VideoModel, chosen: str) -> list[SizeChoice]:
    offered = [*model.sizes]
    try:
        own = parse_size(chosen)
    except ValueError:
        own = None
    if own and chosen not in offered:
        offered.append(chosen)  # from a job or a preset made by the API
    return [SizeChoice(text, *parse_size(text)) for text in offered]


def _numbers(model: VideoModel, form: VideoForm) -> dict[str, NumberSetting]:
    def setting(name: str, label: str, column: str, step: float, text: str = "") -> NumberSetting:
        default = getattr(model, f"default_{column}")
        least, most = getattr(model, f"min_{column}"), getattr(model, f"max_{column}")
        value = _or_default(form[name].value(), default)
        if not form.is_bound:
            value = _fitting(value, default, least, most)
        return NumberSetting(
            name, label, value, least, most, step, text, [str(error) for error in form.errors.get(name, [])]
        )

    return {
        "num_frames": setting("num_frames", "Frames", "frames", model.frames_step),
        "fps": setting("fps", "Frames per second", "fps", 1, "More is smoother and shorter."),
        "steps": setting("steps", "Steps", "steps", 1, "More takes longer and can add detail."),
        "cfg_scale": setting("cfg_scale", "CFG scale", "cfg", 0.1, "How closely the prompt is followed."),
    }


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _fitting(value: Any, default: Any, least: float, most: float) -> Any:
    """A value from another model or an address, unless this model does not take it."""
    try:
        return value if least <= float(value) <= most else default
    except (TypeError, ValueError):
        return default
