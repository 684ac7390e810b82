"""Videos from fal.ai: one paid call per attempt, never repeated; what became of it is found out by looking."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from generation.engines.base import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    ProviderRef,
    RenderRequest,
    RenderResult,
    Reporter,
    ResultRef,
)
from generation.engines.fal_client import Answer, FalClient, FalHostRefused, FalRefused, FalUnreachable, Hosts
from generation.engines.fal_errors import Forgotten, NoResultYet, failure, is_charged, is_passing, refusal, sound
from generation.engines.fal_find import find_request
from generation.engines.fal_messages import BadAnswer, request_id_of, standing_of
from generation.engines.fal_request import Asked, asked, image_field, image_fields, without_query
from generation.engines.fal_result import Prices, result_of
from generation.engines.fal_watch import Watch
from gpu.clients.guarded import AnswerRefused

_TROUBLE = (FalUnreachable, BadAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the engine is, in seconds."""

    first_look_s: float = 1  # between two looks at the queue; grows to
    slowest_look_s: float = 10
    unreachable_looks: int = 12
    find_s: float = 10  # between two looks for a lost request; grows to
    slowest_find_s: float = 60
    outcome_s: float = 3600  # after so long without evidence a lost request is given up
    cancel_s: float = 20
    cancel_look_s: float = 1


class FalEngine:
    """The engine of one account. `mark` is called at places where a test may kill the process.

    EngineUnavailable: nothing was accepted. EngineSilent: fal has the request and does not answer. EngineRefused with
    the code outcome_unknown: the paid call's answer was lost and nothing showed what became of it.
    """

    def __init__(
        self,
        key: str,
        *,
        hosts: Hosts,
        result_max_bytes: int = 512 * 1024 * 1024,
        uploads: asyncio.Semaphore | None = None,
        expire_s: int = 86_400,
        timing: Timing | None = None,
        mark: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = FalClient(key, hosts=hosts, expire_s=expire_s)
        self._hosts = hosts
        self._prices = Prices(self._client)
        self._uploads = uploads or asyncio.Semaphore(4)
        self._timing = timing or Timing()
        self._result_max_bytes = result_max_bytes
        self._mark = mark

    async def aclose(self) -> None:
        await self._client.aclose()

    async def render(self, request: RenderRequest, reporter: Reporter) -> RenderResult:
        """Make the video. The one place that sends a paid request."""
        watch = Watch(request, reporter)
        watch.sending()
        picture_url = await self._hand_over(request.picture_link, request.picture, f"{request.nonce}.png")
        end_url = ""
        if request.end_picture is not None:
            end_url = await self._hand_over(request.end_picture_link, request.end_picture, f"{request.nonce}-end.png")
        wanted = asked(request, picture_url, end_url)
        ref: ProviderRef = {
            "endpoint": request.endpoint,
            "nonce": request.nonce,
            "sent": datetime.now(UTC).isoformat(),
            "picture": without_query(picture_url),
            "end_picture": without_query(end_url),
            "image_field": image_field(request.parameters),
        }
        await reporter.sending(ref, _request_sent(request, wanted))
        self._mark("fal.before_post")
        posting = asyncio.ensure_future(self._post(request, wanted, ref, reporter))
        try:
            known = await asyncio.shield(posting)
        except asyncio.CancelledError:
            # The call is under way and may be paid for: its answer is waited for, so that it can be cancelled.
            await self._settle_the_post(posting, ref, request, wanted, reporter)
            raise
        return await self._await_video(request, known, reporter, watch)

    async def recover(self, request: RenderRequest, ref: ProviderRef, reporter: Reporter) -> RenderResult:
        """Wait for a request that an earlier process sent, or may have sent. Never sends one."""
        if ref.get("accepted") is False:
            raise EngineUnavailable("fal.ai did not take the request.", code="not_accepted")
        return await self._await_video(request, ref, reporter, Watch(request, reporter))

    async def cancel(self, ref: ProviderRef) -> bool:
        """Stop this request. False: it is, or may be, billed. EngineUnavailable: not known yet, ask again."""
        if ref.get("accepted") is False:
            return True
        request_id = ref.get("request_id") or await self._look_for(ref)
        if not request_id:
            if self._is_given_up(ref):
                return False
            raise EngineUnavailable("It is not known yet whether fal.ai has the request.", code="outcome_unknown")
        try:
            async with asyncio.timeout(self._timing.cancel_s):
                return await self._stop(ref["endpoint"], request_id)
        except TimeoutError as exc:
            raise EngineUnavailable("fal.ai is still stopping the render.", code="still_running") from exc
        except _TROUBLE as exc:
            raise EngineUnavailable("fal.ai cannot be asked to stop.", code="unreachable") from exc

    @contextmanager
    def open_result(self, ref: ResultRef) -> Iterator[Iterator[bytes]]:
        """The video in pieces. Raises EngineFailed, EngineRefused (too large, not at fal), EngineUnavailable."""
        try:
            with self._client.open_file(ref["url"], max_bytes=self._result_max_bytes) as pieces:
                yield pieces
        except FalHostRefused as exc:
            raise EngineRefused(f"The video is not at fal.ai: {exc}", code="result_host") from exc
        except FalRefused as exc:
            if exc.answer.status in (403, 404, 410):
                raise EngineFailed("fal.ai no longer has the video.", code="result_missing") from exc
            raise EngineUnavailable("fal.ai does not hand the video out.", code="unreachable") from exc
        except AnswerRefused as exc:
            raise EngineRefused("The video is larger than allowed.", code="result_too_large") from exc
        except FalUnreachable as exc:
            raise EngineUnavailable("The video could not be fetched from fal.ai.", code="unreachable") from exc

    # --- sending ----------------------------------------------------------------------------------------------------

    async def _hand_over(
        self, link: Callable[[], Awaitable[str]] | None, read: Callable[[], Awaitable[bytes]], name: str
    ) -> str:
        """Nothing is paid for this: whatever goes wrong, the attempt may be made again."""
        if link is not None:
            return await link()
        try:
            async with self._uploads:
                return await self._client.upload(await read(), name=name)
        except FalRefused as exc:
            if exc.answer.status in (401, 402, 403):
                raise refusal(exc.answer) from exc
            raise EngineUnavailable("fal.ai did not take the picture.", code="upload_refused") from exc
        except FalUnreachable as exc:
            raise EngineUnavailable("fal.ai cannot be reached.", code="unreachable") from exc
        except (BadAnswer, FalHostRefused) as exc:
            raise EngineUnavailable("What answers at fal.ai's address is not fal.ai.", code="not_fal") from exc

    async def _post(self, request: RenderRequest, wanted: Asked, ref: ProviderRef, reporter: Reporter) -> ProviderRef:
        """Send it, once. The ref, with the request id when it is known; without, the outcome is unknown."""
        try:
            answer = await self._client.submit(request.endpoint, wanted.fields, webhook_url=request.webhook_url)
        except FalUnreachable as exc:
            if exc.sent:
                return ref
            raise EngineUnavailable("fal.ai cannot be reached.", code="unreachable") from exc
        except BadAnswer as exc:
            raise EngineRefused("The catalogue's endpoint is none of fal.ai's.", code="fal_no_endpoint") from exc
        self._mark("fal.posted")
        # A timeout or an error of theirs says nothing about whether the request was queued.
        if answer.status == 408 or answer.status >= 500 or 300 <= answer.status < 400:
            return ref
        if not answer.is_good:
            raise refusal(answer)
        try:
            known = ref | {"request_id": request_id_of(answer.json())}
        except BadAnswer:
            return ref
        await reporter.sending(known, _request_sent(request, wanted))
        self._mark("fal.request_id_saved")
        return known

    async def _settle_the_post(
        self,
        posting: asyncio.Future[ProviderRef],
        ref: ProviderRef,
        request: RenderRequest,
        wanted: Asked,
        reporter: Reporter,
    ) -> None:
        with suppress(Exception):
            try:
                await posting
            except EngineError:  # raised only when it is certain that nothing was accepted
                await reporter.sending(ref | {"accepted": False}, _request_sent(request, wanted))

    # --- looking ----------------------------------------------------------------------------------------------------

    async def _await_video(
        self, request: RenderRequest, ref: ProviderRef, reporter: Reporter, watch: Watch
    ) -> RenderResult:
        if not ref.get("request_id"):
            ref = ref | {"request_id": await self._find(ref, reporter, watch)}
            told = asked(request, ref.get("picture", ""), ref.get("end_picture", ""))
            await reporter.sending(ref, _request_sent(request, told))
        answer = await self._follow(ref, reporter, watch)
        self._mark("fal.result_known")
        watch.finishing()
        try:
            return await result_of(answer, request, ref, hosts=self._hosts, prices=self._prices)
        except FalHostRefused as exc:
            raise EngineRefused(f"The video is not at fal.ai: {exc}", code="result_host", billed=True) from exc
        except BadAnswer as exc:
            raise EngineRefused(f"fal.ai's answer holds no video: {exc}", code="no_result", billed=True) from exc

    async def _find(self, ref: ProviderRef, reporter: Reporter, watch: Watch) -> str:
        """The id of a request whose answer was lost. Raises EngineRefused (outcome_unknown) when time is up."""
        pause = min(self._timing.find_s, self._timing.outcome_s)
        while not self._is_given_up(ref):
            watch.searching()
            if found := await self._look_for(ref):
                return found
            if (evidence := await reporter.evidence(pause)) and evidence.get("request_id"):
                return str(evidence["request_id"])
            pause = min(pause * 1.5, self._timing.slowest_find_s)
        raise EngineRefused(
            "The connection to fal.ai broke while it took the request, and nothing shows what became of it. "
            "You are not charged.",
            code="outcome_unknown",
        )

    async def _look_for(self, ref: ProviderRef) -> str | None:
        try:
            return await find_request(self._client, ref)
        except _TROUBLE:
            return None

    def _is_given_up(self, ref: ProviderRef) -> bool:
        sent = datetime.fromisoformat(ref["sent"])
        return datetime.now(UTC) - sent > timedelta(seconds=self._timing.outcome_s)

    async def _follow(self, ref: ProviderRef, reporter: Reporter, watch: Watch) -> Answer:
        """Poll until the request is over; its good result. Raises EngineFailed, EngineRefused, EngineSilent."""
        pause, misses, told = self._timing.first_look_s, 0, False
        while True:
            try:
                if (answer := await self._look(ref, watch)) is not None:
                    return answer
                misses = 0
            except _TROUBLE as exc:
                misses += 1
                self._judge_silence(ref, misses, exc)
            told = await self._pause(reporter, pause, told=told)
            pause = min(pause * 1.5, self._timing.slowest_look_s)

    def _judge_silence(self, ref: ProviderRef, misses: int, exc: Exception) -> None:
        if misses < self._timing.unreachable_looks:
            return
        if isinstance(exc, NoResultYet) and exc.may_be_the_result:
            raise failure(exc.answer) from exc
        if isinstance(exc, Forgotten) and self._is_given_up(ref):
            raise EngineRefused("fal.ai has forgotten the request.", code="outcome_unknown") from exc
        raise EngineSilent("fal.ai stopped answering; it is asked again.") from exc

    async def _pause(self, reporter: Reporter, seconds: float, *, told: bool) -> bool:
        """Wait before the next look, and not a moment longer once a webhook has said that it is over."""
        seconds *= random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
        if told:
            await asyncio.sleep(seconds)
            return True
        return bool(await reporter.evidence(seconds))

    async def _look(self, ref: ProviderRef, watch: Watch) -> Answer | None:
        """One look; the result's answer when it is over and good. Raises what `_follow` says, and _TROUBLE."""
        answer = sound(await self._client.status(ref["endpoint"], ref["request_id"]))
        standing = standing_of(answer.json())
        watch.hear(standing)
        if not standing.is_over:
            return None
        result = await self._client.result(ref["endpoint"], ref["request_id"])
        if result.is_good:
            return result
        if is_passing(result, failed=standing.failed):
            raise NoResultYet(result)
        raise failure(result)

    async def _stop(self, endpoint: str, request_id: str) -> bool:
        answer = await self._client.cancel(endpoint, request_id)
        if answer.status == 200:
            return True  # it was in the queue, and is not any more
        if answer.status == 404:
            return False
        if answer.status not in (202, 400):
            raise BadAnswer(f"HTTP {answer.status}")
        while True:
            standing = standing_of(sound(await self._client.status(endpoint, request_id)).json())
            if standing.is_over:
                result = await self._client.result(endpoint, request_id)
                if not result.is_good and is_passing(result, failed=standing.failed):
                    raise NoResultYet(result)
                return not is_charged(result)
            await asyncio.sleep(self._timing.cancel_look_s)


def _request_sent(request: RenderRequest, wanted: Asked) -> dict[str, Any]:
    """What is kept of the request: a link to our storage opens the picture, so its signature is left out."""
    pictures = [field for field in image_fields(request.parameters) if field in wanted.fields]
    fields = wanted.fields | {field: without_query(str(wanted.fields[field])) for field in pictures}
    return {"endpoint": request.endpoint, "input": fields, "expects": wanted.expects}
