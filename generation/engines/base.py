"""One protocol for every way to make a video. Engines know their provider and nothing of jobs, people or money.

An engine is driven like this (`generation.services.rendering`):

    result = await engine.render(request, reporter)       # first time
    result = await engine.recover(request, ref, reporter)  # after a crash, with what `reporter.sending` saved
    stopped = await engine.cancel(ref)                     # the person changed their mind; False: it is billed
    with engine.open_result(result) as chunks: ...         # in a worker process, streamed to storage
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

# Plain JSON, saved in a row: whatever lets another process find this render again.
ProviderRef = dict[str, Any]
ResultRef = dict[str, Any]


class Phase(StrEnum):
    """What is going on, in the order in which it usually happens."""

    SENDING = "sending"  # the picture is on its way to the engine
    WAITING = "waiting"  # the engine has it and works on something else; `position` may say how many are before it
    LOADING = "loading"  # the model is being loaded into the GPU's memory
    RENDERING = "rendering"
    FINISHING = "finishing"  # encoding and saving at the engine


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of life. `fraction` 0..1 may go backwards or stop short of 1; whoever shows it makes it monotonic."""

    phase: Phase
    fraction: float = 0.0
    message: str = ""
    position: int | None = None  # 1 = next in line at the engine
    preview: bytes | None = None  # a picture in any format, at most 4 MiB, not to be trusted


@dataclass(frozen=True, slots=True)
class Lora:
    name: str
    weight: float
    stage: str  # "high", "low" or "all"


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What to render. `picture` is read when it is needed and not kept: a thousand of them may wait at once."""

    nonce: str  # 32 hex digits, unique per attempt; names the attempt at the provider
    picture: Callable[[], Awaitable[bytes]]  # PNG, cropped to exactly width x height
    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    fps: int
    steps: int
    cfg_scale: float
    seed: int
    end_picture: Callable[[], Awaitable[bytes]] | None = None  # what it shall end with, a PNG of the same size
    interpolate: int = 1  # so many times the frames, put in between, at so many times the speed
    model: str = ""  # high-noise model (SwarmUI's full name); empty for the motion preview
    low_noise_model: str = ""
    swap_percent: float = 0.5
    loras: tuple[Lora, ...] = ()
    sampler: str = ""
    scheduler: str = ""
    allow_prompt_syntax: bool = False
    endpoint: str = ""  # the cloud's name for the model
    parameters: Mapping[str, Any] = field(default_factory=dict)  # how our settings are called there
    picture_link: Callable[[], Awaitable[str]] | None = None  # an address of the picture that is good for some hours
    end_picture_link: Callable[[], Awaitable[str]] | None = None
    webhook_url: str = ""  # where the provider may say that it is done
    typical_seconds: float = 60.0  # one video's usual time, for progress that nobody tells


@dataclass(frozen=True, slots=True)
class RenderResult:
    """A finished video, still at the engine. `ref` is JSON for `open_result`, also in another process."""

    ref: ResultRef
    seed: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    cost_usd: Decimal | None = None  # what the provider takes for it, when it told
    prompt: str | None = None  # the one really used, when it told
    drift: tuple[str, ...] = ()  # what was asked for and not followed, a sentence each


class Reporter(Protocol):
    """What an engine tells its driver while it renders."""

    async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
        """Save how to find this render again. Await it *before* anything is sent; raises when the lease is lost.

        `request_sent` is what will be sent, without pictures and secrets. May be called again when `ref` grows.
        """

    def progress(self, progress: Progress) -> None:
        """Cheap, call it as often as news comes in; also the proof that the engine is alive."""

    async def evidence(self, timeout_s: float) -> dict[str, Any] | None:
        """What a verified webhook brought about this attempt; at once when it is there, None after `timeout_s`."""


class Engine(Protocol):
    async def render(self, request: RenderRequest, reporter: Reporter) -> RenderResult:
        """Make the video. Raises EngineError. Cancelling the task must not leave anything running locally."""

    async def recover(self, request: RenderRequest, ref: ProviderRef, reporter: Reporter) -> RenderResult:
        """Wait for, or find, what an earlier process started. Never starts anything.

        Raises EngineLost when there is no trace of it, EngineSilent when the provider does not answer.
        """

    async def cancel(self, ref: ProviderRef) -> bool:
        """Stop exactly this render. True: stopped, nothing is owed. False: it had, or may have, finished and is billed.

        EngineUnavailable: not known, ask again.
        """

    def open_result(self, ref: ResultRef) -> AbstractContextManager[Iterator[bytes]]:
        """The video's bytes in pieces, within the size limit. Blocking; for workers."""

    async def aclose(self) -> None: ...


class EngineError(Exception):
    """`code` for programs; the message is one sentence for the person who waits."""

    code = "engine_error"

    def __init__(self, message: str, *, code: str | None = None, billed: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.billed = billed  # the provider takes its price all the same: no second try by ourselves
        if code:
            self.code = code


class EngineRefused(EngineError):
    """It understood and will not do it; the same request will be refused again."""

    code = "engine_refused"


class EngineUnavailable(EngineError):
    """It cannot be reached or has no free capacity; nothing was rendered; the same request may work later."""

    code = "engine_unavailable"


class EngineSilent(EngineError):
    """It was sent and the provider no longer answers: the outcome is unknown. Ask again with `recover`."""

    code = "engine_silent"


class EngineFailed(EngineError):
    """It tried and broke; one more try may help."""

    code = "engine_failed"


class EngineLost(EngineError):
    """No running render and no result is found at the provider."""

    code = "engine_lost"
