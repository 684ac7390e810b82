"""What a person asks for, and what a model makes of it: its defaults, its limits, its sizes."""

import math
import secrets
from dataclasses import dataclass
from typing import TypeVar

from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from generation.errors import BadSetting
from generation.models import Batch, Provider, SourceImage, VideoJob, VideoModel

# Fits SwarmUI's 63 bits with room for its own +42 and +43, and a JSON number in every language.
MAX_SEED = 2**53 - 1
# Wan's latent grid; every offered size is a multiple of it too.
SIZE_STEP = 16
# Sizes of one class differ a little in area: 640x640 is 3 % more than 832x480.
AREA_MARGIN = 1.1
INTERPOLATIONS = (1, 2, 4)

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a person asks for. None means: the model's default."""

    prompt: str
    model: str | None = None
    image: SourceImage | None = None
    image_url: str = ""
    negative_prompt: str | None = None
    size: str = ""
    focus_x: float = 0.5
    focus_y: float = 0.5
    num_frames: int | None = None
    fps: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    seed: int = -1
    rights_version: str = ""  # of the rights statement that the person confirmed with this request
    end_image: SourceImage | None = None
    interpolate: int = 1  # so many times the frames, at so many times the speed
    continues: VideoJob | None = None  # whose frame the picture is
    continues_frame: int | None = None  # which one, from 0; None: the last
    visible_label: bool = False
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A request's settings after the model's defaults and limits."""

    frames: int
    fps: int
    steps: int
    cfg_scale: float
    seed: int
    size: str
    width: int | None
    height: int | None
    negative_prompt: str
    interpolate: int


def check_settings(model: VideoModel, request: JobRequest) -> Settings:
    """Fill in the model's defaults and refuse what it does not take. Raises BadSetting."""
    frames = _frames(model, request.num_frames)
    if not -1 <= request.seed <= MAX_SEED:
        raise BadSetting(
            _("The seed must be from 0 to %(max_seed)s, or -1 for a random one.") % {"max_seed": MAX_SEED}, field="seed"
        )
    for field in ("focus_x", "focus_y"):
        _within(field, getattr(request, field), 0.5, 0.0, 1.0)
    _check_extras(model, request)
    size, width, height = _size(model, request)
    negative = model.default_negative_prompt if request.negative_prompt is None else request.negative_prompt
    return Settings(
        frames=frames,
        fps=_within("fps", request.fps, model.default_fps, model.min_fps, model.max_fps),
        steps=_within("steps", request.steps, model.default_steps, model.min_steps, model.max_steps),
        cfg_scale=_within("cfg_scale", request.cfg_scale, model.default_cfg, model.min_cfg, model.max_cfg),
        seed=secrets.randbelow(2**31) if request.seed == -1 else request.seed,
        size=size,
        width=width,
        height=height,
        negative_prompt=negative,
        interpolate=request.interpolate,
    )


def _check_extras(model: VideoModel, request: JobRequest) -> None:
    if request.end_image is not None and not model.takes_end_image:
        raise BadSetting(_("%(model)s takes no picture to end with.") % {"model": model.name}, field="end_image")
    if request.interpolate not in INTERPOLATIONS:
        raise BadSetting(_("Choose 1, 2 or 4 times the frames."), field="interpolate")
    if request.interpolate > 1 and model.provider != Provider.SWARMUI:
        raise BadSetting(
            _("%(model)s cannot put frames in between.") % {"model": model.name},
            field="interpolate",
        )
    if request.continues_frame is not None and request.continues is None:
        raise BadSetting(_("Say which video this frame is of."), field="continues_frame")


def _frames(model: VideoModel, asked: int | None) -> int:
    frames = _within("num_frames", asked, model.default_frames, model.min_frames, model.max_frames)
    if model.frame_choices:
        if frames not in model.frame_choices:
            near = min(model.frame_choices, key=lambda choice: abs(choice - frames))
            offered = get_text_list([str(choice) for choice in sorted(model.frame_choices)], _("or"))
            raise BadSetting(
                _("%(name)s makes %(offered)s frames; the nearest is %(near)s.")
                % {"name": model.name, "offered": offered, "near": near},
                field="num_frames",
            )
    elif (frames - 1) % model.frames_step:
        near = 1 + round((frames - 1) / model.frames_step) * model.frames_step
        raise BadSetting(
            _("%(name)s makes 1 + a multiple of %(frames_step)s frames; the nearest is %(near)s.")
            % {"name": model.name, "frames_step": model.frames_step, "near": near},
            field="num_frames",
        )
    return frames


def _within(field: str, value: Number | None, default: Number, least: Number, most: Number) -> Number:
    if value is None:
        return default
    if not least <= value <= most:  # NaN compares false, so it is refused as well
        raise BadSetting(
            _("This model takes %(least)s to %(most)s.") % {"least": f"{least:g}", "most": f"{most:g}"}, field=field
        )
    return value


def _size(model: VideoModel, request: JobRequest) -> tuple[str, int | None, int | None]:
    if not request.size:
        if request.image is None:
            return "", None, None  # settled when the picture has been fetched
        return "", *nearest_size(model, request.image.width, request.image.height)
    try:
        width, height = (int(side) for side in request.size.lower().split("x"))
    except ValueError:
        raise BadSetting(_('The size must look like "832x480".'), field="size") from None
    if not 1 <= width <= 100_000 or not 1 <= height <= 100_000:
        raise BadSetting(
            _("Each side must be %(min_side)s to %(max_side)s pixels.")
            % {"min_side": model.min_side, "max_side": model.max_side},
            field="size",
        )
    width, height = (max(SIZE_STEP, round(side / SIZE_STEP) * SIZE_STEP) for side in (width, height))
    if not (model.min_side <= min(width, height) and max(width, height) <= model.max_side):
        raise BadSetting(
            _("Each side must be %(min_side)s to %(max_side)s pixels.")
            % {"min_side": model.min_side, "max_side": model.max_side},
            field="size",
        )
    if width * height > model.max_pixels:
        raise BadSetting(
            _("%(width)sx%(height)s is more than the %(max_pixels)s pixels of this model.")
            % {"width": width, "height": height, "max_pixels": f"{model.max_pixels:,}"},
            field="size",
        )
    return f"{width}x{height}", width, height


def nearest_size(model: VideoModel, width: int, height: int) -> tuple[int, int]:
    """The offered size whose aspect is nearest to the picture's, no larger than the default: HD is asked for."""

    def distance(size: tuple[int, int]) -> float:
        return abs(math.log((size[0] / size[1]) / (width / height)))

    sizes = [parse_size(text) for text in model.sizes]
    usual = sizes[0][0] * sizes[0][1] * AREA_MARGIN
    return min((size for size in sizes if size[0] * size[1] <= usual), key=distance)


def parse_size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)
