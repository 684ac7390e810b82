"""Where SwarmUI is, whether it answers, and the one row that says so."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu.clients.guarded import AddressRefused, Policy, check_syntax, check_url
from gpu.clients.swarmui import SwarmClient
from gpu.clients.swarmui_errors import (
    SwarmError,
    SwarmProtocolError,
    SwarmRejected,
    SwarmSessionLost,
    SwarmUnauthorized,
)
from gpu.clients.swarmui_messages import Session
from gpu.errors import BadAddress, BadProvider
from gpu.models import GpuConfig, GpuProvider, Instance, InstanceState
from gpu.services.availability import LiveLook
from gpu.services.identity import secret_of

PROBE_TIMEOUT_S = 8.0
LOOK_TIMEOUT_S = 2.0
LOOK_FRESH_S = 5.0

# What people are told about a server that does not do: never its own words.
REFUSED = gettext_noop("This address may not be called. Use a public https address, or ask the operator to allow it.")
NO_ANSWER = gettext_noop("Nothing answered at this address in time.")
NOT_ADMITTED = gettext_noop("The server wants other credentials. The operator sets them in SWARMUI_AUTHORIZATION.")
NOT_SWARMUI = gettext_noop("Something answered, but it is not SwarmUI.")
REJECTED = gettext_noop("SwarmUI answered and refused: the account it gave us lacks permissions.")
_PROBE_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (AddressRefused, REFUSED),
    (SwarmUnauthorized, NOT_ADMITTED),
    (SwarmProtocolError, NOT_SWARMUI),
    (SwarmRejected, REJECTED),
    (Exception, NO_ANSWER),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A SwarmUI server that may be given work; `seats` is how many renders it holds at once."""

    url: str
    authorization: str = field(repr=False)
    seats: int
    allowed: frozenset[str] = frozenset()  # its host:port when it may be called although it is private or plain http


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at a server found. `error` is one of five fixed texts, empty when `ok`."""

    ok: bool
    latency_ms: int | None = None
    version: str = ""
    backends: list[dict[str, str]] = field(default_factory=list)  # title, type, status
    models: list[str] = field(default_factory=list)
    error: str = ""


def load() -> GpuConfig:
    """The one row, made when it is missing."""
    return GpuConfig.objects.get_or_create(pk=1)[0]


def save_config(
    *, swarmui_url: str | None = None, gpu_provider: str | None = None, actor: User | None = None
) -> GpuConfig:
    """Change what is given, with a line in the audit log when `actor` is given. An empty address: no GPU.

    Raises BadAddress, BadProvider.
    """
    wanted: dict[str, str] = {}
    if swarmui_url is not None:
        wanted["swarmui_url"] = checked_address(swarmui_url)
    if gpu_provider is not None:
        if gpu_provider not in GpuProvider.values:
            raise BadProvider(
                _("Choose one of: %(values)s.") % {"values": ", ".join(GpuProvider.values)}, field="gpu_provider"
            )
        wanted["gpu_provider"] = gpu_provider
    load()
    with transaction.atomic():
        row = GpuConfig.objects.select_for_update().get(pk=1)
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        for name, value in changed.items():
            setattr(row, name, value)
        if changed:
            row.save(update_fields=[*changed, "updated_at"])
            if actor is not None:
                _audit(row, actor, changed)
    return row


def checked_address(url: str) -> str:
    """A SwarmUI address as it is kept: scheme, host and port. Looks the name up, so it may block. Raises BadAddress."""
    address = _plain_address(url)
    try:
        if address:
            check_url(address, _policy())
    except AddressRefused as exc:
        raise BadAddress(exc.message, field="swarmui_url") from exc
    return address


def _plain_address(url: str) -> str:
    url = url.strip().rstrip("/")
    if not url:
        return ""
    try:
        parsed = check_syntax(url, _policy())
    except AddressRefused as exc:
        raise BadAddress(exc.message, field="swarmui_url") from exc
    if parsed.path not in ("", "/"):
        raise BadAddress(_("Give only the address: https://host:port, without a path."), field="swarmui_url")
    return str(parsed).rstrip("/")


def endpoints() -> list[Endpoint]:
    """The servers that may be given work: the configured one, else the rented machines that are ready."""
    url = GpuConfig.objects.filter(pk=1).values_list("swarmui_url", flat=True).first()
    if url:
        return [_configured(url)]
    ready = Instance.objects.rented().filter(state=InstanceState.READY).order_by("created_at")
    return [_rented(instance) for instance in ready]


def endpoint_of(url: str) -> Endpoint:
    """How to call a server that was given work earlier; it need not be given more."""
    alive = Instance.objects.rented().alive().filter(url=url).first()
    return _rented(alive) if alive else _configured(url)


def _configured(url: str) -> Endpoint:
    allowed = frozenset(settings.SWARMUI_PRIVATE_HOSTS)
    return Endpoint(url, settings.SWARMUI_AUTHORIZATION, settings.SWARMUI_SEATS, allowed)


def _rented(instance: Instance) -> Endpoint:
    # vast.ai's direct ports speak plain http; exactly this one is allowed, because vast.ai named it as our machine's.
    parts = urlsplit(instance.url)
    allowed = frozenset({parts.netloc} if parts.scheme == "http" else ())
    return Endpoint(instance.url, f"Bearer {secret_of(instance)}", settings.SWARMUI_SEATS, allowed)


def lock_seats() -> None:
    """Hold the row until the transaction ends, so that seats are counted and taken by one dispatcher at a time."""
    load()
    GpuConfig.objects.select_for_update().get(pk=1)


def swarmui_available() -> bool:
    """Whether a server that may be given work answers: a live look of at most 2 seconds each, remembered for 5."""
    found = endpoints()
    _asked.update({one.url: one for one in found})
    return any(_live.answer(one.url) for one in found)


def features_of(url: str) -> frozenset[str] | None:
    """What the server typed in by hand says that it can do besides rendering; None when it does not answer now."""
    _asked[url] = _configured(url)
    return _features.get(url) if _live.answer(url) else None


def probe(url: str) -> Probe:
    """Look at a server, configured or not, for at most 8 seconds. Never raises for a bad one."""
    try:
        address = _plain_address(url)
    except BadAddress:
        address = ""
    if not address:
        return Probe(ok=False, error=REFUSED)
    try:
        return asyncio.run(_probe(address))
    except (SwarmError, AddressRefused, TimeoutError) as exc:
        return Probe(ok=False, error=_probe_error(exc))


def _probe_error(exc: Exception) -> str:
    if isinstance(exc, AddressRefused) and exc.code == "unknown_host":
        return NO_ANSWER
    return next(text for kind, text in _PROBE_ERRORS if isinstance(exc, kind))


async def _probe(url: str) -> Probe:
    client = _client(url, PROBE_TIMEOUT_S)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            started = time.perf_counter()
            session = await client.new_session()
            latency_ms = round((time.perf_counter() - started) * 1000)
            return await _describe(client, session, latency_ms)
    finally:
        await client.aclose()


async def _describe(client: SwarmClient, session: Session, latency_ms: int) -> Probe:
    await client.status(session.session_id)
    backends: list[dict[str, str]] = []
    try:
        found = await client.list_backends(session.session_id)
        backends = [{"title": one.title, "type": one.type, "status": one.status} for one in found]
    except SwarmRejected:
        pass  # listing backends needs more rights than rendering
    models = await client.list_models(session.session_id)
    return Probe(True, latency_ms, session.version, backends, sorted(models)[:1000])


_sessions: dict[str, str] = {}
_features: dict[str, frozenset[str]] = {}  # as told at the last look
_asked: dict[str, Endpoint] = {}  # the looks run in threads that must not read the database


def _answers(url: str) -> bool:
    """In a thread of its own; touches no database."""
    try:
        asyncio.run(_ask(url))
    except (SwarmError, AddressRefused):
        return False
    return True


async def _ask(url: str) -> None:
    # SwarmUI keeps every session for a month, so a look every few seconds must not make new ones.
    server = _asked.get(url) or _configured(url)
    client = SwarmClient(
        url, authorization=server.authorization, allow_private=server.allowed, call_timeout_s=LOOK_TIMEOUT_S
    )
    try:
        if url not in _sessions:
            _sessions[url] = (await client.new_session()).session_id
        _features[url] = (await client.status(_sessions[url])).features
    except SwarmSessionLost:
        _sessions[url] = (await client.new_session()).session_id
    finally:
        await client.aclose()


_live = LiveLook(_answers, wait_s=LOOK_TIMEOUT_S, fresh_s=LOOK_FRESH_S)


def _policy() -> Policy:
    return Policy(private_hosts=frozenset(settings.SWARMUI_PRIVATE_HOSTS))


def _client(url: str, timeout_s: float) -> SwarmClient:
    return SwarmClient(
        url,
        authorization=settings.SWARMUI_AUTHORIZATION,
        allow_private=frozenset(settings.SWARMUI_PRIVATE_HOSTS),
        call_timeout_s=timeout_s,
    )


def _audit(row: GpuConfig, actor: User, changed: dict[str, Any]) -> None:
    LogEntry.objects.create(
        user=actor,
        content_type=ContentType.objects.get_for_model(GpuConfig),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=CHANGE,
        change_message=", ".join(f"{name} = {value or 'none'}" for name, value in changed.items()),
    )
