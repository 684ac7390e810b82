"""`Idempotency-Key`: a repeated request gets the first answer, and never a second job."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, OperationalError, connection, transaction
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from generation.api.base import UserRequest
from generation.errors import IdempotencyInProgress, IdempotencyMismatch
from generation.models import IdempotencyKey

Made = TypeVar("Made")

HEADER = "Idempotency-Key"
# How long a second request waits for the first one's transaction (milliseconds long) before it is told so.
LOCK_WAIT_MS = 3000
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's SQLSTATE for a passed lock_timeout


@dataclass(frozen=True, slots=True)
class Key:
    """A request that may be repeated: its key, and what it asks for."""

    owner: User
    text: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer about a job, as it was given first; about a batch, `job_id` is None."""

    job_id: Any
    status: int
    body: dict[str, Any]
    replayed: bool = False


def key_of(request: UserRequest) -> Key | None:
    """The request's key, or None without the header. Raises ValidationError for an unusable one."""
    text = request.headers.get(HEADER)
    if text is None:
        return None
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise ValidationError({HEADER: _("The key must be 1 to 255 printable ASCII characters.")})
    return Key(owner=request.user, text=text, request_sha256=_hash(request))


def recall(key: Key) -> Answer | None:
    """The first answer under this key, None when there is none. Raises IdempotencyMismatch for another request."""
    row = IdempotencyKey.objects.filter(owner=key.owner, key=key.text).first()
    if row is None:
        return None
    if row.created_at < timezone.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS):
        row.delete()
        return None
    if row.request_sha256 != key.request_sha256:
        raise IdempotencyMismatch(_("This Idempotency-Key was used for a different request."), field=HEADER)
    return Answer(row.job_id, row.status_code or 200, row.answer or {}, replayed=True)


def once(key: Key, submit: Callable[[], Made], describe: Callable[[Made], Answer]) -> Answer:
    """Submit and remember the answer in one transaction; of two at once, one submits and the other recalls."""
    try:
        with transaction.atomic():
            _limit_lock_wait()
            answer = describe(submit())
            IdempotencyKey.objects.create(
                owner=key.owner,
                key=key.text,
                request_sha256=key.request_sha256,
                job_id=answer.job_id,
                status_code=answer.status,
                answer=answer.body,
            )
    except IntegrityError:
        first = recall(key)
        if first is None:
            raise
        return first
    except OperationalError as exc:
        if getattr(exc.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise IdempotencyInProgress(_("The first request with this key is still being answered. Ask again.")) from exc
    return answer


def _limit_lock_wait() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'")


def _hash(request: UserRequest) -> str:
    """Of the call and its body's meaning: the order of JSON fields and a form's boundary do not matter."""
    digest = hashlib.sha256(request.path.encode())
    fields: Mapping[str, Any] = request.data if isinstance(request.data, Mapping | QueryDict) else {}
    for name in sorted(fields):
        value = fields[name]
        digest.update(json.dumps([name, _file_hash(value) if isinstance(value, UploadedFile) else value]).encode())
    return digest.hexdigest()


def _file_hash(file: "UploadedFile[Any]") -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
