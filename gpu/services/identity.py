"""What belongs to one machine and to no other: its label at vast.ai and the secrets derived from that."""

import hashlib
import hmac
import re
import uuid

from django.conf import settings

from gpu.models import Instance


def label_of(pk: uuid.UUID) -> str:
    """How vast.ai names the machine back to us."""
    return f"i2v/{settings.DEPLOYMENT}/{pk}"


def deployment_in(label: str) -> str | None:
    """The installation that a label belongs to; None for a machine that is none of ours."""
    found = re.fullmatch(r"i2v/([A-Za-z0-9-]+)/.+", label)
    return found.group(1) if found else None


def secret_of(instance: Instance) -> str:
    """What opens this machine and no other: its WEB_PASSWORD, and the Bearer towards it. Never stored."""
    return _derived("machine", instance.label)


def lease_key_of(instance: Instance) -> str:
    """What signs the words that keep this machine's dead-man switch from firing. Never stored."""
    return _derived("lease", instance.label)


def _derived(purpose: str, label: str) -> str:
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, f"gpu.{purpose}:{label}".encode(), hashlib.sha256).hexdigest()
