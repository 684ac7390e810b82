"""What the tests of the fal.ai engine share: requests, a reporter that remembers, an impatient engine."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from generation.engines.base import Phase, Progress, ProviderRef, RenderRequest
from generation.engines.fal import FalEngine, Timing
from generation.engines.fal_client import Hosts
from tests import factories
from tests.simulators.fal import FalSimulator

WAN = "fal-ai/wan/v2.2-a14b/image-to-video"
PARAMETERS: dict[str, Any] = {
    "image": "image_url",
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "seed": "seed",
    "frames": "num_frames",
    "fps": "frames_per_second",
    "resolution": {"field": "resolution", "tiers": {"480": "480p", "580": "580p", "720": "720p"}},
    "aspect_ratio": {"field": "aspect_ratio", "choices": ["16:9", "9:16", "1:1"], "else": "auto"},
    "fixed": {"num_interpolated_frames": 0, "enable_prompt_expansion": False},
    "priced_at_fps": 16,
}
QUICK = Timing(
    first_look_s=0.05,
    slowest_look_s=0.1,
    unreachable_looks=4,
    find_s=0.1,
    slowest_find_s=0.2,
    outcome_s=3600,
    cancel_s=5,
    cancel_look_s=0.05,
)


class Recorder:
    """A reporter that remembers. `tell` is the webhook's evidence."""

    def __init__(self) -> None:
        self.sent: list[tuple[ProviderRef, dict[str, Any]]] = []
        self.news: list[Progress] = []
        self._told = asyncio.Event()
        self._evidence: dict[str, Any] | None = None

    async def sending(self, ref: ProviderRef, request_sent: dict[str, Any]) -> None:
        self.sent.append((ref, request_sent))

    def progress(self, progress: Progress) -> None:
        self.news.append(progress)

    def tell(self, evidence: dict[str, Any]) -> None:
        self._evidence = evidence
        self._told.set()

    async def evidence(self, timeout_s: float) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._told.wait()
        except TimeoutError:
            return None
        return self._evidence

    @property
    def ref(self) -> ProviderRef:
        return self.sent[-1][0]

    @property
    def phases(self) -> list[Phase]:
        found = [progress.phase for progress in self.news]
        return [phase for phase, before in zip(found, [None, *found], strict=False) if phase != before]


async def picture() -> bytes:
    return factories.png(832, 480)


def a_request(**changes: Any) -> RenderRequest:
    values: dict[str, Any] = {
        "nonce": uuid.uuid4().hex,
        "picture": picture,
        "prompt": "the dog runs",
        "negative_prompt": "",
        "width": 832,
        "height": 480,
        "frames": 17,
        "fps": 16,
        "steps": 4,
        "cfg_scale": 1.0,
        "seed": 7,
        "endpoint": WAN,
        "parameters": PARAMETERS,
        "typical_seconds": 1.0,
    }
    return RenderRequest(**values | changes)


def hosts_of(fal: FalSimulator) -> Hosts:
    urls = (fal.queue_url, fal.rest_url, fal.api_url, fal.media_url)
    return Hosts(
        queue_url=fal.queue_url,
        rest_url=fal.rest_url,
        api_url=fal.api_url,
        private_hosts=frozenset(url.partition("://")[2] for url in urls),
    )


@asynccontextmanager
async def an_engine(
    fal: FalSimulator, *, timing: Timing = QUICK, mark: Callable[[str], None] = lambda _: None, **options: Any
) -> AsyncIterator[FalEngine]:
    engine = FalEngine(options.pop("key", fal.api_key), hosts=hosts_of(fal), timing=timing, mark=mark, **options)
    try:
        yield engine
    finally:
        await engine.aclose()


async def until(look: Callable[[], object], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(look):  # noqa: ASYNC110 (it is another thread's state)
            await asyncio.sleep(0.02)
