"""The settings on the create page: what the chosen model offers, filled with what was given or its defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from generation import queries
from generation.models import SourceImage, VideoModel
from generation.pages import choosing
from generation.pages.http import UserRequest
from generation.pages.pictures import own_picture
from generation.pages.video_forms import VideoForm, WishForm, listed
from generation.services.asking import INTERPOLATIONS
from generation.services.batches import MAX_VARIATIONS
from generation.services.fitting import nearest_frames
from generation.services.jobs import JobRequest, parse_size
from generation.services.lengths import Span, seconds_text, span_of
from generation.services.options import runnable
from generation.services.smoothing import interpolation_offered

MAX_NUMBER = 1e9  # what any setting may be
_ADVANCED = ("fps", "steps", "cfg_scale", "seed", "negative_prompt", "interpolate", "end_image", "end_image_id")


@dataclass(frozen=True, slots=True)
class SizeChoice:
    value: str
    width: int
    height: int

    @property
    def shape(self) -> str:
        if self.width == self.height:
            return _("Square")
        return _("Wide") if self.width > self.height else _("Tall")

    @property
    def aspect(self) -> str:
        """ "16:9", or the nearest of the usual names for sizes that had to be multiples of 16."""
        ratio = self.width / self.height
        name = min(_ASPECTS, key=lambda known: abs(_ASPECTS[known] / ratio - 1))
        if abs(_ASPECTS[name] / ratio - 1) < 0.03:
            return name
        common = gcd(self.width, self.height)
        return f"{self.width // common}:{self.height // common}"


_ASPECTS = {"21:9": 21 / 9, "16:9": 16 / 9, "3:2": 3 / 2, "4:3": 4 / 3, "5:4": 5 / 4, "1:1": 1.0}
_ASPECTS |= {":".join(reversed(name.split(":"))): 1 / ratio for name, ratio in _ASPECTS.items()}


@dataclass(frozen=True, slots=True)
class LengthChoice:
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Length:
    """How long the video is: seconds for people, and the frames that the model makes of them.

    `choices` are the only durations that it makes; empty when any in its span will do.
    """

    seconds: str
    frames: int
    fps: int
    span: Span
    step: int
    choices: list[LengthChoice]
    errors: list[str]

    @property
    def least(self) -> str:
        return f"{self.span.least_s:.4g}"

    @property
    def most(self) -> str:
        return f"{self.span.most_s:.4g}"


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

    @property
    def is_fixed(self) -> bool:
        return self.least == self.most and not self.errors


def settings_context(request: UserRequest, form: VideoForm, images: Sequence[SourceImage]) -> dict[str, Any]:
    """The settings and everything that is said about models and money, for a whole page or the part of one."""
    rows = list(queries.visible_models(request.user))
    model, chosen_by = _chosen_model(request.user, rows, form, images[0] if images else None)
    if model is None:
        return {"form": form, "cards": []}
    size, numbers = str(form["size"].value() or ""), _numbers(model, form)
    length = _length(model, form, numbers["fps"].value)
    values = {name: setting.value for name, setting in numbers.items()}
    values |= {"model": model.slug, "size": size, "prompt": form["prompt"].value() or "", "num_frames": length.frames}
    values |= {"variations": form["variations"].value() or 1, "prompts": other_prompts(form)}
    look = _look(request.user, rows, values, images, chosen_by)
    return look.context() | {
        "form": form,
        "model": model,
        "sizes": _sizes(model, size),
        "size": size,
        "numbers": numbers,
        "length": length,
        "negative_prompt": _or_default(form["negative_prompt"].value(), model.default_negative_prompt),
        "end_image": _end_image(request, model, form),
        "interpolations": INTERPOLATIONS if interpolation_offered(model) else (),
        "interpolate": _as_int(form["interpolate"].value(), 1),
        "seed_locked": bool((form.data or form.initial).get("seed_lock")) and form["seed"].value() not in (None, ""),
        "advanced_open": any(form.errors.get(name) for name in _ADVANCED),
        "variation_counts": range(1, MAX_VARIATIONS + 1),
        "variations": _as_int(values["variations"], 1),
        "presets": request.user.presets.select_related("model"),
    }


def other_prompts(form: VideoForm) -> list[str]:
    """What stands in the form beside its first prompt."""
    return [str(text) for text in listed(form.data if form.is_bound else form.initial, "prompts")]


def _look(
    owner: User, rows: Sequence[VideoModel], values: Mapping[str, Any], images: Sequence[SourceImage], chosen_by: str
) -> choosing.Look:
    form, image = WishForm(values, owner=owner), images[0] if images else None
    if not form.is_valid():
        wish = JobRequest(prompt="", model=values["model"], image=image)
        return choosing.look(owner, rows, wish, chosen_by=chosen_by)
    return choosing.look_at_all(owner, rows, form, list(images), chosen_by=chosen_by)


def _chosen_model(
    owner: User, rows: Sequence[VideoModel], form: VideoForm, image: SourceImage | None
) -> tuple[VideoModel | None, str]:
    """The model of the form, else the one that the person's rule chooses (and its token), else one that can run."""
    ready = runnable(rows)
    wanted, chosen_by = form["model"].value(), str((form.data or form.initial).get("chosen_by", ""))
    if not wanted:
        wanted, chosen_by = choosing.first_choice(owner, JobRequest(prompt="", image=image))
    found = [row for row in rows if row.slug == wanted and row.pk in ready]
    if found:
        return found[0], chosen_by
    return next(iter([*(row for row in rows if row.pk in ready), *rows]), None), ""


def _sizes(model: VideoModel, chosen: str) -> list[SizeChoice]:
    offered = [*model.sizes]
    try:
        own = parse_size(chosen)
    except ValueError:
        own = None
    if own and chosen not in offered:
        offered.append(chosen)  # from a job or a preset made by the API
    return [SizeChoice(text, *parse_size(text)) for text in offered]


def _length(model: VideoModel, form: VideoForm, fps: Any) -> Length:
    """What was given; or what it means for this model when it comes from another one, a preset or an address."""
    shown_at = _as_int(fps, model.default_fps) or model.default_fps
    span = span_of(model, shown_at)
    seconds, frames = form["seconds"].value(), _as_int(form["num_frames"].value(), model.default_frames)
    errors = [str(error) for name in ("seconds", "num_frames") for error in form.errors.get(name, [])]
    if seconds not in (None, ""):
        frames = nearest_frames(model, round(_as_float(seconds, 0) * shown_at))
    elif form.is_bound and errors:
        seconds = f"{frames / shown_at:.3g}"
    else:
        in_span = span.least_frames <= frames <= span.most_frames
        frames = nearest_frames(model, frames if in_span else model.default_frames)
        seconds = seconds_text(model, frames, shown_at)
    choices = [LengthChoice(count, count / shown_at) for count in sorted(model.frame_choices)]
    return Length(str(seconds), frames, shown_at, span, model.frames_step, choices, errors)


def _end_image(request: UserRequest, model: VideoModel, form: VideoForm) -> SourceImage | None:
    pk = form["end_image_id"].value()
    return own_picture(request, str(pk)) if pk and model.takes_end_image else None


def _numbers(model: VideoModel, form: VideoForm) -> dict[str, NumberSetting]:
    def setting(name: str, label: str, step: float, text: str = "") -> NumberSetting:
        column = {"cfg_scale": "cfg"}.get(name, name)
        default = getattr(model, f"default_{column}")
        least, most = getattr(model, f"min_{column}"), getattr(model, f"max_{column}")
        value = _or_default(form[name].value(), default)
        if not form.is_bound:
            value = _fitting(value, default, least, most)
        return NumberSetting(
            name, label, value, least, most, step, text, [str(error) for error in form.errors.get(name, [])]
        )

    return {
        "fps": setting("fps", _("Frames per second"), 1, _("More is smoother.")),
        "steps": setting("steps", _("Steps"), 1, _("More takes longer and can add detail.")),
        "cfg_scale": setting("cfg_scale", _("CFG scale"), 0.1, _("How closely the prompt is followed.")),
    }


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _fitting(value: Any, default: Any, least: float, most: float) -> Any:
    """A value from another model or an address, unless this model does not take it."""
    return value if least <= _as_float(value, least - 1) <= most else default


def _as_float(value: Any, otherwise: float) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return otherwise
    return found if abs(found) < MAX_NUMBER else otherwise  # neither NaN nor infinite


def _as_int(value: Any, otherwise: int) -> int:
    return int(_as_float(value, otherwise))
