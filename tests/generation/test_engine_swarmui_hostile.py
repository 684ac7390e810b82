"""The engine against a server that lies, stumbles or is not SwarmUI at all."""

import asyncio
import json
from typing import Any

import pytest

from generation.engines.base import EngineError, EngineFailed, EngineLost, EngineRefused, EngineUnavailable, Phase
from generation.engines.swarmui_request import output_path
from tests.generation.swarmui_driver import Recorder, a_request, an_engine
from tests.generation.swarmui_hostile import IDLE, hostile, saying
from tests.simulators.swarmui.messages import Response, text_response
from tests.simulators.swarmui.websocket import WebSocket

END = json.dumps({"socket_intention": "close"})


def image(path: str, **more: Any) -> str:
    return json.dumps({"image": path, "batch_index": "0", "request_id": "1001", "metadata": None} | more)


async def failure(url: str) -> EngineError:
    async with an_engine(url) as engine:
        with pytest.raises(EngineError) as caught:
            await engine.render(a_request(), Recorder())
    return caught.value


@pytest.mark.parametrize(
    "path", ["../../etc/passwd.mp4", "http://evil.example/View/a.mp4", "View/%2e%2e/a.mp4", "/View/a.mp4"]
)
async def test_a_result_elsewhere_is_refused(path: str) -> None:
    async with hostile(saying(image(path), END)) as url:
        error = await failure(url)
    assert (type(error), error.code) == (EngineFailed, "result_path")


async def test_a_video_inside_the_message_is_refused() -> None:
    async with hostile(saying(image("data:video/mp4;base64,AAAA"), END)) as url:
        error = await failure(url)
    assert (type(error), error.code) == (EngineRefused, "not_saved")


async def test_intermediate_results_are_passed_over() -> None:
    story = saying(image("View/local/raw/still.png", batch_index="-11"), image("View/local/raw/jobs/a.mp4"), END)
    async with hostile(story) as url, an_engine(url) as engine:
        result = await engine.render(a_request(), Recorder())
    assert result.ref["path"] == "View/local/raw/jobs/a.mp4"


async def test_a_video_after_an_error_message_counts() -> None:
    story = saying('{"error": "ComfyUI execution error: x"}', image("View/local/raw/jobs/a.mp4"), END)
    async with hostile(story) as url, an_engine(url) as engine:
        assert (await engine.render(a_request(), Recorder())).ref["path"]


async def test_the_first_error_names_the_reason() -> None:
    story = saying('{"error": "Allocation on device"}', '{"error": "Something went wrong while generating images."}')
    async with hostile(story) as url:
        assert (await failure(url)).code == "out_of_memory"


async def test_a_close_without_an_end_is_no_end() -> None:
    async with hostile(saying('{"keep_alive": true}')) as url:
        assert isinstance(await failure(url), EngineLost)


@pytest.mark.parametrize("message", ["garbage", "[]", '{"status": 3}', '{"gen_progress": {"overall_percent": NaN}}'])
async def test_a_message_that_makes_no_sense_is_followed_by_looking(message: str) -> None:
    request = a_request()
    listed = {"folders": [], "files": [{"src": f"{request.nonce}.mp4", "metadata": "{}"}]}
    async with hostile(saying(message), ListImages=listed) as url, an_engine(url) as engine:
        result = await engine.render(request, Recorder())
    assert result.ref["path"] == f"View/local/{output_path(request.nonce)}.mp4"


async def test_unknown_messages_are_signs_of_life() -> None:
    story = saying('{"raw_backend_data": {}}', '{"novelty": 1}', image("View/local/raw/jobs/a.mp4"), END)
    async with hostile(story) as url, an_engine(url) as engine:
        assert (await engine.render(a_request(), Recorder())).ref["path"]


async def test_the_seed_really_used_is_reported() -> None:
    metadata = json.dumps({"sui_image_params": {"seed": 99}, "sui_extra_data": {"parser_warnings": ["odd"]}})
    story = saying(image("View/local/raw/jobs/a.mp4", metadata=metadata), END)
    async with hostile(story) as url, an_engine(url) as engine:
        result = await engine.render(a_request(), Recorder())
    assert result.seed == 99
    assert result.metadata["parser_warnings"] == ["odd"]


async def test_a_server_that_never_knows_its_sessions_is_given_up() -> None:
    lost = '{"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}'
    async with hostile(saying(lost)) as url:
        error = await failure(url)
    assert (type(error), error.code) == (EngineUnavailable, "session_lost")


async def test_a_percent_that_goes_backwards_is_passed_on_as_it_is() -> None:
    shares = [0.5, 0.2, 0.9]
    news = [
        json.dumps({"gen_progress": {"batch_index": 0, "overall_percent": s, "current_percent": 0}}) for s in shares
    ]
    seen = Recorder()
    async with hostile(saying(*news, image("View/local/raw/jobs/a.mp4"), END)) as url, an_engine(url) as engine:
        await engine.render(a_request(), seen)
    assert [progress.fraction for progress in seen.news if progress.phase is Phase.RENDERING] == shares


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(200, b"<html>", {"content-type": "text/html"}), "not_swarmui"),
        (Response(200, b"[]", {"content-type": "application/json"}), "not_swarmui"),
        (Response(200, b"{}", {"content-type": "application/json"}), "not_swarmui"),
        (Response(200, b"\xff", {"content-encoding": "gzip"}), "not_swarmui"),
        (Response(302, b"", {"location": "http://127.0.0.1:1/"}), "not_swarmui"),
        (Response(404, b"no"), "not_swarmui"),
        (text_response(401, "Unauthorized"), "not_authorized"),
        (text_response(503, "wait"), "unreachable"),
        ({"error": "Invalid or unauthorized."}, "not_authorized"),
        ({"error_id": "bad_permissions", "error": "You lack permissions for this route."}, "no_permission"),
    ],
)
async def test_what_answers_instead_of_a_session_is_told_apart(answer: Any, code: str) -> None:
    async with hostile(saying(), GetNewSession=answer) as url:
        assert (await failure(url)).code == code


async def test_a_server_that_says_nothing_and_works_on_nothing_is_left() -> None:
    async def silent(socket: WebSocket) -> None:
        await socket.receive()

    async with hostile(silent) as url, an_engine(url, idle_s=0.05, first_message_s=0.1) as engine:
        with pytest.raises(EngineLost):
            await engine.render(a_request(), Recorder())


async def test_cancel_asks_again_until_the_counters_are_zero_and_says_when_they_are_not() -> None:
    busy = {"status": IDLE | {"waiting_gens": 1, "live_gens": 1}}
    async with hostile(saying(), GetCurrentStatus=busy) as url, an_engine(url, cancel_s=0.3) as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.cancel({"session_id": "A" * 40})
    assert caught.value.code == "still_running"


async def test_cancel_comes_back_for_a_request_that_was_in_no_counter_yet() -> None:
    idle, busy = {"status": IDLE}, {"status": IDLE | {"waiting_gens": 1}}
    calls: list[str] = []
    async with hostile(saying(), calls, GetCurrentStatus=[idle, busy, idle]) as url, an_engine(url) as engine:
        await engine.cancel({"session_id": "A" * 40})
    assert calls.count("InterruptAll") == 4


async def test_a_file_is_not_taken_while_the_render_may_still_write_it() -> None:
    request = a_request()
    busy = {"status": IDLE | {"waiting_gens": 1, "live_gens": 1}}
    listed = {"folders": [], "files": [{"src": f"{request.nonce}.mp4", "metadata": "{}"}]}
    answers: dict[str, Any] = {"GetCurrentStatus": [busy, busy, {"status": IDLE}], "ListImages": listed}
    calls: list[str] = []
    async with hostile(saying('{"keep_alive": true}'), calls, **answers) as url, an_engine(url) as engine:
        await engine.render(request, Recorder())
    assert calls[-4:] == ["GetCurrentStatus", "GetCurrentStatus", "GetCurrentStatus", "ListImages"]


async def test_looks_that_fail_now_and_then_do_not_add_up() -> None:
    request = a_request()
    away, busy = text_response(503, "wait"), {"status": IDLE | {"live_gens": 1}}
    listed = {"folders": [], "files": [{"src": f"{request.nonce}.mp4", "metadata": "{}"}]}
    answers: dict[str, Any] = {
        "GetCurrentStatus": [away, busy, away, busy, away, {"status": IDLE}],
        "ListImages": listed,
    }
    async with hostile(saying(), **answers) as url, an_engine(url, unreachable_looks=2) as engine:
        ref = await engine._prepare(request, Recorder())
        assert await engine.recover(request, ref, Recorder())


async def test_a_server_that_reads_its_models_before_it_counts_is_waited_for() -> None:
    calls: list[str] = []

    async def late(socket: WebSocket) -> None:
        while calls.count("GetCurrentStatus") < 2:  # noqa: ASYNC110 (the calls come from elsewhere)
            await asyncio.sleep(0.01)
        await socket.send(image("View/local/raw/jobs/a.mp4"))

    seen = Recorder()
    async with hostile(late, calls) as url, an_engine(url, idle_s=0.05) as engine:
        await engine.render(a_request(), seen)
    assert "Preparing the model" in {progress.message for progress in seen.news}
    assert "ListImages" not in calls
