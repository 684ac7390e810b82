"""The page where a video begins."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from generation import queries
from generation.models import Preset, SourceImage
from generation.pages import choosing, forms
from generation.pages.forms import LookForm, NameForm, SettingsForm, VideoForm
from generation.pages.http import UserRequest, put_beside
from generation.pages.settings_part import for_another_model, settings_context
from generation.services.intake import store_picture
from generation.services.presets import create_preset
from generation.services.rules import submit_by_rule
from i2v_site.errors import DomainError

EXAMPLES = [
    "Push in slowly",
    "Slow orbit to the left",
    "Gentle wind, soft light",
    "She turns and smiles",
    "Pan right, handheld",
]
PICTURES_OFFERED = 24


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
    form = VideoForm(owner=request.user, initial=_changed(request.user, request.GET))
    image = _own_picture(request, request.GET.get("image_id"))
    return render(request, "generation/_settings_answer.html", settings_context(request, form, image))


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def estimate(request: UserRequest) -> HttpResponse:
    """What the settings mean: times, prices and warnings. Empty while they are no settings (yet)."""
    data = request.POST if request.method == "POST" else request.GET  # a prompt may be too long for an address
    form = LookForm(data, owner=request.user)
    if not form.is_valid():
        return HttpResponse()
    wish = form.request(_own_picture(request, data.get("image_id")))
    rows = list(queries.visible_models(request.user))
    seen = choosing.look(request.user, rows, wish, chosen_by=data.get("chosen_by", ""))
    return render(request, "generation/_estimate_answer.html", seen.context())


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
    if "apply" in request.POST or request.POST.get("action") in ("update", "preset"):  # what scripts do otherwise
        initial = _changed(request.user, _with_applied(request.POST)) | {"rights": "rights" in request.POST}
        form = VideoForm(owner=request.user, initial=initial)
        return _page(request, form, image=_kept(request))
    form, status = VideoForm(request.POST, request.FILES, owner=request.user), 422
    form.is_valid()
    image = _picture(request, form)
    if not form.errors:
        try:
            wish = form.request(image)
            because = choosing.because_of(request.POST.get("chosen_by", ""), str(wish.model))
            job = submit_by_rule(owner=request.user, request=wish, because=because)
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
        return _changed(request.user, request.GET), image
    initial = forms.job_settings(job) | {
        "model": job.model.slug,
        "prompt": job.prompt,
        "seed": job.seed,
        "image_url": "" if job.image else job.image_url,
        "focus_x": job.focus_x,
        "focus_y": job.focus_y,
    }
    return initial, image or job.image


_ANY_MODELS = ("model", "prompt", "size", "num_frames", "seed", "image_url", "focus_x", "focus_y")
_ONE_MODELS = ("fps", "steps", "cfg_scale", "negative_prompt", "chosen_by")


def _changed(owner: User, data: QueryDict) -> dict[str, Any]:
    """The form's values after the model, a preset or a setting was changed: what belongs to the old model goes."""
    values: dict[str, Any] = {name: data[name] for name in _ANY_MODELS if name in data}
    if data.get("settings_of") == data.get("model"):
        values |= {name: data[name] for name in _ONE_MODELS if name in data}
    else:
        values |= for_another_model(owner, data.dict())
    try:
        preset = Preset.objects.select_related("model").filter(owner=owner, pk=str(data["preset"])).first()
    except (KeyError, ValidationError):
        preset = None
    if preset is not None:
        values |= {"size": "", "num_frames": None, "seed": None, **preset.values, "model": preset.model.slug}
    return values


def _with_applied(data: QueryDict) -> QueryDict:
    """The form as it is after a suggestion's button was pressed."""
    changed = data.copy()
    for name, value in choosing.applied(data.get("apply", "")).items():
        changed[name] = value
    return changed


def _page(request: UserRequest, form: VideoForm, *, image: SourceImage | None, status: int = 200) -> HttpResponse:
    context = settings_context(request, form, image) | {
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
