"""What /ready asks about this app: storage answers, worker and dispatcher beat, the operator's key can
sign, and the checks of content can be loaded."""

from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from generation.models import Heartbeat
from generation.services.checks import trouble
from generation.services.provenance_keys import UnusableKey, identity
from i2v_site import health

# The schedule beats once a minute, and a cluster that hangs must show within minutes.
SILENT_AFTER = timedelta(minutes=3)


def register() -> None:
    health.register("storage", storage)
    health.register("signing", signing)
    health.register("content_checks", trouble)
    health.register("worker", lambda: beating("worker"))
    health.register("dispatcher", lambda: beating("dispatcher"))


def storage() -> str | None:
    default_storage.exists("ready-probe")
    return None


def signing() -> str | None:
    if settings.PROVENANCE and settings.PROVENANCE_KEY:
        try:
            identity()
        except UnusableKey as exc:
            return str(exc)
    return None


def beating(name: str) -> str | None:
    beat = Heartbeat.objects.filter(name=name).first()
    if beat is None:
        return f"The {name} has never reported."
    silent = timezone.now() - beat.beat_at
    if silent > SILENT_AFTER:
        return f"The {name} has been silent for {int(silent.total_seconds())} s."
    return None
