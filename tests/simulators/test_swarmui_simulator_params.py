"""Checklist 4: how parameters are read, matched, defaulted and refused."""

import io
import json
from typing import Any

import av
import pytest

from tests.simulators.swarmui import HIGH, LOW, SwarmSimulator
from tests.simulators.swarmui_wire import Wire, kinds, pick


def refusal(wire: Wire, **job: Any) -> str:
    """The error over HTTP."""
    answer = wire.post("GenerateText2Image", **wire.job(**job))
    assert answer.status_code == 200
    return str(answer.json().get("error", ""))


def used(messages: list[dict[str, Any]]) -> dict[str, Any]:
    parameters: dict[str, Any] = json.loads(pick(messages, "metadata")[-1])["sui_image_params"]
    return parameters


def made(wire: Wire, **job: Any) -> tuple[int, int, int, int]:
    """Width, height, frames and frames per second of the video that came out."""
    (path,) = wire.call("GenerateText2Image", **wire.job(**job))["images"]
    with av.open(io.BytesIO(wire.view(path).content)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height, stream.frames, int(stream.average_rate or 0)


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (
            {"videoframes": 1001},
            "Invalid value for parameter Video Frames: Invalid integer value for param Video Frames - '1001' - "
            "must be between 1 and 1000",
        ),
        (
            {"videoframes": "many"},
            "Invalid value for parameter Video Frames: Invalid integer value for param Video Frames - 'many' - "
            "must be a valid integer (eg '0', '3', '-5', etc)",
        ),
        (
            {"videocfg": 0.5},
            "Invalid value for parameter Video CFG: Invalid decimal value for param Video CFG - '0.5' - "
            "must be between 1 and 100",
        ),
        (
            {"videoboomerang": "yes"},
            "Invalid value for parameter Video Boomerang: Invalid boolean value for param Video Boomerang - 'yes' - "
            "must be exactly 'true' or 'false'",
        ),
        (
            {"videoresolution": "huge"},
            "Invalid value for parameter Video Resolution: Invalid value for param Video Resolution - 'huge' - "
            "must be one of: `Image Aspect, Model Res`, `Model Preferred`, `Image`",
        ),
        (
            {"videomodel": "Wan/xyz"},
            "Invalid value for parameter Video Model: Invalid model value for param Video Model - 'Wan/xyz' - "
            "are you sure that model name is correct?",
        ),
        (
            {"initimage": "http://x"},
            "Invalid value for parameter Init Image: Invalid IMAGE value for param Init Image - 'http://x' - "
            "must be a valid base64 string - got 'http://x'",
        ),
        ({"model": None}, "No model input given. Did your UI load properly?"),
        ({"images": None}, "Missing required parameter 'images'"),
        ({"initimage": ""}, "Something went wrong while generating images."),
    ],
)
def test_a_bad_value_is_refused_with_swarmuis_words(wire: Wire, job: dict[str, Any], text: str) -> None:
    assert refusal(wire, **job) == text


def test_a_refusal_on_a_socket_is_followed_by_the_short_trailer(wire: Wire) -> None:
    messages = wire.converse(videoframes=0)

    assert kinds(messages) == ["status waiting_gens", "error", "socket_intention", "status", "close"]


def test_an_unknown_lora_lists_the_few_that_there_are(wire: Wire) -> None:
    text = refusal(wire, loras="nonesuch")

    assert text.startswith("Invalid value for parameter LoRAs: Invalid value for param LoRAs - 'nonesuch' - must be")


def test_an_unknown_lora_among_many_is_not_answered_with_a_list(swarm: SwarmSimulator, wire: Wire) -> None:
    for number in range(10):
        swarm.add_model(f"more/{number}.safetensors", subtype="LoRA")

    assert refusal(wire, loras="nonesuch").endswith("option does not exist. Has it been deleted?")


def test_keys_lose_their_case_spaces_digits_and_underscores(wire: Wire) -> None:
    odd_keys: dict[str, Any] = {"Video_Frames 2": 5, "Video2Video Creativity": 1}
    messages = wire.converse(videoframes=None, **odd_keys)

    assert used(messages).items() >= {"videoframes": 5, "videovideocreativity": 1}.items()


def test_unknown_keys_are_ignored(wire: Wire) -> None:
    messages = wire.converse(nosuchthing="1")

    assert "nosuchthing" not in used(messages)


def test_a_part_of_a_model_name_picks_the_shortest_that_contains_it(wire: Wire) -> None:
    assert used(wire.converse(videomodel="NOISE"))["videomodel"] == LOW.removesuffix(".safetensors")


def test_an_exact_model_name_wins_over_a_shorter_one_that_contains_it(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.add_model("xwan/pair.safetensors")
    swarm.add_model("pair/a-much-longer-folder/pair.safetensors")

    name = "pair/a-much-longer-folder/pair"
    assert used(wire.converse(videomodel=name))["videomodel"] == name
    assert used(wire.converse(videomodel="pair"))["videomodel"] == "xwan/pair"


def test_an_ignored_value_is_as_good_as_none(wire: Wire) -> None:
    assert "negativeprompt" not in used(wire.converse(negativeprompt=""))


def test_a_random_seed_is_told_in_the_metadata(wire: Wire) -> None:
    assert 0 <= used(wire.converse(seed=-1))["seed"] < 2**31


def test_unused_parameters_are_told_in_the_metadata(wire: Wire) -> None:
    messages = wire.converse(videomodel=None, videoswapmodel=None)

    assert "videoframes" in json.loads(pick(messages, "metadata")[-1])["sui_extra_data"]["unused_parameters"]


def test_uploaded_pictures_stay_out_of_the_metadata(wire: Wire) -> None:
    assert "initimage" not in used(wire.converse())


def test_the_video_has_the_asked_size_length_and_speed(wire: Wire) -> None:
    assert made(wire, width=96, height=64, videoframes=13, videofps=12) == (96, 64, 13, 12)


def test_what_is_left_out_gets_the_model_class_defaults(wire: Wire) -> None:
    shape = made(wire, width=None, height=None, videoresolution=None, videoframes=None, videofps=None)

    assert shape == (960, 960, 49, 24)


def test_image_aspect_keeps_the_models_number_of_pixels(wire: Wire) -> None:
    width, height, *_ = made(wire, width=832, height=480, videoresolution="Image Aspect, Model Res", videoframes=5)

    assert (width, height) == (1280, 704)


def test_leaving_out_the_creativity_lets_the_base_model_redraw_the_picture(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1, base_stage_seconds=10)
    wire.converse(initimagecreativity=None)
    wire.converse(overrideoutpathformat="raw/jobs/two")

    slow, quick = (render["ended_at"] - render["started_at"] for render in swarm.renders())
    assert slow > quick + 0.3


def test_a_workflow_can_be_asked_for_without_rendering(swarm: SwarmSimulator, wire: Wire) -> None:
    good = wire.call("ComfyGetGeneratedWorkflow", **wire.job())
    bad = wire.call("ComfyGetGeneratedWorkflow", **wire.job(videoframes=0))

    assert "workflow" in good
    assert "Video Frames" in bad["error"]
    assert swarm.state()["asked"] == 0


def test_the_full_model_name_with_extension_is_good_too(wire: Wire) -> None:
    assert used(wire.converse(model=HIGH))["model"] == HIGH.removesuffix(".safetensors")
