"""One image on the GPU: its time, its progress, its faults and the file that comes out."""

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.simulators.swarmui import progress, video
from tests.simulators.swarmui.backends import Backend
from tests.simulators.swarmui.errors import GenerationError
from tests.simulators.swarmui.ledger import Render
from tests.simulators.swarmui.outputs import Media
from tests.simulators.swarmui.plan import Plan, metadata
from tests.simulators.swarmui.script import FAULTS
from tests.simulators.swarmui.sinks import Sink
from tests.simulators.swarmui.validation import ParamSet
from tests.simulators.swarmui.world import World

NO_MODEL = "No model input given. Did your UI load properly?"


class Pulse:
    """Evenly spaced moments: a busy event loop makes one late, not all that follow."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next = asyncio.get_running_loop().time()

    def delay(self, seconds: float) -> None:
        self._next += seconds

    async def next(self) -> None:
        self._next += self._interval_s
        await asyncio.sleep(self._next - asyncio.get_running_loop().time())


@dataclass
class Renderer:
    world: World
    backend: Backend
    params: ParamSet
    plan: Plan
    render: Render
    sink: Sink
    take_fault: Callable[[str], None]
    batch_index: str
    request_id: str

    async def run(self) -> Media:
        """Raises GenerationError; cancelling it is Comfy's interrupt."""
        async with self.backend.turn():
            self.world.ledger.start(self.render)
            self.take_fault("begin")
            if "model" not in self.params.models:
                raise GenerationError(NO_MODEL)
            self._schedule_cut()
            encoding = self.world.spawn(self._encode())
            await self._progress()
            data = await asyncio.shield(encoding)
            self.take_fault("end")
        return data

    def _schedule_cut(self) -> None:
        after = self.world.script.take_drop()
        if after is not None:
            asyncio.get_running_loop().call_later(after * self.world.script.time_scale, self.sink.cut)

    async def _progress(self) -> None:
        script = self.world.script
        seconds = script.seconds + (script.base_stage_seconds if self.plan.base_stage else 0.0)
        head = {"batch_index": self.batch_index, "request_id": self.request_id}
        first = {"overall_percent": 1 / (progress.NODES + 1), "current_percent": 0}
        self._send(head | first | {"metadata": metadata(self.params, self.plan.seed)})
        steps = max(1, script.progress_steps)
        pulse = Pulse(seconds * script.time_scale / steps)
        bursts = progress.messages(
            batch_index=self.batch_index,
            request_id=self.request_id,
            steps=steps,
            preview=await self._make_preview(),
            odd_index=script.odd_preview_index,
        )
        for step, message in enumerate(bursts):
            if step == int(steps * script.fail_at):
                await self._middle()
                pulse.delay(script.stall_seconds * script.time_scale)
            await pulse.next()
            self._send(message)
        self._send(progress.last(batch_index=self.batch_index, request_id=self.request_id))

    async def _middle(self) -> None:
        if self.world.script.stall_seconds:
            await self.world.sleep(self.world.script.stall_seconds)
        try:
            self.take_fault("middle")
        except GenerationError as exc:
            if exc.text == FAULTS["comfy_died"][1]:
                self.world.backends.crash(self.backend)
            raise

    def _send(self, message: dict[str, Any]) -> None:
        self.sink.send({"gen_progress": message})
        if self.params.get("forwardrawbackenddata"):
            raw = base64.b64encode(json.dumps({"type": "progress"}).encode()).decode()
            self.sink.send({"raw_backend_data": {"type": "comfy_websocket", "data": raw}})

    async def _make_preview(self) -> str:
        script = self.world.script
        if not script.previews or self.plan.preview == "none":
            return ""
        animated, size = self.plan.preview == "animate", script.preview_kb * 1024
        if script.cheap:
            return await asyncio.to_thread(video.preview_shared, self.plan.clip, animated=animated, size=size)
        try:
            return await asyncio.to_thread(
                video.preview, self.params.pictures.get("initimage"), self.plan.clip, animated=animated, size=size
            )
        except video.NotAPictureError:
            return ""

    async def _encode(self) -> Media:
        clip, script = self.plan.clip, self.world.script
        size = int(script.result_mb * 1e6)
        if script.cheap:
            data = await self.world.in_encoder(video.encode_shared, clip)
            return Media(data=data, extension=clip.extension, mime=clip.mime, size=size, mark=secrets.token_bytes(16))
        picture = self.params.pictures.get("initimage")
        try:
            data = await self.world.in_encoder(video.encode, picture, clip, self.params.pictures.get("videoendimage"))
        except video.NotAPictureError:
            raise GenerationError(FAULTS["comfy_died"][1]) from None
        return Media(data=data, extension=clip.extension, mime=clip.mime, size=size)

    async def intermediate(self) -> Media:
        """The still that the video stage began with."""
        still = replace(self.plan.clip, frames=1)
        data = await self.world.in_encoder(video.encode, self.params.pictures.get("initimage"), still)
        return Media(data=data, extension="png", mime="image/png")
