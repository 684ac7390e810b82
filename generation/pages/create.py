"""The page where a video begins."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from generation import queries
from generation.models import SourceImage
from generation.pages import choosing, moves
from generation.pages.forms import NameForm
from generation.pages.http import UserRequest, put_beside
from generation.pages.pictures import frame_of, given_pictures, named_pictures, stored_uploads
from generation.pages.settings_part import other_prompts, settings_context
from generation.pages.starting import changed, shown_again, starting_point
from generation.pages.video_forms import SettingsForm, VideoForm, WishForm
from generation.services import batches, prompt_help
from generation.services.presets import create_preset
from generation.services.rights import RIGHTS_TEXT
from generation.services.rules import submit_by_rule
from i2v_site.errors import DomainError

_ACTIONS = ("update", "preset", "add_prompt")  # buttons that only change the form, for browsers without scripts
SENT_COOKIE = "i2v_sent"
SENT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Chosen:
    """A picture in the form, and around which point it is cut."""

    image: SourceImage
    focus_x: float
    focus_y: float


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: UserRequest) -> HttpResponse:
    if request.method == "POST":
        return _submit(request)
    initial, images = starting_point(request)
    return _page(request, VideoForm(owner=request.user, initial=initial), images)


@login_required
@require_GET
def settings_fields(request: UserRequest) -> HttpResponse:
    """The settings again, after another model or a preset was chosen."""
    form = VideoForm(owner=request.user, initial=changed(request.user, request.GET))
    images = named_pictures(request, request.GET)
    return render(request, "generation/_settings_answer.html", settings_context(request, form, images))


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def estimate(request: UserRequest) -> HttpResponse:
    """What the settings mean: times, prices and warnings. Empty while they are no settings (yet)."""
    data = request.POST if request.method == "POST" else request.GET  # a prompt may be too long for an address
    form = WishForm(data, owner=request.user)
    if not form.is_valid():
        problem = " ".join(str(error) for error in form.errors.get("seconds", ()))
        return render(request, "generation/_estimate.html", {"problem": problem}) if problem else HttpResponse()
    rows = list(queries.visible_models(request.user))
    images = named_pictures(request, data)
    seen = choosing.look_at_all(request.user, rows, form, images, chosen_by=data.get("chosen_by", ""))
    return render(request, "generation/_estimate_answer.html", seen.context())


@login_required
@never_cache
@require_POST
def prompt_hints(request: UserRequest) -> HttpResponse:
    """What would make the prompt better, each with a button that does it."""
    data = request.POST
    context = {"hints": _hints(request, data.get("prompt", ""), data.get("negative_prompt", ""))}
    return render(request, "generation/_prompt_hints.html", context)


def _hints(request: UserRequest, prompt: str, negative_prompt: str) -> list[dict[str, str]]:
    """Each with the query string of what its button changes."""
    most = settings.PROMPT_MAX_CHARS
    slug = request.POST.get("model") or request.GET.get("model")
    model = queries.visible_models(request.user).filter(slug=slug).first() if slug else None
    text = prompt_help.Text(
        prompt=prompt[:most],
        negative_prompt=negative_prompt[:most],
        reads_chars=model.prompt_reads_chars if model else None,
    )
    return [
        {"code": hint.code, "message": hint.message, "label": hint.label, "query": urlencode(hint.changes)}
        for hint in prompt_help.hints(text)
    ]


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
            label = broken[field].label if field in broken.fields else field
            return _presets(request, problem=f"{label}: {problems[0]}", status=422)
    name = names.cleaned_data["name"]
    try:
        create_preset(owner=request.user, name=name, model=form.cleaned_data["model"].slug, values=form.values())
    except DomainError as exc:
        return _presets(request, problem=exc.message, status=422)
    return _presets(request, saved=name)


def _presets(request: UserRequest, *, status: int = 200, **context: Any) -> HttpResponse:
    if not request.htmx:
        done = _("Saved the preset “%(name)s”.") % {"name": context.get("saved", "")}
        messages.info(request, context.get("problem") or done)
        return redirect("create")
    context["presets"] = request.user.presets.select_related("model")
    return render(request, "generation/_presets.html", context, status=status)


def _submit(request: UserRequest) -> HttpResponse:
    if "apply" in request.POST or "remove" in request.POST or request.POST.get("action") in _ACTIONS:
        return _shown_again(request)
    form, status = VideoForm(request.POST, owner=request.user), 422
    form.is_valid()
    images = given_pictures(request, form)
    [*ends] = stored_uploads(request, form, "end_image")
    if not form.errors:
        try:
            return _sent(request, _made(request, form, images, ends))
        except DomainError as exc:
            put_beside(form, exc)
            status = exc.status
    return _page(request, form, images, status=status)


def _made(request: UserRequest, form: VideoForm, images: list[SourceImage], ends: list[SourceImage]) -> str:
    """Ask for the video, or for all of them; the address at which they can be seen. Raises DomainError."""
    first = replace(form.request(), image=images[0] if images else None)
    if images:
        first = replace(first, image_url="")
    if ends and form.cleaned_data["model"].takes_end_image:
        first = replace(first, end_image=ends[0])
    because = choosing.because_of(request.POST.get("chosen_by", ""), str(first.model))
    wishes = form.requests(first, images)
    if len(wishes) == 1:
        return reverse("job", args=[submit_by_rule(owner=request.user, request=wishes[0], because=because).pk])
    batch = batches.submit_batch(owner=request.user, requests=wishes, because=because)
    return f"{reverse('library')}?batch={batch.pk}"


def _sent(request: UserRequest, address: str) -> HttpResponse:
    """On to the video. The page's script finds in the cookie that what it kept of this form is done with."""
    answer = redirect(address)
    draft = request.POST.get("draft", "")
    if draft.isalnum() and len(draft) <= 40:
        answer.set_cookie(SENT_COOKIE, draft, max_age=SENT_SECONDS, samesite="Lax", secure=request.is_secure())
    return answer


def _shown_again(request: UserRequest) -> HttpResponse:
    initial, images = shown_again(request)
    form = VideoForm(owner=request.user, initial=initial)
    problems = VideoForm(request.POST, owner=request.user)
    problems.is_valid()
    images += stored_uploads(request, problems, "image")
    for problem in problems.errors.get("image", ()):
        messages.warning(request, str(problem))
    return _page(request, form, images)


def _page(request: UserRequest, form: VideoForm, images: list[SourceImage], *, status: int = 200) -> HttpResponse:
    continues, frame = frame_of(request, {name: str(form[name].value() or "") for name in _CONTINUES})
    chosen = _chosen(request, form, images)
    context = settings_context(request, form, images) | {
        "chosen_pictures": chosen,
        "shown": chosen[0] if chosen else None,
        "continues": continues,
        "continues_frame": frame,
        "other_prompts": other_prompts(form),
        "moves": moves.groups(),
        "hints": _hints(request, str(form["prompt"].value() or ""), str(form["negative_prompt"].value() or "")),
        "fresh": request.method != "POST" and not request.GET,
        "rights_text": RIGHTS_TEXT,
        "prompt_max": settings.PROMPT_MAX_CHARS,
        "picture_max_bytes": settings.PICTURE_MAX_BYTES,
        "most_videos": batches.MAX_BATCH,
    }
    return render(request, "generation/create.html", context, status=status)


_CONTINUES = ("continues", "continues_frame")


def _chosen(request: UserRequest, form: VideoForm, images: list[SourceImage]) -> list[Chosen]:
    """The pictures with the focus that was sent beside each, or that the job had which fills the form."""
    given = VideoForm(request.POST, owner=request.user)
    places = {pk: place for place, pk in enumerate(request.POST.getlist("image_id"))}
    begun = form.initial.get("focus", (0.5, 0.5))
    return [
        Chosen(image, *(given.focus_of(places[str(image.pk)]) if str(image.pk) in places else begun))
        for image in images
    ]
