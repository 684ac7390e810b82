"""What a checked request will really produce: defaults, sizes, seeds and metadata."""

import json
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any

from tests.simulators.swarmui.catalogue import OTHER_CLASS
from tests.simulators.swarmui.params import PARAMS
from tests.simulators.swarmui.validation import ParamSet
from tests.simulators.swarmui.video import Clip
from tests.simulators.swarmui.world import VERSION

RATIOS = {
    "1:1": (512, 512),
    "4:3": (576, 448),
    "3:2": (608, 416),
    "8:5": (608, 384),
    "16:9": (672, 384),
    "21:9": (768, 320),
    "2:3": (416, 608),
    "9:16": (384, 672),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    clip: Clip
    steps: int
    cfg: float
    seed: int
    base_stage: bool  # the base model redraws the picture before the video model gets it
    preview: str  # animate, iterate, one or none


def plan(found: ParamSet, index: int) -> Plan:
    """The render of the `index`th image of a request."""
    seed = found.get("seed", -1)
    if seed == -1:
        seed = found.values["seed"] = secrets.randbelow(2**31)
    base_stage = found.get("initimagecreativity", 1.0) > 0 or "initimage" not in found.pictures
    video = "videomodel" in found.models
    return Plan(
        clip=_video_clip(found, base_stage) if video else _still_clip(found, base_stage),
        steps=found.get("videosteps", 20) if video else found.get("steps", 20),
        cfg=found.get("videocfg", _class(found).cfg),
        seed=seed if found.get("noseedincrement") else seed + index,
        base_stage=base_stage,
        preview="none" if found.get("nopreviews") else found.get("videopreviewtype", "animate"),
    )


def _class(found: ParamSet) -> Any:
    model = found.models.get("videomodel")
    return model.video_class if model else OTHER_CLASS


def image_size(found: ParamSet) -> tuple[int, int]:
    """`width` x `height`, 512 x 512 when omitted; the picture is stretched to it first."""
    raw = str(found.get("rawresolution", "")).lower().split("x")
    if len(raw) == 2 and all(part.strip().isdigit() for part in raw):
        return int(raw[0]), int(raw[1])
    side = found.get("sidelength")
    if side and "aspectratio" in found.values:
        width, height = RATIOS[found.values["aspectratio"]]
        return width * side // 512, height * side // 512
    return found.get("width", 512), found.get("height", 512)


def video_size(found: ParamSet) -> tuple[int, int]:
    """By `videoresolution`: the model's own size when it is omitted."""
    width, height = image_size(found)
    mode = found.get("videoresolution", "Model Preferred")
    side = _class(found).side
    if mode == "Model Preferred":
        return side, side
    if mode == "Image":
        return width, height
    scale = math.sqrt(side * side / (width * height))
    return round(width * scale / 64) * 64, round(height * scale / 64) * 64


def _video_clip(found: ParamSet, base_stage: bool) -> Clip:
    width, height = video_size(found)
    frames = found.get("videoframes", _class(found).frames)
    # Wan works in latents of 4 frames and 16 x 16 pixels; what does not fit is cut off.
    frames = (frames - 1) // 4 * 4 + 1
    frames = max(1, frames - found.get("trimvideostartframes", 0) - found.get("trimvideoendframes", 0))
    multiplier = found.get("videoframeinterpolationmultiplier", 1) if interpolates(found) else 1
    return Clip(
        width=max(16, width // 16 * 16),
        height=max(16, height // 16 * 16),
        # Frames are put in between two, and none comes after the last.
        frames=(frames - 1) * multiplier + 1,
        fps=found.get("videofps", _class(found).fps) * multiplier,
        format=found.get("videoformat", "h264-mp4"),
        boomerang=found.get("videoboomerang", False),
        redrawn=base_stage,
    )


def _still_clip(found: ParamSet, base_stage: bool) -> Clip:
    width, height = image_size(found)
    return Clip(width=width, height=height, frames=1, fps=1, redrawn=base_stage)


def interpolates(found: ParamSet) -> bool:
    return {"videoframeinterpolationmultiplier", "videoframeinterpolationmethod"} <= found.values.keys()


def metadata(found: ParamSet, seed: int, *, generation_s: float | None = None) -> str:
    """SwarmUI's indented JSON; without a time it is the preview's, which says so."""
    shown = {name: value for name, value in found.values.items() if name != "images"}
    shown |= {"seed": seed, "swarm_version": VERSION.partition(".GIT")[0]}
    extra: dict[str, Any] = {"date": time.strftime("%Y-%m-%d")} | found.extra_metadata
    extra["original_prompt"] = found.get("prompt", "")
    unused = _unused(found)
    if unused:
        extra["unused_parameters"] = unused
    data: dict[str, Any] = {"sui_image_params": shown, "sui_extra_data": extra, "sui_models": _models(found)}
    if generation_s is None:
        return json.dumps({"is_preview": True} | data, indent=2)
    extra |= {"prep_time": "0.01 sec", "generation_time": _duration(generation_s)}
    return json.dumps(data, indent=2, ensure_ascii=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} sec" if seconds <= 120 else f"{seconds / 60:.2f} min"


def _unused(found: ParamSet) -> list[str]:
    """Known parameters that did nothing: the video ones of a request without a video model."""
    if "videomodel" in found.models:
        return ["cfgscale"] if "cfgscale" in found.values and found.get("initimagecreativity") == 0 else []
    return [name for name in found.values if PARAMS[name].permission == "param_video"]


def _models(found: ParamSet) -> list[dict[str, str]]:
    listed = [{"name": model.name, "param": name, "hash": "0x00"} for name, model in found.models.items()]
    return listed + [{"name": name, "param": "loras", "hash": "0x00"} for name in found.get("loras", [])]
