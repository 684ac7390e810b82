"""Broken sockets, restarts and dead processes: a render that goes on at SwarmUI is adopted, never repeated."""

import asyncio
from collections.abc import Iterator

import pytest

from generation.engines.base import EngineError, EngineLost, EngineSilent, Phase, RenderRequest
from tests.generation.swarmui_driver import Recorder, a_request, an_engine, until, until_state
from tests.simulators.swarmui.simulator import SwarmSimulator


@pytest.fixture
def swarm() -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        yield simulator


async def abandoned(swarm: SwarmSimulator, request: RenderRequest) -> Recorder:
    """A render whose process died while SwarmUI was drawing."""
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        render = asyncio.create_task(engine.render(request, seen))
        await until(lambda: Phase.RENDERING in seen.phases)
        render.cancel()
        await asyncio.gather(render, return_exceptions=True)
    return seen


async def test_a_render_whose_socket_breaks_is_followed_to_its_end(swarm: SwarmSimulator) -> None:
    swarm.script(drop_socket_after=0.3, seconds=6)
    request, seen = a_request(), Recorder()
    async with an_engine(swarm.url) as engine:
        result = await engine.render(request, seen)
    assert result.ref["path"] == f"View/local/raw/jobs/{request.nonce}.mp4"
    assert result.seed == request.seed
    assert swarm.state()["started"] == 1


async def test_a_render_in_line_keeps_its_place_when_its_socket_breaks(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20)
    seen = [Recorder(), Recorder()]
    async with an_engine(swarm.url) as engine:
        renders = [asyncio.create_task(engine.render(a_request(), recorder)) for recorder in seen]
        await until_state(swarm, lambda state: state["asked"] == 2)
        swarm.cut_connections()
        await asyncio.gather(*renders)
    assert (swarm.state()["asked"], swarm.state()["finished"]) == (2, 2)


async def test_progress_goes_on_without_a_socket(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20, progress_steps=1)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        render = asyncio.create_task(engine.render(a_request(), seen))
        await until(lambda: Phase.RENDERING in seen.phases)
        swarm.cut_connections()
        before = len(seen.news)
        await until(lambda: len(seen.news) >= before + 3)
        assert swarm.state()["in_flight"] == 1
        await render
    assert seen.phases[-1] is Phase.FINISHING


async def test_another_process_finds_the_render_by_its_ref(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=10)
    request = a_request()
    seen = await abandoned(swarm, request)
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
        with engine.open_result(result.ref) as pieces:
            assert next(pieces)[4:8] == b"ftyp"
    assert result.metadata["sui_image_params"]["seed"] == request.seed
    assert swarm.state()["asked"] == 1


async def test_a_render_that_ended_while_nobody_looked_is_found(swarm: SwarmSimulator) -> None:
    request = a_request()
    seen = await abandoned(swarm, request)
    await until_state(swarm, lambda state: state["finished"] == 1)
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
    assert request.nonce in result.ref["path"]


@pytest.mark.parametrize("keep_sessions", [True, False])
async def test_a_finished_file_is_found_after_a_restart(swarm: SwarmSimulator, keep_sessions: bool) -> None:
    request = a_request()
    seen = await abandoned(swarm, request)
    await until_state(swarm, lambda state: state["finished"] == 1)
    await asyncio.to_thread(swarm.restart, keep_sessions=keep_sessions)
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
    assert request.nonce in result.ref["path"]


@pytest.mark.parametrize("keep_sessions", [True, False])
async def test_a_restart_in_the_middle_loses_the_render_and_says_so(swarm: SwarmSimulator, keep_sessions: bool) -> None:
    swarm.script(seconds=100)
    seen = Recorder()
    async with an_engine(swarm.url) as engine:
        render = asyncio.create_task(engine.render(a_request(), seen))
        await until(lambda: Phase.RENDERING in seen.phases)
        await asyncio.to_thread(swarm.restart, keep_sessions=keep_sessions)
        with pytest.raises(EngineLost):
            await render


async def test_a_render_that_was_never_sent_is_lost_only_after_a_second_look(swarm: SwarmSimulator) -> None:
    request = a_request()
    async with an_engine(swarm.url, absent_after_s=0.4) as engine:
        ref = await engine._prepare(request, Recorder())
        started = asyncio.get_running_loop().time()
        with pytest.raises(EngineLost):
            await engine.recover(request, ref, Recorder())
    assert asyncio.get_running_loop().time() - started >= 0.4
    assert swarm.state()["asked"] == 0


async def test_a_server_that_is_briefly_away_is_waited_for(swarm: SwarmSimulator) -> None:
    request = a_request()
    seen = await abandoned(swarm, request)
    await until_state(swarm, lambda state: state["finished"] == 1)
    swarm.script(drop_next=2)
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
    assert request.nonce in result.ref["path"]


async def test_a_server_that_stays_away_leaves_the_outcome_open() -> None:
    with SwarmSimulator() as swarm:
        request = a_request()
        seen = await abandoned(swarm, request)
    async with an_engine(seen.ref["endpoint"]) as engine:
        with pytest.raises(EngineSilent):
            await engine.recover(request, seen.ref, Recorder())


async def test_the_file_is_found_without_the_permission_to_list(swarm: SwarmSimulator) -> None:
    request = a_request()
    seen = await abandoned(swarm, request)
    await until_state(swarm, lambda state: state["finished"] == 1)
    swarm.script(denied_permissions=["view_image_history"])
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
    assert request.nonce in result.ref["path"]


async def test_the_file_is_found_among_more_than_a_listing_shows(swarm: SwarmSimulator) -> None:
    request = a_request()
    seen = await abandoned(swarm, request)
    await until_state(swarm, lambda state: state["finished"] == 1)
    swarm.script(list_limit=0)
    async with an_engine(swarm.url) as engine:
        result = await engine.recover(request, seen.ref, Recorder())
    assert request.nonce in result.ref["path"]


async def test_a_recovered_render_with_the_wrong_model_is_a_failure(swarm: SwarmSimulator) -> None:
    request = a_request(model="wan2.2_i2v")
    seen = await abandoned(swarm, request)
    async with an_engine(swarm.url) as engine:
        with pytest.raises(EngineError) as caught:
            await engine.recover(request, seen.ref, Recorder())
    assert caught.value.code == "wrong_model"


async def test_silence_on_the_socket_is_no_failure_while_the_counters_say_work(swarm: SwarmSimulator) -> None:
    swarm.script(stall_seconds=20, seconds=2)
    seen = Recorder()
    async with an_engine(swarm.url, idle_s=0.1) as engine:
        await engine.render(a_request(), seen)
    calls = swarm.state()["calls"]
    assert calls["GetCurrentStatus"] > 1
    assert "ListImages" not in calls


async def test_silence_before_the_first_message_is_the_reading_of_models(swarm: SwarmSimulator) -> None:
    swarm.script(hash_seconds=10)
    seen = Recorder()
    async with an_engine(swarm.url, idle_s=0.1) as engine:
        await engine.render(a_request(), seen)
    assert "ListImages" not in swarm.state()["calls"]


async def test_cancelling_the_task_leaves_nothing_running_here(swarm: SwarmSimulator) -> None:
    swarm.script(seconds=20)
    await abandoned(swarm, a_request())
    await until(lambda: len(asyncio.all_tasks()) == 1)
