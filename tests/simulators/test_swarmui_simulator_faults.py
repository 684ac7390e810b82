"""Checklist 7: how renders fail, break off, are interrupted and survive their socket."""

import json
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.simulators.swarmui import SwarmSimulator
from tests.simulators.swarmui.script import FAULTS
from tests.simulators.swarmui_wire import Wire, kinds, pick, read_all, read_until

TRAILER = ["status", "keep_alive", "discard_indices", "socket_intention", "status", "close"]


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"silent"}))
def test_each_named_fault_is_told_once_and_followed_by_the_normal_trailer(
    swarm: SwarmSimulator, wire: Wire, fault: str
) -> None:
    swarm.script(fail_next=fault)
    messages = wire.converse()

    expected = FAULTS[fault][1].replace("{model_path}", "/models/Wan/wan2.2_i2v_high_noise_14B_fp8_scaled")
    assert pick(messages, "error") == [expected]
    assert kinds(messages)[-7:] == ["error", *TRAILER]
    assert pick(wire.converse(), "image"), "only the next request fails"


def test_any_other_text_is_an_error_in_the_middle_of_the_render(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="ComfyUI execution error: boom")

    assert wire.call("GenerateText2Image", **wire.job()) == {"error": "ComfyUI execution error: boom"}
    assert swarm.state()["failed"] == 1


def test_a_failed_load_tells_every_request_for_that_model(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(load_fail_next=1)

    (error,) = pick(wire.converse(), "error")
    assert error.startswith("All available backends failed to load the model '/models/Wan/")


@pytest.mark.parametrize("job", [{"initimage": "AAAAA"}, {"initimage": "raw/none.png"}])
def test_some_failures_are_silent(wire: Wire, job: dict[str, str]) -> None:
    response = wire.post("GenerateText2Image", **wire.job(**job))

    assert kinds(wire.converse(**job)) == ["status", "socket_intention", "status", "close"]
    assert (response.status_code, response.json()["error_id"]) == (400, "internal_error")


def test_a_silent_failure_can_be_scripted(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="silent")

    assert kinds(wire.converse()) == ["status", "socket_intention", "status", "close"]


def test_an_interrupt_of_a_running_job_is_an_error(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1000)
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        assert wire.call("InterruptAll", other_sessions=False) == {"success": True}
        messages = read_all(socket)

    assert pick(messages, "error") == ["Generation session interrupted."]
    assert kinds(messages)[-7:] == ["error", *TRAILER]
    assert swarm.state()["interrupted"] == 1


def test_an_interrupt_of_a_queued_job_is_silent(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.set_backend(0, "loading")
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        swarm.wait_for(lambda state: state["queued"] == 1)
        wire.call("InterruptAll", other_sessions=False)
        messages = read_all(socket)

    assert pick(messages, "error") == []
    assert kinds(messages)[-6:] == TRAILER
    assert set(wire.call("GetCurrentStatus")["status"].values()) == {0}


def test_an_interrupt_spares_other_sessions_unless_told_otherwise(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1000)
    with Wire(swarm.url) as other, wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        other.call("InterruptAll", other_sessions=False)
        spared = swarm.state()["in_flight"]
        other.call("InterruptAll", other_sessions=True)

        assert spared == 1
        assert read_until(socket, "error")["error"] == "Generation session interrupted."


def test_an_http_request_interrupted_in_the_queue_answers_with_no_images(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=40)
    with wire.socket() as first, wire.socket() as second, wire.socket() as third:
        for socket in (first, second, third):
            socket.send(json.dumps(wire.job()))
        swarm.wait_for(lambda state: state["asked"] == 3)
        wire.call("InterruptAll")
        errors = [pick(read_all(socket), "error") for socket in (first, second, third)]

    # Two are in Comfy's hands and complain, the third one only waited for a slot.
    assert sorted(map(len, errors)) == [0, 1, 1]


def test_a_dropped_socket_leaves_the_job_running_and_the_file_appears_later(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=10, drop_socket_after=2)
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        with pytest.raises(ConnectionClosed):
            read_until(socket, "image")

    assert wire.call("GetCurrentStatus")["status"]["live_gens"] == 1
    assert wire.view("View/local/raw/jobs/one.mp4").status_code == 404
    swarm.wait_for(lambda state: state["finished"] == 1)
    assert wire.view("View/local/raw/jobs/one.mp4").status_code == 200


def test_a_dropped_socket_is_dropped_once(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(drop_socket_after=0.5, drop_sockets=1)

    assert wire.converse()[-1] == {"close": None}
    assert wire.converse()[-1] == {"close": 1000}


def test_calls_can_be_cut_instead_of_answered(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(drop_next=1)

    with pytest.raises(httpx.TransportError):
        wire.post("GetCurrentStatus")
    assert wire.post("GetCurrentStatus").status_code == 200


def test_answers_can_be_held_back(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(no_answer_seconds=60, time_scale=1)

    with pytest.raises(httpx.ReadTimeout):
        wire.http.post("/API/GetNewSession", json={}, timeout=0.2)


def test_a_render_can_fall_silent_in_the_middle(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(stall_seconds=10)
    began = time.monotonic()
    wire.converse()

    assert time.monotonic() - began > 0.5


def test_hashing_a_model_for_the_first_time_holds_everything_back(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(hash_seconds=8)
    with wire.socket() as socket:
        began = time.monotonic()
        socket.send(json.dumps(wire.job()))
        read_until(socket, "status")
        first_status = time.monotonic() - began

    assert first_status > 0.35


def test_after_an_error_images_that_did_not_start_are_skipped(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="oom", fail_at=0)
    messages = wire.converse(images=20)

    assert len(pick(messages, "error")) == 1
    assert swarm.state()["started"] < 20


def test_continueaftererrors_suppresses_errors_altogether(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="oom")
    messages = wire.converse(images=3, continueaftererrors=True)

    assert (len(pick(messages, "image")), pick(messages, "error")) == (2, [])


def test_an_unwritable_disk_is_told_after_the_render(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(fail_next="save_failed")

    assert pick(wire.converse(), "error") == ["Server failed to save an image."]
    assert swarm.state()["gpus"][0]["busy_seconds"] > 0
