"""What can go wrong with SwarmUI. Messages are short and hold no key, session or picture."""

import httpx

from gpu.clients.guarded import AddressRefused, AnswerRefused, GuardError


class SwarmError(Exception):
    """Any trouble with SwarmUI. The message is short and holds no key, session or picture."""


class SwarmUnavailable(SwarmError):
    """No usable answer; the same call may work later."""


class SwarmUnauthorized(SwarmError):
    """The server, or a proxy in front of it, wants other credentials."""


class SwarmRejected(SwarmError):
    """SwarmUI understood and refused. The message is SwarmUI's text, shortened."""


class SwarmSessionLost(SwarmError):
    """SwarmUI does not know the session; a new one will do."""


class SwarmProtocolError(SwarmError):
    """An answer that SwarmUI does not give."""


class SwarmStreamBroken(SwarmError):
    """The socket ended before the story did. The render may go on at the server."""


class SwarmResultRefused(SwarmError):
    """A result that we do not fetch or stop fetching. `code`: path, data_url, missing, type, too_large, truncated."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(route: str, status: int) -> SwarmError:
    """The error for an HTTP status that SwarmUI itself does not give, or gives without a reason."""
    if status in (401, 403, 407):
        return SwarmUnauthorized(f"{route}: HTTP {status}")
    if status >= 500 or status in (408, 425, 429):
        return SwarmUnavailable(f"{route}: HTTP {status}")
    return SwarmProtocolError(f"{route}: HTTP {status}")


def trouble(route: str, exc: httpx.HTTPError | GuardError) -> Exception:
    """The error for a call that got no answer. AddressRefused stays what it is."""
    if isinstance(exc, AddressRefused):
        return exc
    if isinstance(exc, AnswerRefused):
        return SwarmProtocolError(f"{route}: {exc.message}")
    return SwarmUnavailable(f"{route}: {type(exc).__name__}")
