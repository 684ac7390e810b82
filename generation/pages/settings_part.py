"""The settings on the create page: what the chosen model offers, filled with what was given or its defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import User

from generation import queries
from generation.models import SourceImage, VideoModel
from generation.pages import choosing
from generation.pages.forms import LookForm, SettingsForm, VideoForm
from generation.pages.http import UserRequest
from generation.services.fitting import fitted, nearest_frames
from generation.services.jobs import JobRequest, parse_size
from generation.services.options import runnable

_CARRIED = ("size", "num_frames", "fps")  # from one model to the next


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
class LengthChoice:
    frames: int
    seconds: float


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


def settings_context(request: UserRequest, form: VideoForm, image: SourceImage | None) -> dict[str, Any]:
    """The settings and everything that is said about models and money, for a whole page or the part of one."""
    rows = list(queries.visible_models(request.user))
    model, chosen_by = _chosen_model(request.user, rows, form, image)
    if model is None:
        return {"form": form, "cards": []}
    size, numbers = str(form["size"].value() or ""), _numbers(model, form)
    values = {name: setting.value for name, setting in numbers.items()}
    values |= {"model": model.slug, "size": size, "prompt": form["prompt"].value() or ""}
    seen = choosing.look(request.user, rows, _wish(request.user, values, image), chosen_by=chosen_by)
    return seen.context() | {
        "form": form,
        "model": model,
        "sizes": _sizes(model, size),
        "size": size,
        "numbers": numbers,
        "lengths": _lengths(model, numbers),
        "negative_prompt": _or_default(form["negative_prompt"].value(), model.default_negative_prompt),
        "presets": request.user.presets.select_related("model"),
    }


def _wish(owner: User, values: Mapping[str, Any], image: SourceImage | None) -> JobRequest:
    form = LookForm(values, owner=owner)
    return form.request(image) if form.is_valid() else JobRequest(prompt="", model=values["model"], image=image)


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


def for_another_model(owner: User, data: Mapping[str, Any]) -> dict[str, Any]:
    """Size and length of the form's old model (`settings_of`) as near as its new one (`model`) takes them."""
    rows = {row.slug: row for row in queries.visible_models(owner)}
    old, new = rows.get(str(data.get("settings_of"))), rows.get(str(data.get("model")))
    if old is None or new is None:
        return {}
    form = SettingsForm({name: data.get(name, "") for name in _CARRIED} | {"model": old.slug}, owner=owner)
    if not form.is_valid():
        return {}
    given = {name: form.cleaned_data[name] for name in _CARRIED}
    try:
        fit = fitted(new, JobRequest(prompt="", model=old.slug, **given), asked=old)
    except ValueError:  # a size that is none
        return {}
    return {"size": fit.size, "num_frames": fit.num_frames, "fps": fit.fps}


def _sizes(model: VideoModel, chosen: str) -> list[SizeChoice]:
    offered = [*model.sizes]
    try:
        own = parse_size(chosen)
    except ValueError:
        own = None
    if own and chosen not in offered:
        offered.append(chosen)  # from a job or a preset made by the API
    return [SizeChoice(text, *parse_size(text)) for text in offered]


def _lengths(model: VideoModel, numbers: dict[str, NumberSetting]) -> list[LengthChoice]:
    """The only durations that the model makes; empty when any in its range will do."""
    try:
        fps = float(numbers["fps"].value) or model.default_fps
    except (TypeError, ValueError):
        fps = model.default_fps
    return [LengthChoice(frames, frames / fps) for frames in sorted(model.frame_choices)]


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

    frames = setting("num_frames", "Frames", "frames", model.frames_step)
    if model.frame_choices and not form.is_bound:
        frames = replace(frames, value=nearest_frames(model, int(float(frames.value))))
    return {
        "num_frames": frames,
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
