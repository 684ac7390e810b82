"""Checklist 2, 3 and 5: sessions, the order of messages, progress."""

import base64
import io
import json
import time

import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed

from tests.simulators.swarmui import SwarmSimulator
from tests.simulators.swarmui_wire import Wire, kinds, pick, read_all, read_until

TRAILER = ["keep_alive", "discard_indices", "socket_intention", "status", "close"]


def test_a_successful_job_speaks_in_the_documented_order(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(load_seconds=1)

    assert kinds(wire.converse()) == [
        "status waiting_gens",
        "status waiting_gens,waiting_backends",
        "status waiting_gens,loading_models,waiting_backends",
        "status waiting_gens",
        "status waiting_gens,live_gens",
        "gen_progress",
        "image",
        "status",
        *TRAILER,
    ]


def test_the_model_is_loaded_once(wire: Wire) -> None:
    wire.converse()

    assert not any("loading_models" in kind for kind in kinds(wire.converse()))


def test_a_second_request_in_the_grace_time_goes_on_on_the_same_socket(wire: Wire) -> None:
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        first = read_until(socket, "image")
        read_until(socket, "socket_intention")
        socket.send(json.dumps(wire.job(session_id=None)))
        rest = read_all(socket)

    assert first["batch_index"] == "0"
    assert pick(rest, "batch_index") == ["1"]
    assert kinds(rest)[-5:] == TRAILER


def test_several_images_share_a_request_id_and_count_their_seeds_up(swarm: SwarmSimulator, wire: Wire) -> None:
    messages = wire.converse(images=3)

    images = [message for message in messages if "image" in message]
    seeds = [json.loads(image["metadata"])["sui_image_params"]["seed"] for image in images]
    assert sorted(zip([image["batch_index"] for image in images], seeds, strict=True)) == [("0", 7), ("1", 8), ("2", 9)]
    assert {image["request_id"] for image in images} == {"1001"}
    assert len(pick(messages, "discard_indices")) == 1


def test_the_server_closes_after_the_grace_time(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(time_scale=0.1)
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "socket_intention")
        began = time.monotonic()
        read_all(socket)

    assert 0.15 < time.monotonic() - began < 1


def test_progress_is_jumpy_and_stops_short_of_the_end(wire: Wire) -> None:
    progress = pick(wire.converse(), "gen_progress")
    overall = [each["overall_percent"] for each in progress]

    assert overall != sorted(overall)
    assert max(overall) < 1
    assert progress[-1]["current_percent"] == 1.0


def test_only_the_first_progress_carries_metadata(wire: Wire) -> None:
    progress = pick(wire.converse(), "gen_progress")

    assert ["metadata" in each for each in progress] == [True] + [False] * (len(progress) - 1)
    assert json.loads(progress[0]["metadata"])["is_preview"] is True


def test_batch_index_is_text_except_in_an_odd_preview(wire: Wire) -> None:
    progress = pick(wire.converse(), "gen_progress")

    assert {type(each["batch_index"]) for each in progress if "preview" not in each} == {str}
    assert {type(each["batch_index"]) for each in progress if "preview" in each} == {str, int}


def test_previews_are_animated_webp_and_may_be_large(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(preview_kb=1100)

    previews = [each["preview"] for each in pick(wire.converse(), "gen_progress") if "preview" in each]

    head, _, encoded = previews[0].partition(",")
    assert head == "data:image/webp;base64"
    assert len(previews[0]) > 1024 * 1024
    assert getattr(Image.open(io.BytesIO(base64.b64decode(encoded))), "n_frames", 1) > 1


def test_previews_can_be_switched_off_by_the_request(wire: Wire) -> None:
    assert not any("preview" in each for each in pick(wire.converse(nopreviews=True), "gen_progress"))


@pytest.mark.parametrize("key", ["raw_swarm_data", "raw_backend_data"])
def test_raw_data_is_forwarded_only_when_asked_for(wire: Wire, key: str) -> None:
    asked = wire.converse(forwardswarmdata=True, forwardrawbackenddata=True)

    assert pick(asked, key)
    assert not pick(wire.converse(), key)


def test_a_client_that_vanishes_stops_nothing(swarm: SwarmSimulator, wire: Wire) -> None:
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        socket.socket.close()

    swarm.wait_for(lambda state: state["finished"] == 1)
    assert wire.view("View/local/raw/jobs/one.mp4").status_code == 200


def test_a_polite_close_is_answered_only_when_the_job_is_over(wire: Wire) -> None:
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        socket.close()

    assert socket.close_code == 1000


def test_a_polite_close_is_not_answered_while_the_job_runs(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1000)
    with wire.socket(close_timeout_s=0.3) as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        socket.close()

    assert socket.close_code == 1006
    assert swarm.state()["in_flight"] == 1


def test_sessions_survive_a_restart_but_their_jobs_do_not(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1000)
    before = swarm.state()["server_id"]
    with wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")
        swarm.restart()
        with pytest.raises(ConnectionClosed):
            read_until(socket, "image")

    assert set(wire.call("GetCurrentStatus")["status"].values()) == {0}
    assert swarm.state()["server_id"] != before
    assert swarm.state()["lost"] == 1


def test_a_restart_without_persistence_forgets_sessions(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.restart(keep_sessions=False)

    assert wire.call("GetCurrentStatus")["error_id"] == "invalid_session_id"


def test_counters_belong_to_the_session(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(seconds=1000)
    with Wire(swarm.url) as other, wire.socket() as socket:
        socket.send(json.dumps(wire.job()))
        read_until(socket, "gen_progress")

        assert wire.call("GetCurrentStatus")["status"]["live_gens"] == 1
        assert other.call("GetCurrentStatus")["status"]["live_gens"] == 0
        assert other.call("GetGlobalStatus")["status"]["live_gens"] == 1
        wire.call("InterruptAll")


def test_request_ids_count_up_per_user(wire: Wire) -> None:
    ids = {pick(wire.converse(), "request_id")[0] for _ in range(2)}

    assert ids == {"1001", "1002"}
