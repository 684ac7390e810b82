"""How an endpoint checks what it is given, what shape of video it makes of it and what that costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.simulators.fal.errors import problem
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.video import Clip

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input. `kind` is str, int, float, bool or object (anything); bounds are inclusive."""

    kind: type
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    max_length: int = 0

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
        if self.max_length and len(value) > self.max_length:
            words = f"String should have at most {self.max_length} characters"
            return problem([name], words, "string_too_long", value, {"max_length": self.max_length})
        if self.low is not None and value < self.low:
            words = f"Input should be greater than or equal to {self.low:g}"
            return problem([name], words, "greater_than_equal", value, {"ge": self.low})
        if self.high is not None and value > self.high:
            words = f"Input should be less than or equal to {self.high:g}"
            return problem([name], words, "less_than_equal", value, {"le": self.high})
        return None

    def _is_of_kind(self, value: Any) -> bool:
        if self.kind in (bool, object):
            return isinstance(value, self.kind)
        if isinstance(value, bool):
            return False
        return isinstance(value, (int, float) if self.kind is float else self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`usd` is what one finished request costs, `unit_price` what the price list says of one `unit`.

    `tells` are the fields of the answer beside the video: seed, prompt, actual_prompt.
    """

    fields: Mapping[str, Field]
    short_side: Callable[[Values], int]
    frames: Callable[[Values], int]
    fps: Callable[[Values], int]
    usd: Callable[[Values, Clip], Decimal]
    unit: str
    unit_price: Decimal
    step: int = 16  # sides are multiples of it
    known: bool = True
    tells: tuple[str, ...] = ("seed", "prompt")

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
        """The values that count: given ones, or defaults. What the endpoint does not know is left out."""
        values = {name: rule.default for name, rule in self.fields.items()}
        taken = given if not self.known else {name: given[name] for name in values if name in given}
        return values | {name: value for name, value in taken.items() if value is not None}

    def clip(self, values: Values, *, ratio: float) -> Clip:
        """The video's shape for a picture of `ratio` (width by height)."""
        sides = [max(self.step, round(side / self.step) * self.step) for side in self._sides(values, ratio)]
        return Clip(width=sides[0], height=sides[1], frames=self.frames(values), fps=self.fps(values))

    def _sides(self, values: Values, ratio: float) -> tuple[float, float]:
        wanted = values.get("video_size")
        if isinstance(wanted, dict):
            return float(wanted["width"]), float(wanted["height"])
        ratio = _ratio(str(values.get("aspect_ratio") or "auto"), ratio)
        short = self.short_side(values)
        return (short * ratio, short) if ratio >= 1 else (short, short / ratio)

    def units(self, usd: Decimal) -> Decimal:
        """So many units of the price list, as the answer's head tells them."""
        return (usd / self.unit_price).quantize(Decimal("0.000001")).normalize()


def _ratio(text: str, picture: float) -> float:
    across, _, down = text.partition(":")
    return int(across) / int(down) if across.isdigit() and down.isdigit() else picture
