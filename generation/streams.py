"""Who may follow which jobs on the live process: short-lived signed tokens."""

from dataclasses import dataclass
from uuid import UUID

from django.core import signing

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


def stream_token(user_id: int, what: str) -> str:
    """A token for one job (its id as text) or ALL_JOBS. Check the ownership before."""
    return signing.TimestampSigner(salt=_SALT).sign(f"{user_id}.{what}")


def read_token(token: str) -> Watch:
    """What the token allows. Raises BadToken."""
    try:
        user_id, _, what = signing.TimestampSigner(salt=_SALT).unsign(token, max_age=TOKEN_SECONDS).partition(".")
    except signing.BadSignature as exc:
        raise BadToken from exc
    return Watch(int(user_id), None if what == ALL_JOBS else UUID(what))
