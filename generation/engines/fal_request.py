"""Our settings in the words of one fal.ai endpoint, as its catalogue row's `parameters` say.

The format, a JSON object. Keys are our settings; what stands under a key says how the endpoint calls it:

    {"prompt": "prompt",                                          the same value under that name
     "image": "image_url",                                        the picture's address
     "end_image": "end_image_url",                                that of the picture to end with, where there is one
     "frames": "num_frames", "fps": "frames_per_second", "seed": "seed", "negative_prompt": ..., "steps": ...,
     "cfg_scale": ..., "width": ..., "height": ...,
     "seconds": {"field": "duration", "choices": [5, 10], "as": "text"},   the nearest length it makes, as "5"
     "resolution": {"field": "resolution", "tiers": {"480": "480p", "720": "720p"}},   by the shorter side
     "aspect_ratio": {"field": "aspect_ratio", "choices": ["16:9", "1:1"], "else": "auto"},
     "size": {"field": "video_size"},                             as {"width": 832, "height": 480}
     "fixed": {"enable_safety_checker": true},                    sent as it stands
     "priced_at_fps": 16}                                         the price counts seconds of so many frames

"as" is "text", "integer" or "number" and may stand with any setting. A setting without a key is not sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from generation.engines.base import RenderRequest

SETTINGS = (
    *("image", "end_image", "prompt", "negative_prompt", "seed", "frames", "fps", "steps", "cfg_scale"),
    *("width", "height", "seconds", "resolution", "aspect_ratio", "size"),
)
_OTHERS = ("fixed", "priced_at_fps")
_KINDS = {"text": str, "integer": int, "number": float}
# How far an aspect may be from a named one and still be called so.
_ASPECT_TOLERANCE = 0.06


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes to the endpoint, and what the video should then be like."""

    fields: dict[str, Any]
    expects: dict[str, Any]  # of: width, height, frames, fps, seconds, shorter_side; only what was really asked for


def asked(request: RenderRequest, picture_url: str, end_picture_url: str = "") -> Asked:
    """The body of the request. An address may be anything that stands for its picture; "" for no end picture."""
    parameters = request.parameters
    values = _values(request, picture_url) | {"end_image": end_picture_url or None}
    fields: dict[str, Any] = dict(parameters.get("fixed", {}))
    for name in SETTINGS:
        if name in parameters and values[name] is not None and (name != "negative_prompt" or values[name]):
            rule = _rule(parameters[name])
            fields[rule["field"]] = _as(values[name], rule)
    return Asked(fields, _expects(request))


def image_field(parameters: Mapping[str, Any]) -> str:
    return str(_rule(parameters.get("image", "image_url"))["field"])


def image_fields(parameters: Mapping[str, Any]) -> list[str]:
    """Every field that holds a picture's address."""
    end = [str(_rule(parameters["end_image"])["field"])] if "end_image" in parameters else []
    return [image_field(parameters), *end]


def seconds_sent(parameters: Mapping[str, Any], *, frames: int, fps: int) -> Fraction:
    """How long a video the endpoint will make: its nearest length where it has fixed ones."""
    rule = _rule(parameters.get("seconds", ""))
    if choices := rule.get("choices"):
        wanted = Fraction(frames, fps)
        return min((Fraction(str(choice)) for choice in choices), key=lambda choice: abs(choice - wanted))
    return Fraction(frames, fps)


def nearest_tier(tiers: Mapping[str, Any], *, width: int, height: int) -> str | None:
    """The key of the tier that is nearest to the shorter side. Keys look like "480" or "480p"."""
    shorter = min(width, height)
    known = {key: int("".join(char for char in key if char.isdigit()) or 0) for key in tiers}
    return min(known, key=lambda key: abs(known[key] - shorter), default=None)


def problems(parameters: object) -> list[str]:
    """Why a row's parameters cannot be used, in words; nothing when they can."""
    if not isinstance(parameters, dict):
        return ["It must be a JSON object."]
    found = [f"{name!r} is no setting." for name in parameters if name not in (*SETTINGS, *_OTHERS)]
    for name in SETTINGS:
        if name in parameters and not _is_rule(parameters[name]):
            found.append(f'{name!r} must be a field\'s name, or an object with one under "field".')
    found += [f"{name!r} is missing." for name in ("image", "prompt") if name not in parameters]
    if not isinstance(parameters.get("fixed", {}), dict):
        found.append('"fixed" must be an object.')
    return found


def without_query(url: str) -> str:
    """An address without what gives access to it: links to our storage are signed in the query."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def _rule(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"field": value}


def _is_rule(value: Any) -> bool:
    rule = _rule(value)
    return bool(isinstance(rule.get("field"), str) and rule["field"] and rule.get("as", "text") in _KINDS)


def _values(request: RenderRequest, picture_url: str) -> dict[str, Any]:
    parameters = request.parameters
    seconds = seconds_sent(parameters, frames=request.frames, fps=request.fps)
    return {
        "image": picture_url,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "frames": request.frames,
        "fps": request.fps,
        "steps": request.steps,
        "cfg_scale": request.cfg_scale,
        "width": request.width,
        "height": request.height,
        "seconds": int(seconds) if seconds.denominator == 1 else round(float(seconds), 3),
        "resolution": _resolution(request),
        "aspect_ratio": _aspect(request),
        "size": {"width": request.width, "height": request.height},
    }


def _resolution(request: RenderRequest) -> str | None:
    tiers = _rule(request.parameters.get("resolution", "")).get("tiers", {})
    tier = nearest_tier(tiers, width=request.width, height=request.height)
    return None if tier is None else tiers[tier]


def _aspect(request: RenderRequest) -> str | None:
    rule = _rule(request.parameters.get("aspect_ratio", ""))
    wanted = request.width / request.height

    def distance(name: str) -> float:
        across, _, down = name.partition(":")
        return abs(float(across) / float(down) / wanted - 1)

    nearest = min(rule.get("choices", []), key=distance, default=None)
    if nearest is not None and distance(nearest) <= _ASPECT_TOLERANCE:
        return str(nearest)
    return rule.get("else", nearest)


def _as(value: Any, rule: Mapping[str, Any]) -> Any:
    return _KINDS[rule["as"]](value) if "as" in rule else value


def _expects(request: RenderRequest) -> dict[str, Any]:
    """The picture is cropped to the aspect that was asked for, so every model is expected to keep it."""
    parameters = request.parameters
    expects: dict[str, Any] = {"width": request.width, "height": request.height}
    if "resolution" in parameters:
        expects["shorter_side"] = int("".join(char for char in str(_resolution(request)) if char.isdigit()) or 0)
    elif "size" in parameters or "width" in parameters:
        expects["exact_size"] = True
    for name in ("frames", "fps"):
        if name in parameters:
            expects[name] = getattr(request, name)
    if "seconds" in parameters:
        expects["seconds"] = float(seconds_sent(parameters, frames=request.frames, fps=request.fps))
    return expects
