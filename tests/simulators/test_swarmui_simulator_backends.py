"""Checklist 8 and 9: backends, slots, models, the operator's routes."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.simulators.swarmui import HIGH, LOW, SwarmSimulator
from tests.simulators.swarmui_wire import Message, Wire, pick, read_all, read_until


def test_a_request_waits_while_backends_are_loading(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.set_backend(0, "loading")
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        status = read_until(socket, "status")["backend_status"]
        swarm.wait_for(lambda state: state["queued"] == 1)
        swarm.set_backend(0, "running")

        assert pick(read_all(socket), "image")
    assert status == {
        "status": "loading",
        "class": "soft",
        "message": "Backends are still loading on the server...",
        "any_loading": True,
    }


@pytest.mark.parametrize("state", ["errored", "idle", "disabled"])
def test_a_request_fails_soon_when_no_backend_runs_or_loads(swarm: SwarmSimulator, wire: Wire, state: str) -> None:
    swarm.set_backend(0, state)

    assert pick(wire.converse(), "error") == ["No backends available!"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("running", "running"), "running"),
        (("running", "errored"), "errored"),
        (("running", "loading"), "some_loading"),
        (("waiting", "loading"), "loading"),
        (("disabled", "disabled"), "all_disabled"),
        (("disabled", "idle"), "disabled"),
        (("idle", "idle"), "idle"),
    ],
)
def test_the_state_of_all_backends_is_told_in_one_word(states: tuple[str, str], expected: str) -> None:
    with SwarmSimulator(backends=2) as swarm, Wire(swarm.url) as wire:
        for number, state in enumerate(states):
            swarm.set_backend(number, state)

        assert wire.call("GetCurrentStatus")["backend_status"]["status"] == expected


def test_backends_boot_before_they_run() -> None:
    with SwarmSimulator(boot_seconds=4) as swarm, Wire(swarm.url) as wire:
        assert wire.call("ListBackends")["0"]["status"] == "loading"
        assert pick(wire.converse(), "image")


def test_a_second_job_waits_inside_comfy_and_counts_as_live_and_a_third_does_not(
    swarm: SwarmSimulator, wire: Wire
) -> None:
    swarm.script(seconds=1000)
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job(images=3)))
        swarm.wait_for(lambda state: state["in_flight"] == 1)
        counts = wire.call("GetCurrentStatus")["status"]
        state = swarm.state()
        wire.call("InterruptAll")
        read_all(socket)

    assert counts == {"waiting_gens": 3, "loading_models": 0, "waiting_backends": 1, "live_gens": 2}
    assert (state["started"], state["queued"]) == (1, 2)


def test_the_gap_between_two_queued_renders_is_measured(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(gap_seconds=2, cheap=True)
    wire.converse(images=3)
    (gpu,) = swarm.state()["gpus"]

    assert len(gpu["gaps_seconds"]) == 2
    assert all(0.1 <= gap < 0.5 for gap in gpu["gaps_seconds"])
    assert gpu["busy_seconds"] >= 0.15


def test_two_gpus_render_at_the_same_time() -> None:
    with SwarmSimulator(backends=2, seconds=1000) as swarm, Wire(swarm.url) as wire, wire.socket() as socket:
        socket.send(json.dumps(wire.job(images=4)))

        assert swarm.wait_for(lambda state: state["in_flight"] == 2)
        wire.call("InterruptAll")
        read_all(socket)


def test_a_job_can_be_pinned_to_a_backend() -> None:
    with SwarmSimulator(backends=2) as swarm, Wire(swarm.url) as wire:
        wire.converse(exactbackendid="1")

        assert [gpu["busy_seconds"] > 0 for gpu in swarm.state()["gpus"]] == [False, True]
        assert pick(wire.converse(exactbackendid="7"), "error")[0].endswith("did not match")


def test_a_missing_feature_is_a_refusal_with_its_reason(wire: Wire) -> None:
    job: dict[str, Any] = {"videoframeinterpolationmultiplier": 2, "videoframeinterpolationmethod": "RIFE"}
    (error,) = pick(wire.converse(**job), "error")
    wire.call("ComfyInstallFeatures", features="frame_interpolation")

    assert error.endswith("\n- Request requires flag 'frameinterps' which is not present on the backend")
    assert pick(wire.converse(**job), "image")


def test_when_comfy_dies_its_backend_is_errored_for_a_moment(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="comfy_died", time_scale=0.5, seconds=0.1)
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "error")
        swarm.wait_for(lambda state: state["backends"] == {"0": "errored"})

    swarm.wait_for(lambda state: state["backends"] == {"0": "running"})
    assert pick(wire.converse(), "image")


def test_only_the_base_model_is_loaded_by_the_scheduler(swarm: SwarmSimulator, wire: Wire) -> None:
    wire.converse(model=LOW)

    assert [model["name"] for model in wire.call("ListLoadedModels")["models"]] == [LOW]
    assert wire.call("ListBackends", full_data=True)["0"]["current_model"] == LOW
    assert "current_model" not in wire.call("ListBackends")["0"]


def test_a_model_can_be_loaded_ahead(wire: Wire) -> None:
    assert wire.call("SelectModel", model=HIGH) == {"success": True}
    assert wire.call("SelectModel", model="no_such") == {"error": "Model not found."}
    assert wire.call("DescribeModel", modelName=HIGH)["model"]["loaded"] is True


def test_a_model_can_be_loaded_over_a_socket(wire: Wire) -> None:
    messages = wire.converse("SelectModelWS")

    assert [next(iter(message)) for message in messages] == ["status", "success", "status", "close"]


def test_noloadmodels_takes_any_backend_without_loading(swarm: SwarmSimulator, wire: Wire) -> None:
    messages = wire.converse(noloadmodels=True)

    assert not any(status["loading_models"] for status in pick(messages, "status"))


def test_models_are_listed_below_a_folder(wire: Wire) -> None:
    answer = wire.call("ListModels", path="Wan", depth=2)

    assert [model["name"] for model in answer["files"]][-3:-1] == [HIGH, LOW]
    assert answer["files"][-2]["architecture"] == "wan-2_2-image2video-14b"
    assert "watercolour" in wire.call("ListModels", path="", depth=9, subtype="LoRA")["files"][-1]["name"]


def test_a_model_is_described_by_its_exact_name_only(wire: Wire) -> None:
    assert wire.call("DescribeModel", modelName=HIGH.removesuffix(".safetensors"))["model"]["name"] == HIGH
    assert wire.call("DescribeModel", modelName="high_noise") == {"error": "Model not found."}


def test_a_downloaded_model_is_listed_and_not_downloaded_twice(wire: Wire) -> None:
    wanted = {"url": "https://example.test/x", "type": "Stable-Diffusion"}

    with wire.socket("DoModelDownloadWS") as socket:
        socket.send(json.dumps({"session_id": wire.session, "name": "new/one"} | wanted))
        assert read_all(socket)[-2] == {"success": True}
    with wire.socket("DoModelDownloadWS") as socket:
        socket.send(json.dumps({"session_id": wire.session, "name": "new/one"} | wanted))
        assert read_all(socket)[0] == {"error": "Model at that save path already exists."}


@pytest.mark.parametrize("route", ["ListT2IParams", "TriggerRefresh"])
def test_the_parameter_list_names_ids_ranges_and_models(wire: Wire, route: str) -> None:
    answer = wire.call(route)
    params = {param["id"]: param for param in answer["list"]}

    assert (params["videoframes"]["min"], params["videoframes"]["max"]) == (1, 1000)
    assert [HIGH, "wan-2_2-image2video-14b"] in answer["models"]["Stable-Diffusion"]


def test_resources_name_gpus_only_when_they_can_be_seen(swarm: SwarmSimulator, wire: Wire) -> None:
    seen = wire.call("GetServerResourceInfo")
    swarm.script(gpus_visible=False)

    assert seen["gpus"]["0"]["name"] == "NVIDIA GeForce RTX 4090"
    assert "gpus" not in wire.call("GetServerResourceInfo")


def test_backends_can_be_added_switched_off_and_removed(wire: Wire) -> None:
    added = wire.call("AddNewBackend", type_id="comfyui_selfstart")

    assert added["id"] == 1
    assert wire.call("ToggleBackend", backend_id=1, enabled=False) == {"result": "Success."}
    assert wire.call("ToggleBackend", backend_id=1, enabled=False) == {"result": "No change."}
    assert wire.call("DeleteBackend", backend_id=1) == {"result": "Deleted."}
    assert list(wire.call("ListBackends")) == ["0"]


def test_restarting_backends_counts_only_running_and_errored_ones(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.set_backend(0, "disabled")

    assert wire.call("RestartBackends", backend="all") == {"result": "Success.", "count": 0}


def test_without_a_login_there_is_no_session_when_one_is_required() -> None:
    with SwarmSimulator(authorization_required=True) as swarm:
        answer = Wire(swarm.url).http.post("/API/GetNewSession", json={})

    assert (answer.status_code, answer.json()) == (200, {"error": "Invalid or unauthorized."})


def test_many_jobs_at_once_are_all_rendered_once(swarm: SwarmSimulator) -> None:
    swarm.script(cheap=True, seconds=0.02, gap_seconds=0, previews=False)

    def job(number: int) -> list[Message]:
        with Wire(swarm.url) as wire:
            return wire.converse(overrideoutpathformat=f"raw/jobs/{number}", prompt=f"job {number}")

    with ThreadPoolExecutor(30) as pool:
        results = list(pool.map(job, range(60)))

    assert all(pick(messages, "image") for messages in results)
    assert swarm.state()["started_by_path"] == {f"raw/jobs/{number}": 1 for number in range(60)}
