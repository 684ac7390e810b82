"""Everything about one person as a ZIP that is written while it is sent: JSON tables, and all their files.

No secret is in it: no password, no token, no webhook's secret, no second factor. Only a row, or a piece of one file, is
in memory at a time.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from axes.models import AccessAttempt, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet
from zipstream import ZIP_STORED, ZipStream

from generation.models import (
    ApiToken,
    Attempt,
    Batch,
    Clip,
    ClipPart,
    Delivery,
    Erasure,
    IdempotencyKey,
    Notice,
    Preferences,
    Preset,
    Report,
    ShareLink,
    SourceImage,
    Tag,
    VideoJob,
    WebhookEndpoint,
)
from generation.services.stored_files import read_in_pieces
from gpu.services import personal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one model that belong to a person, as one JSON file."""

    name: str
    model: type[Model]
    whose: Callable[[User], Q]
    without: tuple[str, ...] = ()  # columns that are secrets, or say nothing to anybody

    def rows(self, person: User) -> "QuerySet[Any]":
        manager: Any = self.model._default_manager  # noqa: SLF001 (documented, whatever its name)
        rows: QuerySet[Any] = manager.filter(self.whose(person)).order_by("pk")
        return rows


def _by(field: str) -> Callable[[User], Q]:
    return lambda person: Q(**{field: person})


def _by_name(person: User) -> Q:
    return Q(username__in=[name for name in (person.username.lower(), person.email.lower()) if name])


TABLES = (
    Table("account", User, lambda person: Q(pk=person.pk), ("password",)),
    Table("email_addresses", EmailAddress, _by("user")),
    Table("second_factors", Authenticator, _by("user"), ("data",)),
    Table("sign_ins", AccessLog, _by_name, ("session_hash",)),
    Table("failed_sign_ins", AccessAttempt, _by_name, ("get_data", "post_data")),
    Table("preferences", Preferences, _by("person")),
    Table("tokens", ApiToken, _by("user"), ("digest", "token_key")),
    Table("pictures", SourceImage, _by("owner")),
    Table("videos", VideoJob, _by("owner"), ("lease_owner", "lease_token", "lease_until")),
    Table("attempts", Attempt, _by("job__owner"), ("nonce", "endpoint")),
    Table("batches", Batch, _by("owner")),
    Table("tags", Tag, _by("owner")),
    Table("clips", Clip, _by("owner"), ("lease_token", "lease_until")),
    Table("clip_parts", ClipPart, _by("clip__owner")),
    Table("presets", Preset, _by("owner")),
    Table("share_links", ShareLink, _by("owner")),
    Table("webhooks", WebhookEndpoint, _by("owner"), ("secret", "old_secret")),
    Table("notices", Notice, _by("owner")),
    Table("deliveries", Delivery, _by("notice__owner")),
    Table("answers_to_repeated_requests", IdempotencyKey, _by("owner")),
    Table("reports_about_my_videos", Report, _by("job__owner"), ("email", "note", "text", "decided_by")),
    Table("reports_that_i_decided", Report, _by("decided_by"), ("email",)),
    Table("erasures", Erasure, _by("person")),
    Table("what_i_did_in_the_admin", LogEntry, _by("user")),
    *(Table(name, model, _by(column)) for name, model, column in personal.TABLES),
)


def pieces(person: User) -> Iterator[bytes]:
    """The ZIP's bytes."""
    archive, missing = ZipStream(compress_type=ZIP_STORED), list[str]()
    for table in TABLES:
        archive.add(_as_json(table, person), f"{table.name}.json")
        yield from archive.file()
    for name, key in _files(person):
        archive.add(_file(key, name, missing), name)
        yield from archive.file()
    archive.add(("\n".join(missing) + "\n").encode() if missing else b"None.\n", "files-that-are-missing.txt")
    yield from archive.finalize()


def _as_json(table: Table, person: User) -> Iterator[bytes]:
    yield b"["
    before = b"\n"
    for row in table.rows(person).iterator(chunk_size=200):
        yield before + json.dumps(_values(row, table.without), cls=DjangoJSONEncoder, ensure_ascii=False).encode()
        before = b",\n"
    yield b"\n]\n"


def _values(row: Model, without: tuple[str, ...]) -> dict[str, Any]:
    fields = row._meta.concrete_fields  # noqa: SLF001 (documented, whatever its name)
    values = {field.attname: getattr(row, field.attname) for field in fields if field.attname not in without}
    if isinstance(row, VideoJob):
        values["tags"] = [tag.name for tag in row.tags.all()]
    return {name: value for name, value in values.items() if not isinstance(value, bytes | memoryview)}


def _files(person: User) -> Iterator[tuple[str, str]]:
    """Name in the ZIP and key of every file; what is hidden is not handed out."""
    for image in SourceImage.objects.filter(owner=person, hidden_at=None).order_by("pk").iterator(chunk_size=200):
        yield f"pictures/{image.pk}{_ending(image.key)}", image.key
    jobs = VideoJob.objects.filter(owner=person, hidden_at=None).exclude(video_key="").order_by("pk")
    for job in jobs.iterator(chunk_size=200):
        yield f"videos/{job.pk}{_ending(job.video_key)}", job.video_key
    clips = Clip.objects.filter(owner=person, hidden_at=None).exclude(key="").order_by("pk")
    for clip in clips.iterator(chunk_size=200):
        yield f"clips/{clip.pk}{_ending(clip.key)}", clip.key


def _ending(key: str) -> str:
    return key[key.rfind(".") :]


def _file(key: str, name: str, missing: list[str]) -> Iterator[bytes]:
    try:
        with read_in_pieces(key) as found:
            yield from found
    except Exception as exc:  # boto3 has no common root for "storage trouble", and the rest is still wanted
        log.warning("%s is not whole in an export (%s)", key, type(exc).__name__)
        missing.append(name)


def write(person: User, out: Callable[[bytes], Any]) -> None:
    """The ZIP piece by piece into `out`."""
    for piece in pieces(person):
        out(piece)
