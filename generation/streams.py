"""Who may follow which jobs on the live process: short-lived signed tokens."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.utils.translation import get_language

ALL_JOBS = "all"
TOKEN_SECONDS = 300
_SALT = "generation.streams"


class BadToken(Exception):
    """Not ours, changed, or older than TOKEN_SECONDS."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a token allows: one job, or (None) all the person's unfinished jobs."""

    user_id: int
    job_id: UUID | None
    language: str = "en"


def stream_token(user_id: int, what: str, language: str = "") -> str:
    """A token for one job (its id as text) or ALL_JOBS, told in `language` (left out: the active one).

    Check the ownership before.
    """
    spoken = language or get_language() or settings.LANGUAGE_CODE
    return signing.TimestampSigner(salt=_SALT).sign(f"{user_id}.{what}.{spoken}")


def read_token(token: str) -> Watch:
    """What the token allows. Raises BadToken."""
    try:
        text = signing.TimestampSigner(salt=_SALT).unsign(token, max_age=TOKEN_SECONDS)
    except signing.BadSignature as exc:
        raise BadToken from exc
    user_id, what, language = text.split(".")
    return Watch(int(user_id), None if what == ALL_JOBS else UUID(what), language)
