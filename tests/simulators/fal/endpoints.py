"""What the endpoints take, what they make of it and what it costs.

Fields, defaults and prices are those on the models' pages at fal.ai; an endpoint we do not know takes anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.simulators.fal.errors import problem
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.video import Clip

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input. `kind` is str, int, float or bool; bounds are inclusive."""

    kind: type
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> JsonObject | None:
        """What is wrong with it, as fal tells it."""
        if value is None and not self.required:
            return None
        if not self._is_of_kind(value):
            kind = {int: "int_type", float: "float_type", bool: "bool_type"}.get(self.kind, "string_type")
            return problem([name], f"Input should be a valid {self.kind.__name__}", kind, value)
        if self.words and value not in self.words:
            told = ", ".join(f"'{word}'" for word in self.words)
            return problem([name], f"Input should be {told}", "literal_error", value, {"expected": told})
        if self.low is not None and value < self.low:
            words = f"Input should be greater than or equal to {self.low:g}"
            return problem([name], words, "greater_than_equal", value, {"ge": self.low})
        if self.high is not None and value > self.high:
            words = f"Input should be less than or equal to {self.high:g}"
            return problem([name], words, "less_than_equal", value, {"le": self.high})
        return None

    def _is_of_kind(self, value: Any) -> bool:
        if self.kind is bool:
            return isinstance(value, bool)
        if isinstance(value, bool):
            return False
        return isinstance(value, (int, float) if self.kind is float else self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`usd` is what one finished request costs, `unit_price` what the price list says of one `unit`."""

    fields: Mapping[str, Field]
    short_side: Callable[[Values], int]
    frames: Callable[[Values], int]
    fps: Callable[[Values], int]
    usd: Callable[[Values], Decimal]
    unit: str
    unit_price: Decimal
    step: int = 16  # sides are multiples of it
    known: bool = True
    seed_out: bool = True
    prompt_out: bool = True

    def problems(self, given: Values) -> list[JsonObject]:
        """Everything wrong with the input; unknown fields are ignored, as fal does."""
        found = [
            problem([name], "Field required", "missing", dict(given))
            for name, rule in self.fields.items()
            if rule.required and name not in given
        ]
        wrong = (self.fields[name].check(name, value) for name, value in given.items() if name in self.fields)
        return found + [one for one in wrong if one is not None]

    def filled(self, given: Values) -> dict[str, Any]:
        """The values that count: given ones, or defaults."""
        values = {name: rule.default for name, rule in self.fields.items()}
        return values | {name: value for name, value in given.items() if value is not None}

    def clip(self, values: Values, *, ratio: float) -> Clip:
        """The video's shape for a picture of `ratio` (width by height)."""
        ratio = _ratio(str(values.get("aspect_ratio") or "auto"), ratio)
        short = self.short_side(values)
        width, height = (short * ratio, short) if ratio >= 1 else (short, short / ratio)
        sides = [max(self.step, round(side / self.step) * self.step) for side in (width, height)]
        return Clip(width=sides[0], height=sides[1], frames=self.frames(values), fps=self.fps(values))

    def units(self, values: Values) -> Decimal:
        return (self.usd(values) / self.unit_price).quantize(Decimal("0.000001")).normalize()


def _ratio(text: str, picture: float) -> float:
    across, _, down = text.partition(":")
    return int(across) / int(down) if across.isdigit() and down.isdigit() else picture


def _lines(values: Values, default: int = 720) -> int:
    digits = "".join(sign for sign in str(values.get("resolution") or "") if sign.isdigit())
    return int(digits) if digits else default


def _seconds(values: Values, default: int = 5) -> int:
    digits = "".join(sign for sign in str(values.get("duration") or "") if sign.isdigit())
    return int(digits) if digits else default


def _between(values: Values) -> int:
    """Frames put between two others."""
    return 0 if values.get("interpolator_model") == "none" else int(values.get("num_interpolated_frames") or 0)


def _interpolated_frames(values: Values) -> int:
    frames = int(values["num_frames"])
    return frames + (frames - 1) * _between(values)


def _interpolated_fps(values: Values) -> int:
    factor = _between(values) + 1 if values.get("adjust_fps_for_interpolation") else 1
    return int(values["frames_per_second"]) * factor


def _by_lines(table: dict[int, str]) -> Callable[[Values], Decimal]:
    rates = {lines: Decimal(text) for lines, text in table.items()}
    return lambda values: rates.get(_lines(values), max(rates.values()))


def _basic(**more: Field) -> dict[str, Field]:
    return {
        "image_url": Field(kind=str, required=True),
        "prompt": Field(kind=str, required=True),
        "seed": Field(kind=int),
        **more,
    }


WAN_SIZES = Field(kind=str, default="720p", words=("480p", "580p", "720p"))
WAN_RATIOS = Field(kind=str, default="auto", words=("auto", "16:9", "9:16", "1:1"))
WAN_RATES = _by_lines({480: "0.04", 580: "0.06", 720: "0.08"})
WAN_FLAT = _by_lines({480: "0.05", 580: "0.075", 720: "0.10"})

WAN = Endpoint(
    fields=_basic(
        num_frames=Field(kind=int, default=81, low=17, high=161),
        frames_per_second=Field(kind=int, default=16, low=4, high=60),
        negative_prompt=Field(kind=str, default=""),
        resolution=WAN_SIZES,
        aspect_ratio=WAN_RATIOS,
        num_inference_steps=Field(kind=int, default=27, low=2, high=40),
        enable_safety_checker=Field(kind=bool, default=False),
        enable_output_safety_checker=Field(kind=bool, default=False),
        enable_prompt_expansion=Field(kind=bool, default=False),
        acceleration=Field(kind=str, default="regular", words=("none", "regular")),
        guidance_scale=Field(kind=float, default=3.5, low=1, high=10),
        guidance_scale_2=Field(kind=float, default=3.5, low=1, high=10),
        shift=Field(kind=float, default=5, low=1, high=10),
        interpolator_model=Field(kind=str, default="film", words=("none", "film", "rife")),
        num_interpolated_frames=Field(kind=int, default=1, low=0, high=4),
        adjust_fps_for_interpolation=Field(kind=bool, default=True),
        video_quality=Field(kind=str, default="high", words=("low", "medium", "high", "maximum")),
        video_write_mode=Field(kind=str, default="balanced", words=("fast", "balanced", "small")),
        end_image_url=Field(kind=str),
    ),
    short_side=_lines,
    frames=_interpolated_frames,
    fps=_interpolated_fps,
    # "Video seconds are calculated at 16 frames per second", whatever the video's own rate is.
    usd=lambda values: WAN_RATES(values) * int(values["num_frames"]) / 16,
    unit="seconds",
    unit_price=Decimal("0.08"),
)
WAN_TURBO = Endpoint(
    fields=_basic(
        resolution=WAN_SIZES,
        aspect_ratio=WAN_RATIOS,
        enable_safety_checker=Field(kind=bool, default=False),
        enable_output_safety_checker=Field(kind=bool, default=False),
        enable_prompt_expansion=Field(kind=bool, default=False),
        acceleration=Field(kind=str, default="regular", words=("none", "regular")),
        video_quality=Field(kind=str, default="high", words=("low", "medium", "high", "maximum")),
        video_write_mode=Field(kind=str, default="balanced", words=("fast", "balanced", "small")),
        end_image_url=Field(kind=str),
    ),
    short_side=_lines,
    frames=lambda _values: 81,
    fps=lambda _values: 16,
    usd=WAN_FLAT,
    unit="videos",
    unit_price=Decimal("0.10"),
)
GENERIC = Endpoint(
    fields={},
    short_side=_lines,
    frames=lambda values: int(values.get("num_frames") or _seconds(values) * 16),
    fps=lambda values: int(values.get("frames_per_second") or values.get("fps") or 16),
    usd=lambda values: Decimal("0.05") * _seconds(values),
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
    }
)
