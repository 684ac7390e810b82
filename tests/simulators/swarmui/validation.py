"""From a request's JSON to checked parameters, with SwarmUI's quirks and exact words."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulators.swarmui import params
from tests.simulators.swarmui.catalogue import Catalogue, Model, cleaned
from tests.simulators.swarmui.errors import GenerationError, SilentFailureError
from tests.simulators.swarmui.params import PARAMS, RENAMED, Param, clean_id

LIST_SEPARATOR = "\n|||\n"
BASE64_TEXT = re.compile(r"[A-Za-z0-9+/=]*")
DATA_URL = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)
USER_FOLDERS = ("raw/", "inputs/", "Starred/")
NOT_PARAMETERS = ("sessionid", "presets", "extrametadata")


@dataclass
class ParamSet:
    """Checked values by cleaned id. Pictures are kept apart: they never go into metadata."""

    values: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    extra_metadata: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def picture_sha256(self, name: str = "initimage") -> str:
        picture = self.pictures.get(name)
        return hashlib.sha256(picture).hexdigest() if picture is not None else ""


class Validator:
    def __init__(self, *, catalogue: Catalogue, user_folder: Path, denied_permissions: list[str]) -> None:
        self._catalogue, self._folder, self._denied = catalogue, user_folder, denied_permissions

    def parse(self, data: dict[str, Any]) -> ParamSet:
        """Raises GenerationError with SwarmUI's text, SilentFailureError where SwarmUI says nothing."""
        found = ParamSet()
        extra = data.get("extra_metadata")
        if isinstance(extra, dict):
            found.extra_metadata = {str(key): str(value) for key, value in extra.items()}
        for key, raw in data.items():
            name = clean_id(key)
            param = PARAMS.get(RENAMED.get(name, name))
            if name not in NOT_PARAMETERS and param is not None:
                self._take(found, param, _as_text(raw))
        return found

    def _take(self, found: ParamSet, param: Param, text: str) -> None:
        if param.ignore is not None and text == param.ignore:
            return
        if param.permission and param.permission in self._denied:
            raise GenerationError(f"You do not have permission to use parameter {param.name}.")
        try:
            value = self._checked(param, text)
        except ValueError as exc:
            raise GenerationError(f"Invalid value for parameter {param.name}: {exc}") from exc
        if isinstance(value, bytes):
            found.pictures[param.id] = value
        elif isinstance(value, Model):
            found.models[param.id] = value
            found.values[param.id] = value.short_name
        else:
            found.values[param.id] = value

    def _checked(self, param: Param, text: str) -> Any:
        if param.kind == params.INTEGER:
            return _integer(param, text)
        if param.kind == params.DECIMAL:
            return _decimal(param, text)
        if param.kind == params.BOOLEAN:
            return _boolean(param, text)
        if param.kind == params.DROPDOWN:
            return _choice(param, text)
        if param.kind == params.MODEL:
            return self._model(param, text)
        if param.kind == params.LIST:
            return self._loras(param, text)
        return self._picture(param, text) if param.kind == params.IMAGE else text

    def _model(self, param: Param, text: str) -> Model:
        model = self._catalogue.fuzzy(text, param.subtype)
        if model is None:
            raise ValueError(
                f"Invalid model value for param {param.name} - '{text}' - are you sure that model name is correct?"
            )
        return model

    def _loras(self, param: Param, text: str) -> list[str]:
        parts = text.split(LIST_SEPARATOR) if LIST_SEPARATOR in text else text.split(",")
        return [self._lora(param, part.strip()) for part in parts]

    def _lora(self, param: Param, text: str) -> str:
        lora = self._catalogue.fuzzy(text, "LoRA")
        if lora is not None:
            return lora.short_name
        names = [model.short_name for model in self._catalogue.of("LoRA")]
        if len(names) < 10:
            listed = "`, `".join(names)
            raise ValueError(f"Invalid value for param {param.name} - '{text}' - must be one of: `{listed}`")
        raise ValueError(
            f"Invalid value for param {param.name} - '{text}' - option does not exist. Has it been deleted?"
        )

    def _picture(self, param: Param, text: str) -> bytes:
        if text.startswith(USER_FOLDERS):
            return self._own_file(text)
        match = DATA_URL.fullmatch(text)
        encoded = match.group(2) if match else text
        if not BASE64_TEXT.fullmatch(encoded):
            raise ValueError(
                f"Invalid IMAGE value for param {param.name} - '{text}' - must be a valid base64 string - got '{text}'"
            )
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as exc:
            raise SilentFailureError from exc

    def _own_file(self, text: str) -> bytes:
        path = (self._folder / text).resolve()
        if self._folder.resolve() not in path.parents or not path.is_file():
            raise SilentFailureError
        return path.read_bytes()


def _as_text(raw: Any) -> str:
    """As Newtonsoft writes a JSON value: null is empty, booleans are True and False, lists are joined."""
    if raw is None:
        return ""
    if isinstance(raw, list):
        return LIST_SEPARATOR.join(_as_text(item) for item in raw)
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 1e15:
        return str(int(raw))
    return str(raw)


def _integer(param: Param, text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?\d+\s*", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(
            f"Invalid integer value for param {param.name} - '{text}' - must be a valid integer "
            "(eg '0', '3', '-5', etc)"
        )
    if not param.minimum <= int(text) <= param.maximum:
        raise ValueError(_range_text("integer", param, text))
    return int(text)


def _decimal(param: Param, text: str) -> float:
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text):
        raise ValueError(
            f"Invalid decimal value for param {param.name} - '{text}' - must be a valid decimal "
            "(eg '0.0', '3.5', '-5.2', etc)"
        )
    if not param.minimum <= float(text) <= param.maximum:
        raise ValueError(_range_text("decimal", param, text))
    return float(text)


def _range_text(kind: str, param: Param, text: str) -> str:
    return (
        f"Invalid {kind} value for param {param.name} - '{text}' - must be between {_number(param.minimum)} and "
        f"{_number(param.maximum)}"
    )


def _number(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def _boolean(param: Param, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"Invalid boolean value for param {param.name} - '{text}' - must be exactly 'true' or 'false'")
    return text.lower() == "true"


def _choice(param: Param, text: str) -> str:
    wanted = cleaned(text)
    exact = [value for value in param.values if cleaned(value) == wanted]
    containing = sorted((value for value in param.values if wanted in cleaned(value)), key=len)
    if exact or containing:
        return (exact or containing)[0]
    listed = "`, `".join(param.values)
    raise ValueError(f"Invalid value for param {param.name} - '{text}' - must be one of: `{listed}`")
