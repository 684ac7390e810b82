"""From a running container to a machine that renders: its downloads, its address, its readiness, its lease."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Machine as Record
from gpu.models import Instance, InstanceState
from gpu.services import hosts, log_tail, machines, provisioning, readiness, timeline
from gpu.services.identity import secret_of
from i2v_site.crashpoints import crashpoint
from i2v_site.sentences import Sentence

S = InstanceState
GB = 10**9
WORDS = {
    "disk": gettext_noop("Checking the disk"),
    "download": gettext_noop("Downloading"),
    "verify": gettext_noop("Checking the files"),
    "done": gettext_noop("The models are there"),
}
DOWNLOADING = Sentence(gettext_noop("Downloading %(done)s of %(total)s GB"))
DOWNLOADING_AT = Sentence(gettext_noop("Downloading %(done)s of %(total)s GB at %(speed)s MB/s"))
READY = Sentence(gettext_noop("Ready after %(minutes)s minutes; $%(usd)s so far."))
NOT_PREPARED = Sentence(gettext_noop("Preparing it failed: %(error)s"))


def look_after(client: VastClient, row: Instance, record: Record | None, now: datetime) -> None:
    """What can be done for this machine now. Without its record only its own clock counts."""
    if record is None or not record.is_up:
        return
    if row.state == S.PROVISIONING:
        _bring_up(client, row, record, now)
    elif row.state == S.READY:
        _follow(client, row, record)
    if row.state in (S.PROVISIONING, S.READY, S.DRAINING):
        keep_alive(row, record, now)


def _logs(client: VastClient, row: Instance) -> Callable[[], str]:
    """The machine's log, fetched once when it is first wanted."""
    kept: list[str] = []

    def read() -> str:
        if not kept:
            kept.append(client.logs(row.vast_id or 0))
            log_tail.keep(row, kept[0])
        return kept[0]

    return read


def _bring_up(client: VastClient, row: Instance, record: Record, now: datetime) -> None:
    logs = _logs(client, row)
    needed = readiness.needed_models()
    said = gettext_noop("SwarmUI has no address yet.")
    for place in readiness.places(record, secret_of(row), logs):
        look = readiness.look(place, secret_of(row), needed)
        if look.is_ready:
            _ready(row, place.url, look.features, now)
            return
        said = look.message
        if look.step != "nothing":
            break
    _progress(row, logs, said, now)


def _ready(row: Instance, url: str, features: frozenset[str], now: datetime) -> None:
    crashpoint("vast.ready.seen")
    values = {"url": url, "features": sorted(features), "ready_at": now, "idle_since": now}
    with transaction.atomic():
        if not row.move(S.PROVISIONING, to=S.READY, trouble="", step="ready", **values):
            return
        hosts.booted(row, now=now)
        minutes = (now - (row.sent_at or row.created_at)).total_seconds() / 60
        timeline.note(row, "ready", READY(minutes=f"{minutes:.1f}", usd=f"{row.spent_usd:.2f}"), url=url)


def _progress(row: Instance, logs: Callable[[], str], said: str, now: datetime) -> None:
    """What the start script says it does; the machine is given back when it says that it cannot."""
    try:
        progress = provisioning.parse_progress(logs())
    except VastError:
        progress = None
    if progress is None:
        Instance.objects.filter(pk=row.pk, state=S.PROVISIONING).update(trouble=said[:300])
        return
    if progress.error:
        reason = NOT_PREPARED(error=f"{progress.error} {progress.file}".strip())
        hosts.failed(row, reason=reason, now=now)
        machines.to_destroying(row, reason=reason)
        return
    if progress.step and progress.step != row.step:
        timeline.note(row, "progress", words(progress.step, progress.bytes_done, progress.bytes_total, progress.mbps))
    values = {
        "step": progress.step[:40],
        "bytes_done": max(row.bytes_done, progress.bytes_done or 0),
        "bytes_total": progress.bytes_total or 0,
        "download_mbps": progress.mbps,
        "trouble": said[:300],
    }
    Instance.objects.filter(pk=row.pk, state=S.PROVISIONING).update(**values)


def words(step: str, done: int, total: int, mbps: float | None) -> str:
    """Downloading 14.2 of 26.2 GB at 210 MB/s"""
    if step != "download" or not total:
        return WORDS.get(step, step.capitalize())
    parts = {"done": f"{done / GB:.1f}", "total": f"{total / GB:.1f}"}
    return DOWNLOADING_AT(**parts, speed=f"{mbps / 8:.0f}") if mbps else DOWNLOADING(**parts)


def _follow(client: VastClient, row: Instance, record: Record) -> None:
    """SwarmUI's address may change: another port after a restart, another tunnel after a drop."""
    for place in readiness.places(record, secret_of(row), _logs(client, row)):
        if place.url == row.url:
            return
        if readiness.look(place, secret_of(row), []).is_ready:
            if Instance.objects.filter(pk=row.pk, state=S.READY).update(url=place.url):
                timeline.note(row, "moved", gettext_noop("SwarmUI answers at another address now."), url=place.url)
            return


def keep_alive(row: Instance, record: Record, now: datetime) -> None:
    """Tell the machine's dead-man switch that we are there; it gives the machine back when it hears nothing."""
    until = now + timedelta(seconds=settings.SILENCE_LEASE_SECONDS)
    wall = min(one for one in (until, row.lease_until, row.max_until) if one)
    address = record.address_of(f"{provisioning.SWITCH_PORT}/tcp")
    if address is not None:
        renewal = provisioning.renew_lease(row, str(address), until=wall.timestamp())
        if renewal.error == "refused":
            timeline.note_once(row, "trouble", gettext_noop("Its dead-man switch does not know our signature."))
