"""The last lines of a machine's log as staff may read them."""

import re

from gpu.models import Instance
from gpu.services.identity import lease_key_of, secret_of

LINES = 60
MAX_CHARS = 8000
# Links with a signature, and what is called a credential, whoever wrote it into the log.
_QUERIES = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']+")
_SECRETS = re.compile(r"(?i)((?:token|bearer|basic|password|secret|api_key)[\"']?\s*[=: ]\s*[\"']?)[^\s\"'&,}]{6,}")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def keep(instance: Instance, log: str) -> None:
    """Store the end of `log` with the machine, without secrets and control characters."""
    Instance.objects.filter(pk=instance.pk).update(
        log_tail=readable(log, (secret_of(instance), lease_key_of(instance)))
    )


def readable(log: str, secrets: tuple[str, ...] = ()) -> str:
    # A progress bar writes one line over and over; its last state is the one that counts.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in log.split("\n")]
    text = "\n".join(lines[-LINES:])
    for secret in secrets:
        text = text.replace(secret, "…")
    text = _SECRETS.sub(r"\1…", _QUERIES.sub(r"\1?…", _CONTROL.sub("", text)))
    return text.encode("utf-8", "replace").decode()[-MAX_CHARS:].strip()
