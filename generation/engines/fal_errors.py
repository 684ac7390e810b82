"""What fal.ai's errors mean for the person who waits."""

from generation.engines.base import EngineError, EngineFailed, EngineRefused, EngineUnavailable
from generation.engines.fal_client import Answer
from generation.engines.fal_messages import BadAnswer, decimal_of, read_json, reason_of, types_of

UNITS_HEADER = "x-fal-billable-units"
_NO_CREDIT = ("balance", "locked", "exhausted", "credit")


def refusal(answer: Answer) -> EngineError:
    """The error for a request that fal did not take: nothing was accepted, nothing is owed."""
    reason = reason_of(answer.body)
    if answer.status == 402 or (answer.status == 403 and any(word in reason.lower() for word in _NO_CREDIT)):
        return EngineRefused("The fal.ai account has no credit left. An operator must add some.", code="fal_balance")
    if answer.status in (401, 403):
        return EngineRefused("fal.ai does not accept our key. An operator must look at FAL_KEY.", code="fal_key")
    if answer.status == 429:
        return EngineUnavailable("fal.ai takes no more requests right now.", code="rate_limited")
    if answer.status == 404:
        return EngineRefused("fal.ai does not know this model any more.", code="fal_no_endpoint")
    return _refused(answer, reason)


def failure(answer: Answer) -> EngineError:
    """The error for a request that was taken and came to no video. Server errors are never charged (fal's FAQ)."""
    reason = reason_of(answer.body)
    if answer.status < 500:
        return _refused(answer, reason)
    words = f"fal.ai could not make the video: {reason or f'HTTP {answer.status}'}"
    return EngineFailed(words, code="fal_failed", billed=is_charged(answer))


def units_of(answer: Answer) -> str | None:
    return answer.headers.get(UNITS_HEADER)


def is_charged(answer: Answer) -> bool:
    """Whether an answer says that its request is billed."""
    units = decimal_of(units_of(answer))
    return answer.is_good if units is None else units > 0


class Forgotten(BadAnswer):
    """fal says that it does not know a request that it took."""


def sound(answer: Answer) -> Answer:
    """A status answer that can be read. Raises BadAnswer."""
    if answer.status == 404:
        raise Forgotten("HTTP 404")
    if not answer.is_good:
        raise BadAnswer(f"HTTP {answer.status}")
    return answer


class NoResultYet(BadAnswer):
    """An error in place of the result, which may be about this look and not about the result."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status} instead of the result")
        self.answer = answer

    @property
    def may_be_the_result(self) -> bool:
        """Whether it is written as a request's own failure is."""
        try:
            return self.answer.status >= 500 and "detail" in read_json(self.answer.body)
        except BadAnswer:
            return False


def is_passing(answer: Answer, *, failed: bool) -> bool:
    """Whether an error is about this look at the result, and not the result itself.

    `failed`: the status said that the request has failed; without that a server's error says nothing about it.
    """
    if answer.status in (401, 403, 404, 408, 429):
        return True
    if answer.status == 400 and b"in progress" in answer.body[:1000]:
        return True
    return answer.status >= 500 and not failed


def _refused(answer: Answer, reason: str) -> EngineError:
    code = "content_refused" if "content_policy_violation" in types_of(answer.body) else "fal_refused"
    words = f"fal.ai refused: {reason or f'HTTP {answer.status}'}"
    return EngineRefused(words, code=code, billed=is_charged(answer))
