"""SwarmUI's words as our engine errors, and the check that it rendered what it was asked to."""

import json
import re
from collections.abc import Iterable
from typing import Any

from generation.engines.base import EngineError, EngineFailed, EngineRefused, EngineUnavailable, RenderRequest
from gpu.clients.guarded import AddressRefused
from gpu.clients.swarmui_errors import SwarmProtocolError, SwarmRejected, SwarmResultRefused, SwarmUnauthorized

_OUT_OF_MEMORY = "The GPU ran out of memory. Choose fewer frames or a smaller size."
_MODEL_MISSING = "The GPU server does not have this model."
_LORA_MISSING = "The GPU server does not have a LoRA of this model."

# The first match wins. Texts: SwarmUI 0.9.8.2 and ComfyUI.
_TEXTS: list[tuple[str, type[EngineError], str, str]] = [
    (r"allocation on device|out of memory|ran out of memory", EngineFailed, "out_of_memory", _OUT_OF_MEMORY),
    (r"lora model '.*' not found|for param loras|requires lora", EngineRefused, "lora_missing", _LORA_MISSING),
    (
        r"are you sure that model name is correct|no model input given|requires model",
        EngineRefused,
        "model_missing",
        _MODEL_MISSING,
    ),
    (r"for param init image", EngineRefused, "picture_refused", "The GPU server could not read the picture."),
    (r"invalid value for parameter|missing required parameter", EngineRefused, "bad_setting", ""),
    (r"you do not have permission|you lack permissions", EngineRefused, "no_permission", ""),
    (r"no backends available", EngineUnavailable, "no_backend", "The GPU server has no running backend."),
    (r"no backends match", EngineRefused, "backend_mismatch", ""),
    (
        r"all backends are occupied",
        EngineUnavailable,
        "busy",
        "The GPU server was busy with other work for too long.",
    ),
    (r"shutting down", EngineUnavailable, "restarting", "The GPU server is restarting."),
    (r"failed to load the model", EngineFailed, "model_load_failed", "The GPU server failed to load the model."),
    (
        r"generation session interrupted",
        EngineRefused,
        "interrupted",
        "The render was stopped at the GPU server.",
    ),
    (r"no images were generated", EngineFailed, "no_result", "The GPU server made no video and did not say why."),
    (
        r"something went wrong while generating",
        EngineFailed,
        "backend_error",
        "The render broke at the GPU server; its log says why.",
    ),
    (
        r"server failed to save",
        EngineRefused,
        "not_saved",
        "The GPU server could not save the video: its disk may be full.",
    ),
    (r"comfyui errored", EngineRefused, "workflow_refused", ""),
    (r"comfyui execution error", EngineFailed, "render_error", ""),
    (
        r"required model download failed",
        EngineFailed,
        "model_download_failed",
        "The GPU server could not download a file that the model needs.",
    ),
    (r"gguf|model loader for", EngineRefused, "model_unsupported", ""),
]
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), kind, code, text) for pattern, kind, code, text in _TEXTS]


def error_for_text(text: str) -> EngineError:
    """What one of SwarmUI's error texts means for the job."""
    for pattern, kind, code, sentence in _PATTERNS:
        if pattern.search(text):
            return kind(sentence or f"The GPU server refused or failed: {text[:200]}", code=code)
    return EngineFailed(f"The GPU server reported: {text[:200]}", code="engine_error")


def unavailable(exc: Exception) -> EngineError:
    """The error for a call to SwarmUI that gave nothing usable."""
    if isinstance(exc, SwarmRejected):
        return error_for_text(str(exc))
    if isinstance(exc, AddressRefused):
        return EngineUnavailable("The address of the GPU server may not be called.", code="address_refused")
    if isinstance(exc, SwarmUnauthorized):
        return EngineUnavailable("The GPU server refuses our credentials.", code="not_authorized")
    if isinstance(exc, SwarmProtocolError):
        return EngineUnavailable("What answers at the GPU server's address is not SwarmUI.", code="not_swarmui")
    return EngineUnavailable("The GPU server cannot be reached.", code="unreachable")


def error_for_result(exc: SwarmResultRefused) -> EngineError:
    if exc.code == "data_url":
        return EngineRefused("The GPU server is set not to save videos.", code="not_saved")
    if exc.code == "missing":
        return EngineFailed("The GPU server no longer has the video.", code="result_missing")
    return EngineFailed(str(exc), code=f"result_{exc.code}")


def check_models(request: RenderRequest, metadata: dict[str, Any]) -> None:
    """Raises EngineFailed when the video was made with other models than asked for.

    SwarmUI matches names loosely and takes the shortest one that contains the text.
    """
    used = _used(metadata)
    wanted = {"model": request.model, "videomodel": request.model, "videoswapmodel": request.low_noise_model}
    for key, name in wanted.items():
        found = used.get(key)
        if name and isinstance(found, str) and _plain(found) != _plain(name):
            raise EngineFailed(f"The GPU server rendered with {found[:80]} instead of {name[:80]}.", code="wrong_model")
    loras = _names(used.get("loras"))
    asked = {_plain(lora.name) for lora in request.loras}
    # Where prompt syntax is allowed, the prompt may have added some.
    extra = set() if loras is None or request.allow_prompt_syntax else {_plain(name) for name in loras} - asked
    if extra or (loras is not None and not asked <= {_plain(name) for name in loras}):
        raise EngineFailed("The GPU server rendered with other LoRAs than the model needs.", code="wrong_lora")


def seed_used(metadata: dict[str, Any]) -> int | None:
    seed = _used(metadata).get("seed")
    if isinstance(seed, str) and re.fullmatch(r"[0-9]{1,19}", seed):
        seed = int(seed)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else None


def kept_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping with the job: parameters without the prompts, timings, warnings."""
    used = {key: value for key, value in _used(metadata).items() if key not in ("prompt", "negativeprompt")}
    extra = metadata.get("sui_extra_data")
    extra = extra if isinstance(extra, dict) else {}
    wanted = ("date", "prep_time", "generation_time", "unused_parameters", "parser_warnings")
    return {"sui_image_params": used, **{key: extra[key] for key in wanted if key in extra}} if used or extra else {}


def _used(metadata: dict[str, Any]) -> dict[str, Any]:
    used = metadata.get("sui_image_params")
    return used if isinstance(used, dict) else {}


def _names(value: object) -> Iterable[str] | None:
    """A list parameter in the metadata: an array, its JSON text, or a comma text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [name for name in str(value).split(",") if name.strip()]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else None


def _plain(name: str) -> str:
    """The form in which SwarmUI compares names."""
    return re.sub(r"[\s\[\]]", "", name).lower().removesuffix(".safetensors")
