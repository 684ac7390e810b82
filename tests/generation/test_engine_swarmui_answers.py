from dataclasses import replace

import pytest

from generation.engines.base import EngineError, EngineFailed, EngineRefused, EngineUnavailable
from generation.engines.swarmui_answers import check_models, error_for_text, kept_metadata, seed_used
from tests.generation.test_engine_swarmui_request import HIGH, LOW, REQUEST

USED_LORAS = ["Wan/wan22_lightning_i2v_high", "Wan/wan22_lightning_i2v_low"]
USED = {
    "model": HIGH,
    "videomodel": HIGH + ".safetensors",
    "videoswapmodel": LOW,
    "loras": USED_LORAS,
    "seed": 12345,
    "prompt": "secret",
}


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("ComfyUI execution error: Allocation on device ", EngineFailed, "out_of_memory"),
        ("ComfyUI execution error: CUDA error: out of memory", EngineFailed, "out_of_memory"),
        ("ComfyUI execution error: You ran out of memory on your GPU", EngineFailed, "out_of_memory"),
        ("ComfyUI execution error: shapes cannot be multiplied", EngineFailed, "render_error"),
        ("ComfyUI errored: {'type': 'prompt_outputs_failed_validation'}", EngineRefused, "workflow_refused"),
        (
            "Invalid value for parameter Video Model: Invalid model value for param Video Model - 'Wan/x' - are you "
            "sure that model name is correct?",
            EngineRefused,
            "model_missing",
        ),
        ("No model input given. Did your UI load properly?", EngineRefused, "model_missing"),
        (
            "No backends match the settings of the request given! Backends refused for the following reason(s):\n"
            "- Request requires model 'x' but the backend does not have that model",
            EngineRefused,
            "model_missing",
        ),
        (
            "No backends match the settings of the request given! Backends refused for the following reason(s):\n"
            "- Request requires flag 'video' which is not present on the backend",
            EngineRefused,
            "backend_mismatch",
        ),
        ("LoRA Model 'x' not found in the model set.", EngineRefused, "lora_missing"),
        (
            "Invalid value for parameter LoRAs: Invalid value for param LoRAs - 'x' - option does not exist. Has it "
            "been deleted?",
            EngineRefused,
            "lora_missing",
        ),
        (
            "Invalid value for parameter Init Image: Invalid IMAGE value for param Init Image - '' - must be a valid "
            "base64 string",
            EngineRefused,
            "picture_refused",
        ),
        (
            "Invalid value for parameter Video Steps: Invalid integer value for param Video Steps - '900' - must be "
            "between 1 and 200",
            EngineRefused,
            "bad_setting",
        ),
        ("Missing required parameter 'images'", EngineRefused, "bad_setting"),
        ("You do not have permission to use parameter Video Model.", EngineRefused, "no_permission"),
        ("You lack permissions for this route.", EngineRefused, "no_permission"),
        ("No backends available!", EngineUnavailable, "no_backend"),
        ("Timeout! All backends are occupied with other tasks.", EngineUnavailable, "busy"),
        ("Backend handler is shutting down.", EngineUnavailable, "restarting"),
        ("All available backends failed to load the model '/a/b'.", EngineFailed, "model_load_failed"),
        ("Generation session interrupted.", EngineRefused, "interrupted"),
        (
            "No images were generated (all refused, or failed - check server logs for details).",
            EngineFailed,
            "no_result",
        ),
        ("Something went wrong while generating images.", EngineFailed, "backend_error"),
        ("Server failed to save an image.", EngineRefused, "not_saved"),
        ("Required model download failed.", EngineFailed, "model_download_failed"),
        ("Model 'x' is in GGUF format, but the server does not have GGUF support", EngineRefused, "model_unsupported"),
        (
            "Model loader for x didn't work - are you sure it has an architecture ID set properly?",
            EngineRefused,
            "model_unsupported",
        ),
        ("An internal error occurred", EngineFailed, "engine_error"),
    ],
)
def test_every_error_text_has_its_meaning(text: str, kind: type[EngineError], code: str) -> None:
    error = error_for_text(text)
    assert (type(error), error.code) == (kind, code)
    assert 10 < len(error.message) < 300


def test_the_models_asked_for_pass() -> None:
    check_models(REQUEST, {"sui_image_params": USED})


def test_no_metadata_proves_nothing() -> None:
    check_models(REQUEST, {})


@pytest.mark.parametrize("key", ["model", "videomodel", "videoswapmodel"])
def test_another_model_than_asked_for_is_a_failure(key: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        check_models(REQUEST, {"sui_image_params": USED | {key: "Wan/other"}})
    assert caught.value.code == "wrong_model"
    assert "Wan/other" in caught.value.message


@pytest.mark.parametrize(
    "loras", [[], [*USED_LORAS, "extra"], ["Wan/wan22_lightning_i2v_high"], "Wan/other,Wan/wan22_lightning_i2v_low"]
)
def test_other_loras_than_asked_for_are_a_failure(loras: object) -> None:
    with pytest.raises(EngineFailed, match="LoRA"):
        check_models(REQUEST, {"sui_image_params": USED | {"loras": loras}})


def test_loras_of_an_allowed_prompt_may_be_added() -> None:
    metadata = {"sui_image_params": USED | {"loras": [*USED_LORAS, "mine"]}}
    check_models(replace(REQUEST, allow_prompt_syntax=True), metadata)


@pytest.mark.parametrize(
    ("seed", "read"),
    [(7, 7), ("7", 7), (None, None), (True, None), (-1, None), (2**63, None), ("x", None), (1.5, None)],
)
def test_the_seed_really_used_is_read(seed: object, read: int | None) -> None:
    assert seed_used({"sui_image_params": {"seed": seed}}) == read


def test_warnings_and_parameters_are_kept_and_the_prompt_is_not() -> None:
    extra = {"generation_time": "45.20 sec", "parser_warnings": ["x"], "unused_parameters": ["y"], "other": 1}
    kept = kept_metadata({"sui_image_params": USED, "sui_extra_data": extra, "sui_models": []})
    assert "prompt" not in kept["sui_image_params"]
    assert (kept["generation_time"], kept["parser_warnings"], kept["unused_parameters"]) == ("45.20 sec", ["x"], ["y"])
