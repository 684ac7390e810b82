"""The same wish for another model: settings as near as that model takes them."""

import math
from dataclasses import replace

from generation.models import Provider, VideoModel
from generation.services.jobs import SIZE_STEP, JobRequest, parse_size

USUAL_FPS = 16


def fitted(model: VideoModel, request: JobRequest, *, asked: VideoModel | None = None) -> JobRequest:
    """`request` for `model`: as long a video of as near a size, with the model's own steps and CFG scale.

    `asked` is the model whose settings the request holds; it says how fast the frames are shown.
    """
    if asked is not None and asked.pk == model.pk:
        return replace(request, model=model.slug)
    if not model.takes_end_image:
        request = replace(request, end_image=None)
    if model.provider != Provider.SWARMUI:
        request = replace(request, interpolate=1)
    fps = model.default_fps
    if request.fps is not None and model.min_fps <= request.fps <= model.max_fps:
        fps = request.fps
    frames = None
    if request.num_frames is not None:
        shown_at = request.fps or (asked.default_fps if asked else USUAL_FPS)
        frames = nearest_frames(model, round(request.num_frames / shown_at * fps))
    size = nearest_taken(model, *parse_size(request.size)) if request.size else ""
    return replace(request, model=model.slug, num_frames=frames, fps=fps, size=size, steps=None, cfg_scale=None)


def nearest_frames(model: VideoModel, frames: int) -> int:
    """The number of frames nearest to `frames` that the model makes."""
    if model.frame_choices:
        return min((int(choice) for choice in model.frame_choices), key=lambda choice: abs(choice - frames))
    step = model.frames_step
    least, most = -(-(model.min_frames - 1) // step), (model.max_frames - 1) // step
    return 1 + min(most, max(least, round((frames - 1) / step))) * step


def nearest_taken(model: VideoModel, width: int, height: int) -> str:
    """This size when the model takes it, else the offered one of the nearest shape and then the nearest area."""
    if takes(model, width, height):
        return f"{width}x{height}"

    def distance(size: str) -> tuple[float, float]:
        offered = parse_size(size)
        shape = abs(math.log((offered[0] / offered[1]) / (width / height)))
        return round(shape, 1), abs(math.log(offered[0] * offered[1] / (width * height)))

    return str(min(model.sizes, key=distance))


def takes(model: VideoModel, width: int, height: int) -> bool:
    """Whether the model makes videos of exactly this size."""
    sides_fit = model.min_side <= min(width, height) and max(width, height) <= model.max_side
    return sides_fit and width * height <= model.max_pixels and not width % SIZE_STEP and not height % SIZE_STEP
