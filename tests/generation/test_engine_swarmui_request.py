import unicodedata
from dataclasses import replace

import pytest

from generation.engines.base import Lora, RenderRequest
from generation.engines.swarmui_request import parameters, prompt_text

HIGH = "Wan/wan2.2_i2v_high_noise_14B_fp8_scaled"
LOW = "Wan/wan2.2_i2v_low_noise_14B_fp8_scaled"


async def no_picture() -> bytes:
    return b""


REQUEST = RenderRequest(
    nonce="0123456789abcdef" * 2,
    picture=no_picture,
    prompt="the dog runs towards the camera",
    negative_prompt="",
    width=832,
    height=480,
    frames=81,
    fps=16,
    steps=4,
    cfg_scale=1.0,
    seed=12345,
    model=HIGH,
    low_noise_model=LOW,
    loras=(Lora("Wan/wan22_lightning_i2v_high", 1, "high"), Lora("Wan/wan22_lightning_i2v_low", 0.8, "low")),
)


def test_the_request_is_the_one_that_wan_2_2_needs() -> None:
    assert parameters(REQUEST) == {
        "images": 1,
        "model": HIGH,
        "prompt": "the dog runs towards the camera",
        "negativeprompt": "",
        "initimagecreativity": 0,
        "width": 832,
        "height": 480,
        "videoresolution": "Image",
        "seed": 12345,
        "videomodel": HIGH,
        "videoswapmodel": LOW,
        "videoswappercent": 0.5,
        "videoframes": 81,
        "videofps": 16,
        "videosteps": 4,
        "videocfg": 1.0,
        "videoformat": "h264-mp4",
        "loras": "Wan/wan22_lightning_i2v_high,Wan/wan22_lightning_i2v_low",
        "loraweights": "1,0.8",
        "lorasectionconfinement": "2,3",
        "overrideoutpathformat": "raw/jobs/0123456789abcdef0123456789abcdef",
        "personalnote": "0123456789abcdef0123456789abcdef",
    }


def test_a_single_stage_model_has_no_swap_and_no_loras() -> None:
    names = parameters(replace(REQUEST, low_noise_model="", loras=())).keys()
    assert not {"videoswapmodel", "videoswappercent", "loras", "loraweights", "lorasectionconfinement"} & names


def test_sampler_and_scheduler_are_sent_only_when_the_model_names_them() -> None:
    assert not {"sampler", "scheduler"} & parameters(REQUEST).keys()
    assert parameters(replace(REQUEST, sampler="euler", scheduler="simple"))["scheduler"] == "simple"


def test_a_lora_for_all_stages_is_confined_to_none() -> None:
    request = replace(REQUEST, loras=(Lora("Wan/style", 1, "all"),))
    assert parameters(request)["lorasectionconfinement"] == "0"


@pytest.mark.parametrize(
    "typed",
    [
        "<lora:evil:2>",
        "<video> <param[cfgscale]:30>",
        "<wildcard:people>",
        "< setvar[x]:y >",
        "(big:9.5)",
        "[cat:dog:0.5]",
        "[a|b]",
        "\\(x\\)",
        "embedding:bad",
        "EMBEDDING:bad",
        "\0swarmembed:x\0end",
    ],
)
def test_prompt_syntax_typed_by_a_person_is_words(typed: str) -> None:
    sent = prompt_text(typed, allow_syntax=False)
    assert not set("<>()[]\\\0") & set(sent)
    assert "embedding:" not in sent.lower().replace("swarmembed:", "")


def test_a_neutralised_prompt_reads_the_same() -> None:
    typed = "a <3 for (old) dogs: 50% off [now], C:\\"
    assert unicodedata.normalize("NFKC", prompt_text(typed, allow_syntax=False)) == typed


def test_plain_text_in_any_language_is_untouched() -> None:
    text = "Der Hund läuft, dreht sich um - 狗跑 👩‍🚀\n평화"
    assert prompt_text(text, allow_syntax=False) == text


def test_the_negative_prompt_is_neutralised_too() -> None:
    assert parameters(replace(REQUEST, negative_prompt="<lora:x>"))["negativeprompt"] == "\uff1clora:x\uff1e"


def test_a_row_that_allows_syntax_gets_it_without_control_characters() -> None:
    request = replace(REQUEST, prompt="<video>\0 run (fast:1.2)", allow_prompt_syntax=True)
    assert parameters(request)["prompt"] == "<video> run (fast:1.2)"
