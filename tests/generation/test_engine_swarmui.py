"""The engine against the SwarmUI simulator: renders that go well, errors, progress, cancelling, results."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator

import pytest

from generation.engines.base import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineUnavailable,
    Lora,
    Phase,
)
from tests import factories
from tests.films import fps_of, frames_of
from tests.generation.swarmui_driver import Recorder, a_request, an_engine, until, until_state
from tests.simulators.swarmui.simulator import SwarmSimulator


@pytest.fixture
def swarm() -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        yield simulator


async def test_a_picture_becomes_a_video_that_a_worker_can_fetch(swarm: SwarmSimulator) -> None:
    request = a_request()
    async with an_engine(swarm.url) as engine:
        result = await engine.render(request, Recorder())
        with engine.open_result(result.ref) as pieces:
            video = b"".join(pieces)
    assert result.ref == {"endpoint": swarm.url, "path": f"View/local/raw/jobs/{request.nonce}.mp4"}
    assert video[4:8] == b"ftyp"
    assert result.seed == 12345
    assert result.metadata["sui_image_params"]["personalnote"] == request.nonce


async def test_what_arrives_is_what_was_asked_for(swarm: SwarmSimulator) -> None:
    request, seen = a_request(), Recorder()
    async with an_engine(swarm.url) as engine:
        await engine.render(request, seen)
    [render] = swarm.renders()
    arrived = {key: str(value).removesuffix(".safetensors") for key, value in render["params"].items()}
    asked = dict(seen.sent[0][1])
    assert asked.pop("images") == 1
    for key in ("loras", "negativeprompt"):
        asked.pop(key)
    assert {
        key: float(arrived[key]) if isinstance(value, float | int) else arrived[key] for key, value in asked.items()
    } == asked
    assert render["picture_sha256"] == hashlib.sha256(factories.png(128, 96)).hexdigest()


async def test_a_video_ends_with_the_end_picture_and_neither_is_in_what_is_kept(swarm: SwarmSimulator) -> None:
    async def white() -> bytes:
        return white_png

    white_png = factories.plain_png(128, 96, "white")
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        result = await engine.render(a_request(end_picture=white), seen)
        with engine.open_result(result.ref) as pieces:
            last = frames_of(b"".join(pieces))[-1]

    [render] = swarm.renders()
    assert render["picture_sha256"] == hashlib.sha256(factories.png(128, 96)).hexdigest()
    assert render["end_picture_sha256"] == hashlib.sha256(white_png).hexdigest()
    assert last.mean() > 250
    assert not {"initimage", "videoendimage"} & seen.sent[0][1].keys()
    assert "base64" not in str(seen.sent)


async def test_an_end_picture_that_is_none_breaks_the_render(swarm: SwarmSimulator) -> None:
    async def broken() -> bytes:
        return b"no picture"

    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineFailed):
            await engine.render(a_request(end_picture=broken), Recorder())


async def test_frames_in_between_make_a_smoother_video_of_the_same_length(swarm: SwarmSimulator) -> None:
    swarm.script(features=["comfyui", "text2image", "video", "frameinterps"])
    async with an_engine(swarm.url) as engine:
        result = await engine.render(a_request(interpolate=4), Recorder())
        with engine.open_result(result.ref) as pieces:
            video = b"".join(pieces)

    assert len(frames_of(video)) == 17  # of 5
    assert fps_of(video) == 64


async def test_a_server_without_the_nodes_for_it_refuses_frames_in_between(swarm: SwarmSimulator) -> None:
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineRefused, match="frameinterps") as refused:
            await engine.render(a_request(interpolate=2), Recorder())

    assert refused.value.code == "backend_mismatch"


async def test_the_ref_is_saved_before_anything_is_sent_and_holds_no_picture(swarm: SwarmSimulator) -> None:
    request, seen = a_request(), Recorder()
    seen.before_sending = lambda: asked.append(swarm.state()["asked"])
    asked: list[int] = []
    async with an_engine(swarm.url) as engine:
        await engine.render(request, seen)
    assert asked == [0]
    ref, sent = seen.sent[0]
    assert ref["output_path"] == f"raw/jobs/{request.nonce}"
    assert ref["session_id"] == swarm.renders()[0]["session"]
    assert "initimage" not in sent
    assert ref["session_id"] not in str(sent)


async def test_nothing_is_sent_when_the_lease_was_lost(swarm: SwarmSimulator) -> None:
    class LeaseLost(Exception):
        pass

    def refuse() -> None:
        raise LeaseLost

    seen = Recorder()
    seen.before_sending = refuse
    async with an_engine(swarm.url) as engine:
        with pytest.raises(LeaseLost):
            await engine.render(a_request(), seen)
    assert swarm.state()["asked"] == 0


async def test_a_large_picture_arrives_whole(swarm: SwarmSimulator) -> None:
    big = factories.png(128, 96) + b"\x07" * 1_000_001

    async def picture() -> bytes:
        return big

    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(picture=picture), Recorder())
    assert swarm.renders()[0]["picture_sha256"] == hashlib.sha256(big).hexdigest()


async def test_every_render_has_a_session_of_its_own(swarm: SwarmSimulator) -> None:
    async with an_engine(swarm.url) as engine:
        await asyncio.gather(*(engine.render(a_request(), Recorder()) for _ in range(3)))
    assert list(swarm.state()["started_by_session"].values()) == [1, 1, 1]


async def test_prompt_syntax_arrives_as_words(swarm: SwarmSimulator) -> None:
    async with an_engine(swarm.url) as engine:
        result = await engine.render(a_request(prompt="a dog <lora:Wan/other:2> <param[videosteps]:99>"), Recorder())
    assert "<" not in swarm.renders()[0]["params"]["prompt"]
    assert "parser_warnings" not in result.metadata


# --- progress -------------------------------------------------------------------------------------------------------


async def test_phases_come_in_order_with_the_loading_told_apart(swarm: SwarmSimulator) -> None:
    swarm.script(load_seconds=2)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(), seen)
    ranked = [phase for phase in seen.phases if phase is not Phase.WAITING]
    assert ranked == [Phase.SENDING, Phase.LOADING, Phase.RENDERING, Phase.FINISHING]
    assert "Loading the model" in {progress.message for progress in seen.news}


async def test_those_who_wait_are_told_their_place_and_move_up(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=6)
    seen = [Recorder() for _ in range(4)]
    async with an_engine(swarm.url) as engine:
        renders = []
        for recorder in seen:
            renders.append(asyncio.create_task(engine.render(a_request(), recorder)))
            await until(lambda recorder=recorder: Phase.WAITING in recorder.phases)  # type: ignore[misc]
        await asyncio.gather(*renders)
    places = [progress for progress in seen[3].news if progress.phase is Phase.WAITING]
    positions = [progress.position or 0 for progress in places]
    assert positions == sorted(positions, reverse=True)
    assert {3, 2} <= set(positions)
    assert "Number 2 in line" in {progress.message for progress in places}


async def test_fractions_stay_between_zero_and_one(swarm: SwarmSimulator) -> None:
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(), seen)
    assert all(0 <= progress.fraction <= 1 for progress in seen.news)
    assert max(progress.fraction for progress in seen.news) == 1


async def test_a_preview_of_more_than_a_mebibyte_reaches_the_reporter(swarm: SwarmSimulator) -> None:
    swarm.script(preview_kb=1500)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(), seen)
    previews = [progress.preview for progress in seen.news if progress.preview]
    assert previews
    assert len(previews[0]) > 1024 * 1024


async def test_a_preview_beyond_all_limits_costs_the_socket_and_not_the_video(swarm: SwarmSimulator) -> None:
    swarm.script(preview_kb=14_000, progress_steps=2)
    request = a_request()
    async with an_engine(swarm.url) as engine:
        result = await engine.render(request, Recorder())
    assert request.nonce in result.ref["path"]
    assert swarm.state()["started"] == 1


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("oom", EngineFailed, "out_of_memory"),
        ("cuda_oom", EngineFailed, "out_of_memory"),
        ("execution", EngineFailed, "render_error"),
        ("silent", EngineFailed, "no_result"),
        ("no_backends", EngineUnavailable, "no_backend"),
        ("timeout", EngineUnavailable, "busy"),
        ("shutting_down", EngineUnavailable, "restarting"),
        ("load_failed", EngineFailed, "model_load_failed"),
        ("model_download", EngineFailed, "model_download_failed"),
        ("lora_missing", EngineRefused, "lora_missing"),
        ("gguf", EngineRefused, "model_unsupported"),
        ("model_loader", EngineRefused, "model_unsupported"),
        ("comfy_rejected", EngineRefused, "workflow_refused"),
        ("comfy_died", EngineFailed, "backend_error"),
        ("no_images", EngineFailed, "no_result"),
        ("save_failed", EngineRefused, "not_saved"),
    ],
)
async def test_a_fault_at_the_server_is_an_engine_error(
    swarm: SwarmSimulator, fault: str, kind: type[EngineError], code: str
) -> None:
    swarm.script(fail_next=[fault], load_seconds=0.1)
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineError) as caught:
            await engine.render(a_request(), Recorder())
    assert (type(caught.value), caught.value.code) == (kind, code)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": "Wan/gone"}, "model_missing"),
        ({"low_noise_model": "Wan/gone"}, "model_missing"),
        ({"loras": (Lora("Wan/gone", 1, "high"),)}, "lora_missing"),
        ({"steps": 900}, "bad_setting"),
    ],
)
async def test_a_request_that_swarmui_refuses_is_not_tried_again(
    swarm: SwarmSimulator, changes: dict[str, object], code: str
) -> None:
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineRefused) as caught:
            await engine.render(a_request(**changes), Recorder())
    assert caught.value.code == code
    assert swarm.state()["started"] == 0


async def test_a_loose_match_to_another_model_is_noticed(swarm: SwarmSimulator) -> None:
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineFailed) as caught:
            await engine.render(a_request(model="wan2.2_i2v"), Recorder())
    assert caught.value.code == "wrong_model"
    assert "wan2.2_i2v" in caught.value.message


async def test_a_picture_that_is_none_fails_without_being_repeated_in_the_error(swarm: SwarmSimulator) -> None:
    async def nonsense() -> bytes:
        return b"\x01\x02\x03" * 5000

    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineFailed) as caught:
            await engine.render(a_request(picture=nonsense), Recorder())
    assert base64.b64encode(b"\x01\x02\x03" * 9).decode() not in caught.value.message


async def test_a_server_that_is_not_there_is_unavailable_and_nothing_was_sent() -> None:
    seen = Recorder()
    async with an_engine("http://127.0.0.1:9") as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.render(a_request(), seen)
    assert caught.value.code == "unreachable"
    assert seen.sent == []


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_proxy_in_trouble_is_unavailable(swarm: SwarmSimulator, status: int) -> None:
    swarm.script(http_error_next=[status])
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.render(a_request(), Recorder())
    assert caught.value.code == "unreachable"


async def test_a_private_address_that_nobody_allowed_is_not_called(swarm: SwarmSimulator) -> None:
    async with an_engine(swarm.url, allow_private=frozenset({"127.0.0.1:1"})) as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.render(a_request(), Recorder())
    assert caught.value.code == "address_refused"
    assert swarm.state()["bytes_in"] == 0


async def test_a_session_forgotten_before_the_start_is_replaced(swarm: SwarmSimulator) -> None:
    seen = Recorder()
    seen.before_sending = lambda: swarm.restart(keep_sessions=False) if not seen.sent else None
    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(), seen)
    assert len(seen.sent) == 2
    assert seen.sent[0][0]["session_id"] != seen.ref["session_id"] == swarm.renders()[0]["session"]


# --- who may -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"), [("Bearer xyz", "Bearer xyz"), ("Basic ada:s3cret", "Basic YWRhOnMzY3JldA==")]
)
async def test_credentials_go_with_every_request_and_the_socket(swarm: SwarmSimulator, given: str, sent: str) -> None:
    swarm.script(authorization=sent)
    async with an_engine(swarm.url, authorization=given) as engine:
        result = await engine.render(a_request(), Recorder())
        with engine.open_result(result.ref) as pieces:
            assert next(pieces)


async def test_wrong_credentials_are_said_to_be_wrong_and_never_repeated(swarm: SwarmSimulator) -> None:
    swarm.script(authorization="Bearer right")
    async with an_engine(swarm.url, authorization="Bearer wrong-one") as engine:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.render(a_request(), Recorder())
    assert caught.value.code == "not_authorized"
    assert "wrong-one" not in str(caught.value)


# --- cancelling -----------------------------------------------------------------------------------------------------


async def test_cancel_stops_the_running_render_and_no_other(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20)
    one, other = Recorder(), Recorder()
    async with an_engine(swarm.url) as engine:
        first = asyncio.create_task(engine.render(a_request(), one))
        await until(lambda: Phase.RENDERING in one.phases)
        second = asyncio.create_task(engine.render(a_request(), other))
        await until(lambda: Phase.WAITING in other.phases)
        first.cancel()
        await engine.cancel(one.ref)
        state = swarm.state()
        await second
    assert (state["interrupted"], state["finished"]) == (1, 0)
    assert swarm.state()["finished"] == 1


async def test_cancel_takes_a_queued_render_out_of_the_queue(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20)
    seen = [Recorder() for _ in range(3)]
    async with an_engine(swarm.url) as engine:
        renders = []
        for number, recorder in enumerate(seen):
            renders.append(asyncio.create_task(engine.render(a_request(), recorder)))
            await until_state(swarm, lambda state, asked=number + 1: state["asked"] == asked)  # type: ignore[misc]
        renders[2].cancel()
        await engine.cancel(seen[2].ref)
        assert swarm.state()["interrupted"] == 1
        await asyncio.gather(*renders[:2])
    assert swarm.state()["started"] == 2


async def test_a_render_cancelled_from_outside_ends_with_an_error(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        render = asyncio.create_task(engine.render(a_request(), seen))
        await until(lambda: Phase.RENDERING in seen.phases)
        await engine.cancel(seen.ref)
        with pytest.raises(EngineRefused) as caught:
            await render
    assert caught.value.code == "interrupted"


async def test_cancel_reaches_a_request_that_swarmui_is_still_reading(swarm: SwarmSimulator) -> None:
    swarm.script(hash_seconds=2, seconds=20)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        render = asyncio.create_task(engine.render(a_request(), seen))
        await until(lambda: Phase.WAITING in seen.phases)
        render.cancel()
        await engine.cancel(seen.ref)
        status = await engine._client.status(seen.ref["session_id"])
    assert status.is_idle
    assert swarm.state()["in_flight"] == 0


async def test_cancel_of_what_is_over_or_forgotten_is_fine(swarm: SwarmSimulator) -> None:
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        await engine.render(a_request(), seen)
        await engine.cancel(seen.ref)
        await engine.cancel(seen.ref | {"session_id": "F" * 40})


async def test_a_cancel_that_nobody_hears_says_so() -> None:
    seen = Recorder()
    with SwarmSimulator() as swarm:
        async with an_engine(swarm.url) as engine:
            await engine.render(a_request(), seen)
    async with an_engine(seen.ref["endpoint"]) as engine:
        with pytest.raises(EngineUnavailable):
            await engine.cancel(seen.ref)
