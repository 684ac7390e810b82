"""The endpoints that are simulated with their own fields, and the one for all others, which takes anything.

Fields, defaults and prices are those on the models' pages at fal.ai (<model>/llms.txt and /api, 2026-11). Where a page
does not say it the value is inferred: sides in pixels for a named resolution, 24 frames a second and one frame more
than the seconds for models that take neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tests.simulators.fal.endpoints import Endpoint, Field, Values

MEGA = 10**6


def _lines(values: Values, default: int = 720) -> int:
    """480 of "480p", 512 of "512P"."""
    return _number(values.get("resolution"), default)


def _seconds(values: Values, default: int = 5) -> int:
    return _number(values.get("duration"), default)


def _number(value: object, default: int) -> int:
    digits = "".join(sign for sign in str(value or "") if sign.isdigit())
    return int(digits) if digits else default


def _frames_of_seconds(values: Values) -> int:
    return _seconds(values) * 24 + 1


def _between(values: Values) -> int:
    """Frames put between two others."""
    return 0 if values.get("interpolator_model") == "none" else int(values.get("num_interpolated_frames") or 0)


def _interpolated_frames(values: Values) -> int:
    frames = int(values["num_frames"])
    return frames + (frames - 1) * _between(values)


def _interpolated_fps(values: Values) -> int:
    factor = _between(values) + 1 if values.get("adjust_fps_for_interpolation") else 1
    return int(values["frames_per_second"]) * factor


def _by_lines(table: Mapping[int, str]) -> Callable[[Values], Decimal]:
    rates = {lines: Decimal(text) for lines, text in table.items()}
    return lambda values: rates.get(_lines(values), max(rates.values()))


def _basic(*, seed: bool = True, prompt_length: int = 0, **more: Field) -> dict[str, Field]:
    fields = {
        "image_url": Field(kind=str, required=True),
        "prompt": Field(kind=str, required=True, max_length=prompt_length),
    }
    return fields | ({"seed": Field(kind=int)} if seed else {}) | more


def _wan22(**more: Field) -> dict[str, Field]:
    fields = _basic(
        resolution=Field(kind=str, default="720p", words=("480p", "580p", "720p")),
        aspect_ratio=Field(kind=str, default="auto", words=("auto", "16:9", "9:16", "1:1")),
        enable_safety_checker=Field(kind=bool, default=False),
        enable_output_safety_checker=Field(kind=bool, default=False),
        enable_prompt_expansion=Field(kind=bool, default=False),
        acceleration=Field(kind=str, default="regular", words=("none", "regular")),
        video_quality=Field(kind=str, default="high", words=("low", "medium", "high", "maximum")),
        video_write_mode=Field(kind=str, default="balanced", words=("fast", "balanced", "small")),
        end_image_url=Field(kind=str),
    )
    return fields | more


WAN_RATES = _by_lines({480: "0.04", 580: "0.06", 720: "0.08"})
WAN_FLAT = _by_lines({480: "0.05", 580: "0.075", 720: "0.10"})
WAN_25_RATES = _by_lines({480: "0.05", 720: "0.10", 1080: "0.15"})
HAILUO_RATES = _by_lines({512: "0.017", 768: "0.045"})

WAN = Endpoint(
    fields=_wan22(
        num_frames=Field(kind=int, default=81, low=17, high=161),
        frames_per_second=Field(kind=int, default=16, low=4, high=60),
        negative_prompt=Field(kind=str, default=""),
        num_inference_steps=Field(kind=int, default=27, low=2, high=40),
        guidance_scale=Field(kind=float, default=3.5, low=1, high=10),
        guidance_scale_2=Field(kind=float, default=3.5, low=1, high=10),
        shift=Field(kind=float, default=5, low=1, high=10),
        interpolator_model=Field(kind=str, default="film", words=("none", "film", "rife")),
        num_interpolated_frames=Field(kind=int, default=1, low=0, high=4),
        adjust_fps_for_interpolation=Field(kind=bool, default=True),
    ),
    short_side=_lines,
    frames=_interpolated_frames,
    fps=_interpolated_fps,
    # "Video seconds are calculated at 16 frames per second", whatever the video's own rate is.
    usd=lambda values, _clip: WAN_RATES(values) * int(values["num_frames"]) / 16,
    unit="seconds",
    unit_price=Decimal("0.08"),
)
WAN_TURBO = Endpoint(
    fields=_wan22(),
    short_side=_lines,
    frames=lambda _values: 81,
    fps=lambda _values: 16,
    usd=lambda values, _clip: WAN_FLAT(values),
    unit="videos",
    unit_price=Decimal("0.10"),
)
WAN_25 = Endpoint(
    fields=_basic(
        prompt_length=800,
        duration=Field(kind=str, default="5", words=("5", "10")),
        resolution=Field(kind=str, default="1080p", words=("480p", "720p", "1080p")),
        negative_prompt=Field(kind=str, max_length=500),
        enable_prompt_expansion=Field(kind=bool, default=True),
        enable_safety_checker=Field(kind=bool, default=True),
        audio_url=Field(kind=str),
    ),
    short_side=_lines,
    frames=_frames_of_seconds,
    fps=lambda _values: 24,
    usd=lambda values, _clip: WAN_25_RATES(values) * _seconds(values),
    unit="seconds",
    unit_price=Decimal("0.05"),
    tells=("seed", "actual_prompt"),
)
KLING = Endpoint(
    fields=_basic(
        seed=False,
        prompt_length=2500,
        duration=Field(kind=str, default="5", words=("5", "10")),
        negative_prompt=Field(kind=str, default="blur, distort, and low quality", max_length=2500),
        cfg_scale=Field(kind=float, default=0.5, low=0, high=1),
    ),
    short_side=_lines,
    frames=_frames_of_seconds,
    fps=lambda _values: 24,
    usd=lambda values, _clip: Decimal("0.042") * _seconds(values),
    unit="seconds",
    unit_price=Decimal("0.042"),
    tells=(),
)
HAILUO = Endpoint(
    fields=_basic(
        seed=False,
        prompt_length=2000,
        duration=Field(kind=str, default="6", words=("6", "10")),
        resolution=Field(kind=str, default="768P", words=("512P", "768P")),
        prompt_optimizer=Field(kind=bool, default=True),
        end_image_url=Field(kind=str),
    ),
    short_side=_lines,
    frames=_frames_of_seconds,
    fps=lambda _values: 24,
    usd=lambda values, _clip: HAILUO_RATES(values) * _seconds(values),
    unit="seconds",
    unit_price=Decimal("0.045"),
    tells=(),
)
SEEDANCE = Endpoint(
    fields=_basic(
        aspect_ratio=Field(kind=str, default="auto", words=("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "auto")),
        resolution=Field(kind=str, default="1080p", words=("480p", "720p", "1080p")),
        duration=Field(kind=str, default="5", words=tuple(str(number) for number in range(2, 13))),
        camera_fixed=Field(kind=bool, default=False),
        enable_safety_checker=Field(kind=bool, default=True),
    ),
    short_side=_lines,
    frames=_frames_of_seconds,
    fps=lambda _values: 24,
    # A dollar for a million tokens; tokens are height x width x FPS x duration / 1024.
    usd=lambda values, clip: Decimal(clip.width * clip.height * 24 * _seconds(values)) / 1024 / MEGA,
    unit="million tokens",
    unit_price=Decimal("1.0"),
    tells=("seed",),
)
LTX_2 = Endpoint(
    fields=_basic(
        end_image_url=Field(kind=str),
        num_frames=Field(kind=int, default=121, low=9, high=481),
        fps=Field(kind=float, default=25, low=1, high=60),
        video_size=Field(kind=object, default="auto"),
        negative_prompt=Field(kind=str, default=""),
        num_inference_steps=Field(kind=int, default=40, low=8, high=50),
        guidance_scale=Field(kind=float, default=3, low=1, high=10),
        generate_audio=Field(kind=bool, default=True),
        enable_prompt_expansion=Field(kind=bool, default=True),
        enable_safety_checker=Field(kind=bool, default=True),
    ),
    short_side=_lines,
    frames=lambda values: int(values["num_frames"]),
    fps=lambda values: int(values["fps"]),
    usd=lambda _values, clip: Decimal("0.0018") * clip.width * clip.height * clip.frames / MEGA,
    unit="megapixels",
    unit_price=Decimal("0.0018"),
    step=32,
)
GENERIC = Endpoint(
    fields={},
    short_side=_lines,
    frames=lambda values: int(values.get("num_frames") or _seconds(values) * 16),
    fps=lambda values: int(values.get("frames_per_second") or values.get("fps") or 16),
    usd=lambda values, _clip: Decimal("0.05") * _seconds(values),
    unit="seconds",
    unit_price=Decimal("0.05"),
    known=False,
)


@dataclass
class Catalogue:
    """The endpoints by id; ids are compared without regard to case, as fal does."""

    rows: dict[str, Endpoint] = field(default_factory=dict)

    def find(self, endpoint_id: str) -> Endpoint:
        """The endpoint, or the generic one that takes anything."""
        return self.rows.get(endpoint_id.lower(), GENERIC)


CATALOGUE = Catalogue(
    {
        "fal-ai/wan/v2.2-a14b/image-to-video": WAN,
        "fal-ai/wan/v2.2-a14b/image-to-video/turbo": WAN_TURBO,
        "fal-ai/wan-25-preview/image-to-video": WAN_25,
        "fal-ai/kling-video/v2.5-turbo/standard/image-to-video": KLING,
        "fal-ai/minimax/hailuo-02/standard/image-to-video": HAILUO,
        "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video": SEEDANCE,
        "fal-ai/ltx-2-19b/image-to-video": LTX_2,
    }
)
