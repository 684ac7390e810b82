"""The files that SwarmUI needs on a machine: which they are, whether they lie in our bucket, and links to them."""

import re
from collections.abc import Iterable
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils import timezone

from gpu.errors import BadModelFile, ModelsNotUploaded, StorageSignsNoLinks
from gpu.models import ModelFile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FOLDER = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)*")
PREFIX = "models"


def needed(slugs: Iterable[str]) -> list[ModelFile]:
    """The files that machines for these catalogue rows need, uploaded or not, largest first."""
    wanted = set(slugs)
    # JSON containment is not the same on every database, and there are a few dozen rows.
    rows = [one for one in ModelFile.objects.all() if not one.needed_by or wanted & set(one.needed_by)]
    return sorted(rows, key=lambda one: (-one.size_bytes, one.name))


def missing(slugs: Iterable[str]) -> list[ModelFile]:
    """Those of them that are not in the bucket yet."""
    return [one for one in needed(slugs) if not is_uploaded(one)]


def is_uploaded(file: ModelFile) -> bool:
    return bool(file.uploaded_at and file.size_bytes and len(file.sha256) == 64)


def link(file: ModelFile, *, seconds: int) -> str:
    """An address that gives this file to whoever holds it, for reading, for so long. Never log or store it.

    Raises ModelsNotUploaded, StorageSignsNoLinks.
    """
    if not is_uploaded(file):
        raise ModelsNotUploaded(f"{file.name} is not in the bucket yet. Run scripts/upload_models_to_r2.py.")
    client, bucket = bucket_client()
    parameters = {"Bucket": bucket, "Key": file.r2_key}
    address: str = client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
    return address


def bucket_client() -> tuple[Any, str]:
    """The S3 client and the bucket of the default storage. Raises StorageSignsNoLinks when files are kept locally."""
    storage: Any = default_storage
    if not hasattr(storage, "bucket_name"):
        raise StorageSignsNoLinks("Machines fetch their models from a bucket: set S3_BUCKET and what belongs to it.")
    return storage.connection.meta.client, storage.bucket_name


def find(name: str) -> ModelFile | None:
    return ModelFile.objects.filter(name=name).first()


def known_files() -> list[ModelFile]:
    return list(ModelFile.objects.all())


def planned(*, name: str, folder: str, needed_by: list[str] | None = None) -> ModelFile:
    """The row for a file, an unsaved one when there is none yet. Raises BadModelFile for an odd name or folder."""
    if not _NAME.fullmatch(name) or not _FOLDER.fullmatch(folder) or ".." in folder:
        raise BadModelFile(f"{folder}/{name}: use letters, digits, dots, hyphens and underscores.")
    row = find(name) or ModelFile(name=name, folder=folder, r2_key=f"{PREFIX}/{folder}/{name}")
    if needed_by is not None:
        row.needed_by = needed_by
    if ModelFile.objects.filter(~Q(name=name), r2_key=row.r2_key).exists():
        raise BadModelFile(f"{row.r2_key} belongs to another file.")
    return row


def register(row: ModelFile, *, size_bytes: int, sha256: str) -> ModelFile:
    """Write down that the file lies in the bucket as it is."""
    same = is_uploaded(row) and (row.size_bytes, row.sha256) == (size_bytes, sha256)
    row.size_bytes, row.sha256 = size_bytes, sha256
    if not same:
        row.uploaded_at = timezone.now()
    row.save()
    return row
