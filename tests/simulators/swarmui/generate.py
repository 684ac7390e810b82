"""GenerateText2Image over HTTP and over a WebSocket."""

import asyncio
import json
from typing import Any

from tests.simulators.swarmui.calls import Call, Routes
from tests.simulators.swarmui.errors import ApplicationError, GenerationError, SilentFailureError
from tests.simulators.swarmui.generation import Generation
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.rendering import NO_MODEL
from tests.simulators.swarmui.sinks import ListSink, SocketSink
from tests.simulators.swarmui.status import status_message

routes = Routes()
GRACE_S = 2.0


@routes.post("GenerateText2Image", "basic_image_generation")
async def generate(call: Call) -> JsonObject:
    sink = ListSink()
    work = Generation(call.world, call.who, call.data, call.integer("images"), sink)
    # A client that hangs up does not stop the work.
    await asyncio.shield(call.world.spawn(work.run()))
    return {"images": sink.images} if sink.error is None else {"error": sink.error}


@routes.post("ComfyGetGeneratedWorkflow", "comfy_direct_calls")
async def comfy_get_generated_workflow(call: Call) -> JsonObject:
    """A dry run of the validation."""
    call.integer("images")
    work = Generation(call.world, call.who, call.data, 1, ListSink())
    try:
        params = await work.parse()
    except GenerationError as exc:
        raise ApplicationError(exc.text) from exc
    if "model" not in params.models:
        raise ApplicationError(NO_MODEL)
    return {"workflow": json.dumps({"4": {"class_type": "UNETLoader", "inputs": params.values}})}


@routes.socket("GenerateText2ImageWS", "basic_image_generation")
async def generate_on_socket(call: Call) -> None:
    call.integer("images")
    await SocketConversation(call).run()


class SocketConversation:
    """One socket: generations that may overlap, a grace period, the final status."""

    def __init__(self, call: Call) -> None:
        assert call.websocket is not None
        self._call, self._websocket = call, call.websocket
        self._sink = SocketSink(call.websocket, lambda: status_message(call.world, call.who))
        self._running: set[asyncio.Task[None]] = set()
        self._launched = 0

    async def run(self) -> None:
        sender = self._call.world.spawn(self._sink.run())
        self._start(self._call.data)
        listener = asyncio.ensure_future(self._listen())
        try:
            await self._until_quiet()
            self._sink.status()
        finally:
            listener.cancel()
            self._sink.finish()
        await sender

    async def _until_quiet(self) -> None:
        launched = -1
        while launched != self._launched:
            while self._running:
                await asyncio.wait(self._running)
            launched = self._launched
            self._sink.send({"socket_intention": "close"})
            await self._call.world.sleep(GRACE_S)

    async def _listen(self) -> None:
        while (text := await self._websocket.receive()) is not None:
            try:
                data = json.loads(text)
                images = Call(self._call.world, data, self._call.user_name).integer("images")
            except (ValueError, TypeError, ApplicationError) as exc:
                self._sink.send({"error": exc.text if isinstance(exc, ApplicationError) else str(exc)})
            else:
                self._start(data, images)

    def _start(self, data: dict[str, Any], images: int | None = None) -> None:
        images = images or self._call.integer("images")
        work = Generation(self._call.world, self._call.who, data, images, self._sink, offset=self._launched)
        self._launched += images
        task = self._call.world.spawn(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, work: Generation) -> None:
        try:
            await work.run()
        except SilentFailureError:
            self._sink.status()
