"""The motion preview as its caller sees it: real processes, real files."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from generation.engines.base import (
    EngineFailed,
    EngineLost,
    EngineRefused,
    Phase,
    Progress,
    ProviderRef,
    RenderRequest,
    RenderResult,
)
from generation.engines.preview import PreviewEngine
from generation.engines.preview_motion import Array


class Log:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.sent: list[tuple[ProviderRef, dict[str, Any]]] = []
        self.news: list[Progress] = []

    async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
        self.sent.append((ref, request_sent))

    def progress(self, progress: Progress) -> None:
        self.news.append(progress)

    async def evidence(self, timeout_s: float) -> dict[str, Any] | None:
        return None


def picture(width: int = 128, height: int = 96) -> bytes:
    """Soft random blobs: every place looks different, so movement can be measured."""
    small = np.random.default_rng(3).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def reading(content: bytes) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        return content

    return read


def asking(**values: Any) -> RenderRequest:
    request = RenderRequest(
        nonce=uuid.uuid4().hex,
        picture=reading(picture(values.get("width", 128), values.get("height", 96))),
        prompt="zoom in",
        negative_prompt="",
        width=128,
        height=96,
        frames=17,
        fps=16,
        steps=1,
        cfg_scale=1.0,
        seed=7,
    )
    return replace(request, **values)


@pytest.fixture
def engine(tmp_path: Path) -> PreviewEngine:
    return PreviewEngine(tmp_path / "work", processes=2)


def workers_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "preview_worker"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (the condition is another process's doing)
            await asyncio.sleep(0.02)


def content_of(result: RenderResult) -> bytes:
    return Path(result.ref["path"]).read_bytes()


def frames_of(path: str) -> list[Array]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("width", "height", "frames", "fps"),
    [(128, 96, 17, 16), (64, 64, 1, 1), (96, 160, 240, 60), (832, 480, 5, 30), (66, 64, 33, 24)],
)
async def test_the_video_has_exactly_the_size_frames_and_rate_asked_for(
    engine: PreviewEngine, width: int, height: int, frames: int, fps: int
) -> None:
    result = await engine.render(asking(width=width, height=height, frames=frames, fps=fps), Log())

    with av.open(result.ref["path"]) as container:
        stream = container.streams.video[0]
        decoded = [(frame.width, frame.height, frame.format.name) for frame in container.decode(stream)]
        duration = container.duration
    assert decoded == [(width, height, "yuv420p")] * frames
    assert (stream.codec_context.name, float(stream.average_rate or 0), stream.frames) == ("h264", float(fps), frames)
    assert duration == pytest.approx(frames / fps * 1e6, abs=2)


async def test_it_can_be_played_before_it_is_loaded(engine: PreviewEngine) -> None:
    content = content_of(await engine.render(asking(), Log()))

    assert content.index(b"moov") < content.index(b"mdat")


async def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(engine: PreviewEngine) -> None:
    results = [await engine.render(asking(seed=seed), Log()) for seed in (7, 7, 8)]
    first, again, other = (content_of(result) for result in results)

    assert first == again
    assert first != other
    assert results[0].seed == 7


async def test_colours_and_brightness_are_those_of_the_picture(engine: PreviewEngine) -> None:
    result = await engine.render(asking(prompt="static camera", width=256, height=192), Log())

    with av.open(result.ref["path"]) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    wanted = np.asarray(Image.open(io.BytesIO(picture(256, 192)))).astype(float)
    # Chroma at half size blurs colours a little; a wrong matrix or range would shift whole areas.
    assert np.abs(shown.mean((0, 1)) - wanted.mean((0, 1))).max() < 2.5
    assert np.corrcoef(shown.reshape(-1), wanted.reshape(-1))[0, 1] > 0.97


def shift_between(before: Array, after: Array) -> float:
    """How far the picture slid sideways, in parts of a pixel (phase correlation with a parabola's peak)."""
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    cross = np.fft.rfft2(after * window) * np.conj(np.fft.rfft2(before * window))
    correlation = np.fft.irfft2(cross / (np.abs(cross) ** 0.5 + 1e-9), s=before.shape)[0]
    peak = int(np.argmax(correlation))
    left, top, right = (correlation[(peak + i) % len(correlation)] for i in (-1, 0, 1))
    place = peak + 0.5 * (left - right) / (left - 2 * top + right)
    return float(place - len(correlation) if place > len(correlation) / 2 else place)


async def test_a_slow_pan_slides_by_parts_of_a_pixel_without_steps(engine: PreviewEngine) -> None:
    result = await engine.render(asking(prompt="very slowly pan right", width=256, height=192, frames=65), Log())

    frames = frames_of(result.ref["path"])
    middle = [shift_between(a, b) for a, b in pairwise(frames[20:45])]
    assert -1 < np.mean(middle) < -0.02  # the camera goes right, the picture left, less than a pixel a frame
    assert np.std(middle) < 0.1


async def test_movement_does_not_shimmer(engine: PreviewEngine) -> None:
    fine = np.asarray(Image.effect_noise((256, 192), 90).convert("RGB"))
    out = io.BytesIO()
    Image.fromarray(fine).save(out, "PNG")
    request = asking(prompt="very slowly zoom in", width=256, height=192, frames=65, picture=reading(out.getvalue()))
    frames = frames_of((await engine.render(request, Log())).ref["path"])[24:40]

    # In even movement a frame lies half-way between its neighbours; pixels that jump do not.
    jumps = [np.abs(b - (a + c) / 2).mean() for a, b, c in zip(frames, frames[1:], frames[2:], strict=False)]
    moved = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert np.mean(jumps) < 0.5 * np.mean(moved)


async def test_progress_and_previews_come_in_order(engine: PreviewEngine) -> None:
    log = Log()
    await engine.render(asking(frames=40), log)

    phases = [news.phase for news in log.news]
    assert phases[0] == Phase.SENDING
    assert phases[-1] == Phase.FINISHING
    rendering = [news.fraction for news in log.news if news.phase == Phase.RENDERING]
    assert rendering == sorted(rendering)
    previews = [news.preview for news in log.news if news.preview]
    assert len(previews) == 3
    assert Image.open(io.BytesIO(previews[0])).format == "JPEG"
    assert len(log.sent) == 1


async def test_nothing_starts_when_the_attempt_could_not_be_saved(engine: PreviewEngine, tmp_path: Path) -> None:
    class Lost(Log):
        async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
            raise RuntimeError("the lease is lost")

    with pytest.raises(RuntimeError):
        await engine.render(asking(), Lost())
    assert list((tmp_path / "work").iterdir()) == []
    await engine.render(asking(), Log())  # its place is free again


@pytest.mark.parametrize(
    "values",
    [{"width": 65}, {"height": 62}, {"width": 5000}, {"frames": 0}, {"frames": 3000}, {"nonce": "../../etc/passwd"}],
)
async def test_what_cannot_be_rendered_is_refused(engine: PreviewEngine, values: dict[str, Any]) -> None:
    with pytest.raises(EngineRefused):
        await engine.render(asking(picture=reading(picture()), **values), Log())


@pytest.mark.parametrize("content", [b"", b"no picture", picture()[:300], picture(64, 64)])
async def test_a_broken_or_wrong_picture_is_refused_with_a_sentence(
    engine: PreviewEngine, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(EngineRefused, match=r"picture"):
        await engine.render(asking(picture=reading(content)), Log())
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_cancelled_render_leaves_no_process_and_no_file(engine: PreviewEngine, tmp_path: Path) -> None:
    log = Log()
    task = asyncio.create_task(engine.render(asking(width=1280, height=720, frames=2000), log))
    await until(lambda: any(news.phase == Phase.RENDERING for news in log.news))

    task.cancel()
    async with asyncio.timeout(20):  # the render itself would take a minute
        with pytest.raises(asyncio.CancelledError):
            await task

    assert workers_of(os.getpid()) == []
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_killed_process_is_a_failure_that_may_be_tried_again(engine: PreviewEngine) -> None:
    log = Log()
    task = asyncio.create_task(engine.render(asking(width=1280, height=720, frames=240), log))
    await until(lambda: workers_of(os.getpid()))

    os.kill(workers_of(os.getpid())[0], signal.SIGKILL)

    with pytest.raises(EngineFailed):
        await task


async def test_only_so_many_render_at_a_time_and_the_others_know_their_place(tmp_path: Path) -> None:
    engine = PreviewEngine(tmp_path, processes=1)
    logs = [Log() for _ in range(3)]
    tasks = [
        asyncio.create_task(engine.render(asking(width=640, height=480, frames=frames), log))
        for frames, log in zip((240, 5, 5), logs, strict=True)
    ]
    await until(lambda: len(logs[2].news) > 0 and len(workers_of(os.getpid())) == 1)

    assert [logs[1].news[0].position, logs[2].news[0].position] == [1, 2]
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert isinstance(results[2], RenderResult)
    assert content_of(results[2])


async def test_a_render_ends_with_its_process_so_it_cannot_be_recovered(engine: PreviewEngine) -> None:
    with pytest.raises(EngineLost):
        await engine.recover(asking(), {"pid": 1}, Log())
    await engine.cancel({"pid": 1})


async def test_the_result_can_be_read_in_pieces(engine: PreviewEngine) -> None:
    result = await engine.render(asking(), Log())

    with engine.open_result(result.ref) as chunks:
        content = b"".join(chunks)
    assert content == content_of(result)
    os.unlink(result.ref["path"])
    with pytest.raises(EngineLost), engine.open_result(result.ref):
        pass


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        sys.path.insert(0, {str(Path.cwd())!r})
        from pathlib import Path
        from tests.generation.test_preview import Log, PreviewEngine, asking
        engine = PreviewEngine(Path({str(tmp_path)!r}))
        asyncio.run(engine.render(asking(width=1280, height=720, frames=2000), Log()))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    wait_for(lambda: workers_of(parent.pid))
    (worker,) = workers_of(parent.pid)
    wait_for(lambda: list(tmp_path.glob("*.part")))
    os.kill(worker, signal.SIGSTOP)  # so that it cannot end by itself, over a broken pipe for example

    parent.kill()
    parent.wait()

    wait_for(lambda: not alive(worker))
