"""A generation request from its JSON to its last message."""

import asyncio
import base64
import time
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.swarmui import ledger
from tests.simulators.swarmui.backends import Backend, Demand
from tests.simulators.swarmui.errors import GenerationError, SilentFailureError
from tests.simulators.swarmui.ledger import Render
from tests.simulators.swarmui.outputs import Media
from tests.simulators.swarmui.plan import interpolates, metadata, plan
from tests.simulators.swarmui.rendering import Renderer
from tests.simulators.swarmui.script import Fault
from tests.simulators.swarmui.sinks import Sink
from tests.simulators.swarmui.validation import ParamSet, Validator
from tests.simulators.swarmui.world import Claim, Session, World

KEEP_ALIVE_S = 30.0
INTERRUPTED = "Generation session interrupted."


@dataclass
class Generation:
    """One request for `images` images, reporting to `sink`; `offset` is where its batch indices start."""

    world: World
    session: Session
    data: dict[str, Any]
    images: int
    sink: Sink
    offset: int = 0
    params: ParamSet = field(default_factory=ParamSet)
    claim: Claim = field(default_factory=Claim)
    failed: bool = False
    fault: Fault | None = None

    async def run(self) -> None:
        """Raises SilentFailureError when SwarmUI would say nothing."""
        self.fault = self.world.script.take_fault()
        self.session.waiting_gens += self.images
        try:
            self.params = await self.parse()
        except GenerationError as exc:
            self.sink.status()
            self.sink.send({"error": exc.text})
            self.session.waiting_gens -= self.images
            return
        except SilentFailureError:
            self.session.waiting_gens -= self.images
            raise
        await self._run_images()

    async def parse(self) -> ParamSet:
        """Raises GenerationError and SilentFailureError."""
        validator = Validator(
            catalogue=self.world.catalogue,
            user_folder=self.world.outputs.folder(self.session.user.name),
            denied_permissions=self.world.script.denied_permissions,
        )
        params = validator.parse(self.data)
        if self.fault and self.fault.stage == "parse":
            raise SilentFailureError
        # The first use of a model file hashes it, and nothing is sent before that is done.
        names = {model.name for model in params.models.values()} - self.world.hashed
        if names and self.world.script.hash_seconds:
            await self.world.sleep(self.world.script.hash_seconds)
        self.world.hashed |= names
        self.data = {}  # the picture is in `params` now; its text would be kept a thousand times
        return params

    async def _run_images(self) -> None:
        self.session.claims.add(self.claim)
        request_id = self.session.user.take_request_id()
        self.sink.status()
        gate = asyncio.Semaphore(self.world.backends.simultaneous())
        tasks = [self.world.spawn(self._run_image(index, request_id, gate)) for index in range(self.images)]
        self.claim.tasks.update(tasks)
        keep_alive = self.world.spawn(self._keep_alive())
        try:
            await asyncio.wait(tasks)
        finally:
            keep_alive.cancel()
            # A task that was interrupted before its first step had no chance to count itself off.
            self.session.waiting_gens -= sum(task.cancelled() for task in tasks)
            self.session.claims.discard(self.claim)
        self.sink.send({"discard_indices": []})

    async def _keep_alive(self) -> None:
        while True:
            await self.world.sleep(KEEP_ALIVE_S)
            self.sink.send({"keep_alive": True})

    async def _run_image(self, index: int, request_id: str, gate: asyncio.Semaphore) -> None:
        image = ImageTask(self, index, request_id)
        try:
            async with gate:
                if not self.failed and not self.claim.interrupted:
                    await image.run()
        except asyncio.CancelledError:
            if not self.claim.interrupted:
                image.settle(ledger.LOST)
                raise
            self._uncancel()
            image.interrupted()
        except GenerationError as exc:
            image.settle(ledger.FAILED, error=exc.text)
            self.error(exc.text)
        self.session.waiting_gens -= 1
        self.sink.status()
        self.sink.send({"keep_alive": True})

    @staticmethod
    def _uncancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()

    def error(self, text: str) -> None:
        if not self.params.get("continueaftererrors"):
            self.failed = True
            self.sink.send({"error": text})

    def take_fault(self, stage: str) -> None:
        """Raise the scripted fault when this is its moment."""
        if self.fault and self.fault.stage == stage:
            text, self.fault = self.fault.text, None
            raise GenerationError(text.replace("{model_path}", f"/models/{self.params.get('model', '')}"))


class ImageTask:
    """One image of a request: a slot, the GPU, the file."""

    def __init__(self, generation: Generation, index: int, request_id: str) -> None:
        self._generation, self._index, self._request_id = generation, index, request_id
        self._world, self._session, self._sink = generation.world, generation.session, generation.sink
        self._live = False
        params = generation.params
        self._render = self._world.ledger.open(
            Render(
                session=self._session.id,
                request_id=request_id,
                params=dict(params.values),
                picture_sha256=params.picture_sha256(),
                end_picture_sha256=params.picture_sha256("videoendimage"),
                path=str(params.get("overrideoutpathformat", "")),
            )
        )

    async def run(self) -> None:
        self._check_backends()
        backend = await self._wait_for_slot()
        self._session.live_gens += 1
        self._live = True
        self._sink.status()
        try:
            renderer = self._renderer(backend)
            media = await renderer.run()
        finally:
            self._session.live_gens -= 1
            self._world.backends.release(backend)
        self._generation.take_fault("save")
        if self._generation.params.get("outputintermediateimages"):
            self._report(await renderer.intermediate(), batch_index=-11 - self._index, metadata_text=None)
        self._finish(media)

    def settle(self, state: str, *, error: str = "") -> None:
        self._world.ledger.end(self._render, state, error=error)

    def interrupted(self) -> None:
        """While it only waited for a slot nobody hears of it; afterwards it is an error."""
        self.settle(ledger.INTERRUPTED)
        if self._live:
            self._generation.error(INTERRUPTED)

    def _check_backends(self) -> None:
        needed = ["video"] if "videomodel" in self._generation.params.models else []
        needed += ["frameinterps"] if interpolates(self._generation.params) else []
        reasons = [
            f"Request requires flag '{flag}' which is not present on the backend"
            for flag in needed
            if flag not in self._world.script.features
        ]
        wanted = str(self._generation.params.get("exactbackendid", ""))
        if wanted and self._world.backends.by_id(wanted) is None:
            reasons.append("Specific backend ID# requested in advanced parameters did not match")
        if reasons:
            raise GenerationError(
                "No backends match the settings of the request given! Backends refused for the following reason(s):\n- "
                + "\n- ".join(reasons)
            )

    async def _wait_for_slot(self) -> Backend:
        self._session.waiting_backends += 1
        self._sink.status()
        params = self._generation.params
        demand = Demand(
            model=params.models.get("model"),
            backend_id=str(params.get("exactbackendid", "")),
            no_load=bool(params.get("noloadmodels")),
            loading=self._loading,
        )
        try:
            self._generation.take_fault("queue")
            self._generation.take_fault("load")
            return await self._world.backends.acquire(demand)
        finally:
            self._session.waiting_backends -= 1
            if not self._generation.claim.interrupted:
                self._sink.status()

    def _loading(self, started: bool) -> None:
        self._session.loading_models += 1 if started else -1
        if started:
            self._sink.status()

    def _renderer(self, backend: Backend) -> Renderer:
        return Renderer(
            world=self._world,
            backend=backend,
            params=self._generation.params,
            plan=plan(self._generation.params, self._index),
            render=self._render,
            sink=self._sink,
            take_fault=self._generation.take_fault,
            batch_index=str(self._generation.offset + self._index),
            request_id=self._request_id,
        )

    def _finish(self, media: Media) -> None:
        params = self._generation.params
        seed = plan(params, self._index).seed
        began = self._render.started_at or self._render.asked_at
        text = metadata(params, seed, generation_s=time.time() - began)
        if params.get("forwardswarmdata"):
            self._sink.send({"raw_swarm_data": {"params_used": sorted(params.values)}})
        url = self._report(media, batch_index=self._generation.offset + self._index, metadata_text=text)
        self._world.ledger.end(self._render, ledger.FINISHED, result=url[:200])

    def _report(self, media: Media, *, batch_index: int, metadata_text: str | None) -> str:
        url = self._saved(media, metadata_text or "{}")
        message = {"image": url, "batch_index": str(batch_index), "request_id": self._request_id}
        self._sink.send(message | {"metadata": metadata_text})
        return url

    def _saved(self, media: Media, text: str) -> str:
        params, outputs = self._generation.params, self._world.outputs
        if params.get("donotsave"):
            return f"data:{media.mime};base64,{base64.b64encode(media.whole()).decode()}"
        wanted = outputs.wanted_path(
            str(params.get("overrideoutpathformat", "")),
            prompt=str(params.get("prompt", "")),
            model=params.models["model"].short_name,
        )
        return outputs.save(user=self._session.user.name, wanted=wanted, media=media, metadata=text)
