"""Videos from a SwarmUI server: one session and one socket per render, and polling when the socket breaks."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from generation.engines.base import (
    EngineError,
    EngineFailed,
    EngineLost,
    EngineSilent,
    EngineUnavailable,
    ProviderRef,
    RenderRequest,
    RenderResult,
    Reporter,
    ResultRef,
)
from generation.engines.swarmui_answers import (
    check_models,
    error_for_result,
    error_for_text,
    kept_metadata,
    seed_used,
    unavailable,
)
from generation.engines.swarmui_request import output_path, parameters
from generation.engines.swarmui_watch import Line, Watch
from gpu.clients.guarded import AddressRefused
from gpu.clients.swarmui import GenerationStream, SwarmClient
from gpu.clients.swarmui_errors import (
    SwarmError,
    SwarmProtocolError,
    SwarmRejected,
    SwarmResultRefused,
    SwarmSessionLost,
    SwarmStreamBroken,
)
from gpu.clients.swarmui_messages import Ended, ErrorMessage, ImageMessage, Session, Status
from gpu.clients.swarmui_results import result_path

_SESSION_TRIES = 3
_TROUBLE = (SwarmError, AddressRefused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the engine is, in seconds."""

    upload_s: float = 300
    idle_s: float = 60  # of silence on the socket, before the session's counters are looked at
    first_message_s: float = 900  # SwarmUI may read and hash 28 GB of models before it says anything
    trailer_s: float = 5  # after an error message, for the rest of the story
    look_interval_s: float = 5
    absent_after_s: float = 60  # between the two looks that prove that a render is gone
    unreachable_looks: int = 12
    cancel_s: float = 15
    cancel_pause_s: float = 0.5


class SwarmEngine:
    """The engine of one SwarmUI address. `uploads` bounds how many pictures are in memory at once; share it.

    EngineUnavailable means that nothing was started; EngineSilent, that something may have been: look for it.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        authorization: str = "",
        allow_private: frozenset[str] = frozenset(),
        result_max_bytes: int = 512 * 1024 * 1024,
        uploads: asyncio.Semaphore | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._client = SwarmClient(endpoint, authorization=authorization, allow_private=allow_private)
        self._uploads = uploads or asyncio.Semaphore(4)
        self._timing = timing or Timing()
        self._result_max_bytes = result_max_bytes
        self._line = Line()
        self._finder: str | None = None  # a session for looking, when a render's own is forgotten

    async def aclose(self) -> None:
        await self._client.aclose()

    async def render(self, request: RenderRequest, reporter: Reporter) -> RenderResult:
        """Make the video. A broken socket is not an error: the render is then followed by polling."""
        watch = Watch(request.nonce, reporter, self._line)
        watch.sending()
        try:
            for _ in range(_SESSION_TRIES):
                ref = await self._prepare(request, reporter)
                try:
                    return await self._send_and_follow(request, ref, watch)
                except SwarmSessionLost:
                    continue
                except (SwarmStreamBroken, SwarmProtocolError):
                    return await self._adopt(request, ref, watch)
        finally:
            watch.over()
        raise EngineUnavailable("The GPU server forgets its sessions at once.", code="session_lost")

    async def recover(self, request: RenderRequest, ref: ProviderRef, reporter: Reporter) -> RenderResult:
        """Wait for, or find, a render that an earlier process sent. Starts nothing.

        EngineLost: SwarmUI has neither a running render nor its file. EngineSilent: it does not answer, ask again.
        """
        return await self._adopt(request, ref, Watch(request.nonce, reporter, self._line))

    async def cancel(self, ref: ProviderRef) -> bool:
        """Stop this render and no other; True, also when it is over. EngineUnavailable: not stopped yet, ask again."""
        quiet_looks = 0
        try:
            async with asyncio.timeout(self._timing.cancel_s):
                # Twice: a request that SwarmUI is still reading is in no counter, and an interrupt does not reach it.
                while quiet_looks < 2:
                    await self._client.interrupt(ref["session_id"])
                    await asyncio.sleep(self._timing.cancel_pause_s)
                    status = await self._client.status(ref["session_id"])
                    quiet_looks = quiet_looks + 1 if status.is_idle else 0
        except SwarmSessionLost:
            return True
        except TimeoutError as exc:
            raise EngineUnavailable("The GPU server is still stopping the render.", code="still_running") from exc
        except _TROUBLE as exc:
            raise EngineUnavailable("The GPU server cannot be asked to stop.", code=unavailable(exc).code) from exc
        return True

    @contextmanager
    def open_result(self, ref: ResultRef) -> Iterator[Iterator[bytes]]:
        """The video in pieces. Raises EngineFailed (missing, too large, truncated), EngineUnavailable."""
        try:
            with self._client.open_result(ref["path"], max_bytes=self._result_max_bytes) as pieces:
                yield pieces
        except SwarmResultRefused as exc:
            raise error_for_result(exc) from exc
        except _TROUBLE as exc:
            raise unavailable(exc) from exc

    # --- sending and listening --------------------------------------------------------------------------------------

    async def _prepare(self, request: RenderRequest, reporter: Reporter) -> ProviderRef:
        """A session for this render, saved by the driver before anything is sent in it."""
        try:
            session = await self._client.new_session()
        except _TROUBLE as exc:
            raise unavailable(exc) from exc
        ref = _ref(self._client.base_url, session, request)
        await reporter.sending(ref, parameters(request))
        return ref

    async def _send_and_follow(self, request: RenderRequest, ref: ProviderRef, watch: Watch) -> RenderResult:
        async with AsyncExitStack() as stack:
            # SwarmUI gives a new socket 60 seconds for its message, so wait for a free upload before opening it.
            async with self._uploads:
                picture = await request.picture()
                end_picture = await request.end_picture() if request.end_picture else None
                try:
                    stream = await stack.enter_async_context(self._client.open_stream())
                except _TROUBLE as exc:
                    raise unavailable(exc) from exc
                message = {"session_id": ref["session_id"], **parameters(request)}
                await stream.send(message, picture, self._timing.upload_s, end_picture=end_picture)
                del picture, end_picture
            watch.sent()
            image = await self._follow(stream, ref, watch)
            watch.finishing()
            return self._result(request, image.path, image.metadata)

    async def _follow(self, stream: GenerationStream, ref: ProviderRef, watch: Watch) -> ImageMessage:
        """Listen until the video or the end. Raises EngineError, SwarmSessionLost, or that the socket broke."""
        error: EngineError | None = None
        # Until the first message: since when SwarmUI may be reading model files.
        unheard_since: float | None = asyncio.get_running_loop().time()
        while True:
            try:
                message = await stream.receive(self._timing.trailer_s if error else self._timing.idle_s)
            except (TimeoutError, SwarmStreamBroken) as exc:
                if error:
                    raise error from exc
                if isinstance(exc, SwarmStreamBroken):
                    raise
                await self._check_silence(ref, watch, unheard_since)
                continue
            unheard_since = None
            match message:
                case ErrorMessage(session_lost=True):
                    raise SwarmSessionLost("The session is not known.")
                case ErrorMessage(text=text):
                    error = error or error_for_text(text)
                case ImageMessage(batch_index=0):
                    return message
                case Ended():
                    raise error or EngineFailed("The GPU server ended without a video or a reason.", code="no_result")
                case _:
                    watch.hear(message)

    async def _check_silence(self, ref: ProviderRef, watch: Watch, unheard_since: float | None) -> None:
        """Nothing came for a while: SwarmStreamBroken unless SwarmUI still works on the render, or may be."""
        try:
            status = await self._client.status(ref["session_id"])
        except _TROUBLE as exc:
            raise SwarmStreamBroken("silent, and no answer about it") from exc
        if not status.is_idle:
            watch.hear(status)
        elif unheard_since and asyncio.get_running_loop().time() - unheard_since < self._timing.first_message_s:
            watch.preparing()
        else:
            raise SwarmStreamBroken("silent, and nothing under way")

    # --- looking ----------------------------------------------------------------------------------------------------

    async def _adopt(self, request: RenderRequest, ref: ProviderRef, watch: Watch) -> RenderResult:
        """Poll until the file is there, or is proven not to come."""
        absent_since: float | None = None
        misses = 0
        while True:
            now = asyncio.get_running_loop().time()
            try:
                status, found = await self._look(ref)
            except _TROUBLE as exc:
                misses += 1
                if misses >= self._timing.unreachable_looks:
                    raise EngineSilent("The GPU server stopped answering; it is asked again.") from exc
            else:
                misses = 0
                if found:
                    watch.finishing()
                    return self._result(request, *found)
                if status and not status.is_idle:
                    absent_since = None
                    watch.looked(status)
                elif absent_since is None:
                    absent_since = now
                elif now - absent_since >= self._timing.absent_after_s:
                    raise EngineLost("The GPU server has no trace of the render.")
            await asyncio.sleep(self._timing.look_interval_s)

    async def _look(self, ref: ProviderRef) -> tuple[Status | None, tuple[str, dict[str, Any]] | None]:
        """The session's counters (None: forgotten), and path and metadata of the file once nothing is under way."""
        session_id = ref["session_id"]
        status = None
        try:
            status = await self._client.status(session_id)
        except SwarmSessionLost:
            session_id = self._finder = self._finder or (await self._client.new_session()).session_id
        # A file may be half written while the counters are not zero.
        if status and not status.is_idle:
            return status, None
        try:
            return status, await self._find(session_id, ref)
        except SwarmSessionLost:
            self._finder = None
            raise

    async def _find(self, session_id: str, ref: ProviderRef) -> tuple[str, dict[str, Any]] | None:
        folder, _, stem = ref["output_path"].rpartition("/")
        path = f"{ref['output_root']}/{folder}/{stem}.mp4"
        try:
            listed = await self._client.list_files(session_id, folder)
        except SwarmRejected:  # listing needs a permission of its own
            listed = []
        for file in listed:
            if file.path == f"{stem}.mp4":
                return path, file.metadata
        # A listing ends at 1,000 files, so it does not prove that one is absent.
        return (path, {}) if await self._client.has_file(path) else None

    def _result(self, request: RenderRequest, path: str, metadata: dict[str, Any]) -> RenderResult:
        try:
            result_path(path)
        except SwarmResultRefused as exc:
            raise error_for_result(exc) from exc
        check_models(request, metadata)
        seed = seed_used(metadata)
        return RenderResult(
            ref={"endpoint": self._client.base_url, "path": path},
            seed=request.seed if seed is None else seed,
            metadata=kept_metadata(metadata),
        )


def _ref(endpoint: str, session: Session, request: RenderRequest) -> ProviderRef:
    return {
        "endpoint": endpoint,
        "session_id": session.session_id,
        "server_id": session.server_id,
        "version": session.version,
        "output_root": session.output_root,
        "output_path": output_path(request.nonce),
        "seed": request.seed,
    }
