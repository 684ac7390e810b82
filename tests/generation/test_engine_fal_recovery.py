"""The fal.ai engine when answers are lost: evidence decides, and there is never a second paid call."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from generation.engines.base import EngineRefused, EngineSilent, EngineUnavailable, RenderRequest
from tests.generation.fal_driver import QUICK, Recorder, a_request, an_engine, until
from tests.simulators.fal import FalSimulator

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def fal() -> Iterator[FalSimulator]:
    with FalSimulator(seconds=0.2, queue_seconds=0.05, hang_real_seconds=2) as simulator:
        yield simulator


def submits(fal: FalSimulator) -> int:
    return len(fal.calls("submit"))


@pytest.mark.parametrize(
    "fault",
    [
        "lost_after",
        "500_after",
        "502_after",
        "504_after",
        "ingress_after",
        "garbage_after",
        "empty_after",
        "hang_after",
    ],
)
async def test_a_lost_answer_is_found_again_and_nothing_is_paid_twice(fal: FalSimulator, fault: str) -> None:
    fal.fail("submit", fault)
    seen, request = Recorder(), a_request()
    async with an_engine(fal) as engine:
        await engine.render(request, seen)

    assert (submits(fal), len(fal.requests_for(request.nonce)), len(fal.paid_requests())) == (1, 1, 1)
    assert seen.ref["request_id"] == fal.requests()[0]["request_id"]


@pytest.mark.parametrize("fault", ["lost", "500", "503", "ingress", "garbage", "no_request_id"])
async def test_a_call_of_which_nothing_is_known_is_never_sent_again(fal: FalSimulator, fault: str) -> None:
    fal.fail("submit", fault)
    fal.script(fail_chance={"platform": {"500": 1.0}})
    async with an_engine(fal, timing=replace(QUICK, outcome_s=1)) as engine:
        with pytest.raises(EngineRefused) as caught:
            await engine.render(a_request(), Recorder())

    assert caught.value.code == "outcome_unknown"
    assert "not charged" in caught.value.message
    assert submits(fal) == 1


async def test_a_request_that_the_list_does_not_show_yet_is_waited_for(fal: FalSimulator) -> None:
    fal.script(history_lag_seconds=1.5)
    fal.fail("submit", "lost_after")
    async with an_engine(fal) as engine:
        await engine.render(a_request(), Recorder())

    assert (submits(fal), len(fal.paid_requests())) == (1, 1)


async def test_the_webhook_settles_it_when_the_list_is_closed_to_us(fal: FalSimulator) -> None:
    fal.script(admin_key=False, fail_chance={"platform": {"403_admin": 1.0}})
    fal.fail("submit", "lost_after")
    seen, request = Recorder(), a_request()
    async with an_engine(fal) as engine:
        render = asyncio.create_task(engine.render(request, seen))
        await until(lambda: fal.requests_for(request.nonce) != [])
        seen.tell({"request_id": fal.requests()[0]["request_id"], "status": "OK"})
        await render

    assert (submits(fal), len(fal.paid_requests())) == (1, 1)


async def test_evidence_ends_the_pause_between_two_looks(fal: FalSimulator) -> None:
    slow = replace(QUICK, first_look_s=30, slowest_look_s=30)
    seen, request = Recorder(), a_request()
    async with an_engine(fal, timing=slow) as engine:
        render = asyncio.create_task(engine.render(request, seen))
        await until(lambda: any(row["status"] == "COMPLETED" for row in fal.requests()))
        seen.tell({"request_id": fal.requests()[0]["request_id"], "status": "OK"})
        async with asyncio.timeout(10):
            await render


# --- after a crash ----------------------------------------------------------------------------------------------------


async def started(fal: FalSimulator, request: RenderRequest) -> Recorder:
    """A process sends the request, and dies."""
    seen = Recorder()
    async with an_engine(fal) as engine:
        render = asyncio.create_task(engine.render(request, seen))
        await until(lambda: len(seen.sent) == 2)
        render.cancel()
        await asyncio.gather(render, return_exceptions=True)
    return seen


async def test_the_next_process_adopts_a_known_request(fal: FalSimulator) -> None:
    request = a_request()
    before = await started(fal, request)
    async with an_engine(fal) as engine:
        await engine.recover(request, before.ref, Recorder())

    assert (submits(fal), len(fal.paid_requests())) == (1, 1)


async def test_one_that_died_before_it_knew_the_id_is_found_and_not_repeated(fal: FalSimulator) -> None:
    request = a_request()
    before = await started(fal, request)
    seen = Recorder()
    async with an_engine(fal) as engine:
        await engine.recover(request, before.sent[0][0], seen)

    assert (submits(fal), len(fal.paid_requests())) == (1, 1)
    assert seen.ref["request_id"] == before.ref["request_id"]


async def test_one_that_died_before_it_sent_anything_ends_without_a_call(fal: FalSimulator) -> None:
    request = a_request()
    ref = {
        "endpoint": request.endpoint,
        "nonce": request.nonce,
        "sent": (datetime.now(UTC) - timedelta(minutes=59, seconds=59)).isoformat(),
        "picture": f"{fal.media_url}/files/{request.nonce}.png",
        "image_field": "image_url",
    }
    async with an_engine(fal) as engine:
        with pytest.raises(EngineRefused) as caught:
            await engine.recover(request, ref, Recorder())

    assert (caught.value.code, submits(fal)) == ("outcome_unknown", 0)


async def test_a_refused_call_is_not_looked_for(fal: FalSimulator) -> None:
    async with an_engine(fal) as engine:
        with pytest.raises(EngineUnavailable):
            await engine.recover(a_request(), {"accepted": False}, Recorder())


async def test_somebody_elses_request_is_not_taken_for_ours(fal: FalSimulator) -> None:
    async with an_engine(fal) as engine:
        await engine.render(a_request(), Recorder())
        fal.fail("submit", "lost")
        with pytest.raises(EngineRefused) as caught:
            async with an_engine(fal, timing=replace(QUICK, outcome_s=1)) as other:
                await other.render(a_request(), Recorder())

    assert caught.value.code == "outcome_unknown"


async def test_a_provider_that_falls_silent_is_said_to_be_silent(fal: FalSimulator) -> None:
    request = a_request()
    fal.script(fate_next=["stuck"], fail_chance={"status": {"503": 1.0}})
    async with an_engine(fal) as engine:
        with pytest.raises(EngineSilent):
            await engine.render(request, Recorder())


async def test_a_stop_of_what_nobody_knows_waits_for_evidence_and_then_counts_as_billed(fal: FalSimulator) -> None:
    fal.fail("submit", "lost")
    seen = Recorder()
    async with an_engine(fal) as engine:
        render = asyncio.create_task(engine.render(a_request(), seen))
        await until(lambda: submits(fal) == 1)
        render.cancel()
        await asyncio.gather(render, return_exceptions=True)
        with pytest.raises(EngineUnavailable) as caught:
            await engine.cancel(seen.ref)
        long_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        assert await engine.cancel(seen.ref | {"sent": long_ago}) is False

    assert caught.value.code == "outcome_unknown"


async def test_a_stop_finds_a_request_whose_answer_was_lost(fal: FalSimulator) -> None:
    fal.script(fate_next=["stuck"])
    fal.fail("submit", "lost_after")
    seen, request = Recorder(), a_request()
    async with an_engine(fal, timing=replace(QUICK, find_s=30)) as engine:
        fal.fail("platform", "500")
        render = asyncio.create_task(engine.render(request, seen))
        await until(lambda: fal.calls("platform") != [])
        render.cancel()
        await asyncio.gather(render, return_exceptions=True)
        assert "request_id" not in seen.ref
        assert await engine.cancel(seen.ref) is True
