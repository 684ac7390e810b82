"""What can go wrong with vast.ai. Messages are short and hold no key, query or log."""

import datetime
import math

from gpu.clients.vastai_answer import Answer


class VastError(Exception):
    """Any trouble with vast.ai. The message is short and holds no key."""


class VastUnavailable(VastError):
    """No usable answer; the same call may work later."""


class NotSent(VastUnavailable):
    """No connection was made: vast.ai has not heard of the call."""


class VastRateLimited(VastUnavailable):
    """Too many calls; vast.ai did nothing. `retry_after_s` is what it asked us to wait, when it said so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SearchQuota(VastError):
    """The day's searches are used up; searching again before `reset_at` only burns more of them."""

    def __init__(self, message: str, reset_at: datetime.datetime | None) -> None:
        super().__init__(message)
        self.reset_at = reset_at


class VastUnauthorized(VastError):
    """vast.ai does not know the key."""


class TwoFactorKey(VastUnauthorized):
    """The account wants a second factor for this call; only another key or account helps."""


class PermissionMissing(VastUnauthorized):
    """The key is known and may not do this."""


class VastRejected(VastError):
    """vast.ai understood and refused; the same call will fail again. `code` is its word, "" when it gave none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NotFound(VastRejected):
    """vast.ai says that there is no such thing. For an instance: it is gone, or never was."""


class VastProtocolError(VastError):
    """An answer that vast.ai does not give; nothing follows from it."""


NOT_FOUND_CODES = ("no_such_instance", "not_found")
_BAD_KEY_WORDS = ("invalid user key", "invalid api key", "requires login")
_SECOND_FACTOR_WORDS = ("two factor", "two-factor", "2fa", "tfa")


def refusal(route: str, answer: Answer) -> VastError:
    """The error for an answer that is not a success: another status than 200, or `success: false`."""
    status, summary = answer.status, f"{route}: HTTP {answer.status} {answer.said}".rstrip()
    if status == 429:
        return _too_many(summary, answer)
    if status in (401, 403, 404) and (bad_key := _key_trouble(summary, answer)):
        return bad_key
    if status >= 500 or status in (408, 425):
        return VastUnavailable(summary)
    if answer.code in NOT_FOUND_CODES or (status == 404 and (answer.data is not None or not answer.content)):
        return NotFound(summary, answer.code)
    if status == 404 or 300 <= status < 400:
        # A page instead of JSON comes from something that stands between us and vast.ai.
        return VastProtocolError(summary)
    return VastRejected(summary, answer.code)


def _key_trouble(summary: str, answer: Answer) -> VastUnauthorized | None:
    text = answer.said.casefold()
    if any(word in text for word in _SECOND_FACTOR_WORDS):
        return TwoFactorKey(summary)
    # Some endpoints answer 404 for an unknown key: that must not look like a machine that is gone.
    if answer.status == 401 or any(word in text for word in _BAD_KEY_WORDS):
        return VastUnauthorized(summary)
    if answer.status == 403:
        return PermissionMissing(summary)
    return VastUnauthorized(summary) if answer.code == "auth_error" else None


def _too_many(summary: str, answer: Answer) -> VastError:
    if answer.code == "search_quota_exceeded":
        return SearchQuota(summary, _epoch(answer.headers.get("x-ratelimit-reset", "")))
    return VastRateLimited(summary, answer.retry_after_s)


def _epoch(text: str) -> datetime.datetime | None:
    try:
        seconds = float(text)
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if math.isfinite(seconds) else None
    except (ValueError, OverflowError, OSError):
        return None
