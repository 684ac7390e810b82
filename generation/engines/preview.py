"""The motion preview: moves a camera over the picture, on the CPU. It does not imagine motion.

Every render is a process of its own (`preview_worker`) that dies with this one, so a render cannot be recovered.
"""

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from generation.engines.base import (
    EngineFailed,
    EngineLost,
    EngineRefused,
    Phase,
    Progress,
    ProviderRef,
    RenderRequest,
    RenderResult,
    Reporter,
    ResultRef,
)
from generation.limits import CHILD_ENVIRONMENT

WORKER = "generation.engines.preview_worker"
MAX_FRAMES = 2000
MIN_SIDE, MAX_SIDE = 64, 4096
# While it waits for its turn a render repeats where it stands: silence means trouble.
TURN_EVERY_S = 5.0
CHUNK_BYTES = 256 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_LINE_LIMIT = 1024 * 1024


class PreviewEngine:
    """Renders at most `processes` videos at a time into `work_dir`; the others wait in order.

    The result's ref is {"path": the local file}; whoever takes the file away owns it.
    """

    def __init__(self, work_dir: Path, *, processes: int = 1) -> None:
        self._work_dir = work_dir
        self._places = asyncio.Semaphore(processes)
        self._waiting: list[str] = []

    async def render(self, request: RenderRequest, reporter: Reporter) -> RenderResult:
        _check(request)
        self._work_dir.mkdir(parents=True, exist_ok=True)
        async with self._place(request.nonce, reporter):
            sent = {name: getattr(request, name) for name in ("prompt", "width", "height", "frames", "fps", "seed")}
            await reporter.sending({"pid": os.getpid()}, sent)
            reporter.progress(Progress(Phase.SENDING))
            return await self._render(request, await request.picture(), reporter)

    async def recover(self, request: RenderRequest, ref: ProviderRef, reporter: Reporter) -> RenderResult:  # noqa: ARG002
        raise EngineLost("The process that rendered this preview has ended.")

    async def cancel(self, ref: ProviderRef) -> bool:  # noqa: ARG002
        """Nothing to tell: a render ends with the task that awaits it."""
        return True

    @contextmanager
    def open_result(self, ref: ResultRef) -> Iterator[Iterator[bytes]]:
        try:
            file = open(ref["path"], "rb")  # noqa: SIM115 (closed below; only opening may mean "lost")
        except FileNotFoundError as exc:
            raise EngineLost("The preview's file is gone.") from exc
        with file:
            yield iter(lambda: file.read(CHUNK_BYTES), b"")

    async def aclose(self) -> None:
        """Nothing is kept between renders."""

    @asynccontextmanager
    async def _place(self, nonce: str, reporter: Reporter) -> AsyncIterator[None]:
        self._waiting.append(nonce)
        try:
            turn = asyncio.ensure_future(self._places.acquire())
            try:
                await asyncio.sleep(0)  # a free place is taken in this moment, without a word about waiting
                while not turn.done():
                    reporter.progress(Progress(Phase.WAITING, position=self._waiting.index(nonce) + 1))
                    await asyncio.wait({turn}, timeout=TURN_EVERY_S)
            except BaseException:
                # Cancelled in the very moment in which its turn came: the place goes to the next one.
                if not turn.cancel() and not turn.cancelled():
                    self._places.release()
                raise
        finally:
            self._waiting.remove(nonce)
        try:
            yield
        finally:
            self._places.release()

    async def _render(self, request: RenderRequest, picture: bytes, reporter: Reporter) -> RenderResult:
        part, path = (self._work_dir / f"preview-{request.nonce}{end}" for end in (".part", ".mp4"))
        try:
            async with _process() as process:
                await _ask(process, _job(request, len(picture), part), picture)
                done = await _listen(process, reporter)
            await asyncio.to_thread(os.replace, part, path)
        finally:
            part.unlink(missing_ok=True)
        return RenderResult(ref={"path": str(path)}, seed=request.seed, metadata=done)


def _check(request: RenderRequest) -> None:
    if not re.fullmatch(r"[0-9a-f]{32}", request.nonce):
        raise EngineRefused("The attempt has no usable name.")
    if not 1 <= request.frames <= MAX_FRAMES or request.fps < 1:
        raise EngineRefused(f"The motion preview makes 1 to {MAX_FRAMES} frames.", code="bad_frames")
    sides = (request.width, request.height)
    if any(side % 2 or not MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise EngineRefused(f"Both sides must be even, {MIN_SIDE} to {MAX_SIDE} pixels.", code="bad_size")


def _job(request: RenderRequest, picture_bytes: int, out: Path) -> dict[str, Any]:
    return {
        "parent_pid": os.getpid(),
        "picture_bytes": picture_bytes,
        "prompt": request.prompt,
        "width": request.width,
        "height": request.height,
        "frames": request.frames,
        "fps": str(request.fps),
        "seed": request.seed,
        "out": str(out),
    }


@asynccontextmanager
async def _process() -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process; however this block ends, it is gone and reaped afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        env=CHILD_ENVIRONMENT,
        limit=_LINE_LIMIT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # Shielded: a second cancel must not leave the child unreaped.
        await asyncio.shield(process.wait())


async def _ask(process: asyncio.subprocess.Process, job: dict[str, Any], picture: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 (asked for above)
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.write(picture)
    try:
        await process.stdin.drain()
    except ConnectionError:
        return  # it has died; listening finds out


async def _listen(process: asyncio.subprocess.Process, reporter: Reporter) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101 (asked for above)
    async for raw in process.stdout:
        line: dict[str, Any] = json.loads(raw)
        if "done" in line:
            done: dict[str, Any] = line["done"]
            return done
        if "error" in line:
            raise EngineRefused(line["message"], code=line["error"])
        preview = base64.b64decode(line["preview"]) if "preview" in line else None
        reporter.progress(Progress(Phase(line["phase"]), line["fraction"], preview=preview))
    raise EngineFailed("The motion preview stopped unexpectedly.", code="preview_died")
