"""Where SwarmUI on a rented machine answers, and whether it can render. No person copies an address.

The direct port is asked first (a machine's own secret as Bearer), the portal's list of tunnels next, the log last.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.utils.translation import gettext_noop

from gpu import providers
from gpu.clients.guarded import AddressRefused, GuardError, Policy, guarded_client
from gpu.clients.guarded_addresses import is_public
from gpu.clients.swarmui import SwarmClient
from gpu.clients.swarmui_errors import SwarmError, SwarmRejected, SwarmUnauthorized
from gpu.clients.vastai_errors import VastError
from gpu.clients.vastai_messages import Machine as Record
from gpu.clients.vastai_transport import is_local
from gpu.models import ModelFile
from gpu.services import model_files
from i2v_site.sentences import Sentence

SWARM_PORT, PORTAL_PORT = 7865, 1111
LOOK_TIMEOUT_S = 6.0
PORTAL_MAX_BYTES = 256 * 1024
_TUNNEL = re.compile(r"https://[a-z0-9]+(?:-[a-z0-9]+)+\.trycloudflare\.com(?![\w.-])")
_LOCAL_IN_LOG = re.compile(r"(?<=- )http://127\.0\.0\.1:[0-9]{1,5}")
_LOCAL = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}/?")
# SwarmUI's names for the folders below its model root, and what it must take the models in them for: of another class
# they silently render something else.
SUBTYPES = {
    "diffusion_models": "Stable-Diffusion",
    "Stable-Diffusion": "Stable-Diffusion",
    "Lora": "LoRA",
    "VAE": "VAE",
    "clip": "Clip",
    "text_encoders": "Clip",
}
ARCHITECTURES = {"diffusion_models/Wan": "wan-2_2-image2video-14b"}
NO_ANSWER = Sentence(gettext_noop("SwarmUI does not answer yet (%(error)s)."))
STARTING = Sentence(gettext_noop("SwarmUI starts; its backend: %(states)s."))
LACKING = Sentence(gettext_noop("SwarmUI lacks %(models)s."))


@dataclass(frozen=True, slots=True)
class Place:
    """An address, and the host:port that may be called although it is plain http."""

    url: str
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Needed:
    """A model that SwarmUI has to list; `architecture` as it has to take it for, "" for any."""

    subtype: str
    name: str
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at SwarmUI found. `step`: nothing, starting, loading, models, ready."""

    step: str
    message: str
    features: frozenset[str] = frozenset()  # what it says that it can do besides

    @property
    def is_ready(self) -> bool:
        return self.step == "ready"


def places(record: Record, secret: str, logs: Callable[[], str]) -> Iterator[Place]:
    """Where SwarmUI may answer, best first. The later ones are only asked for when they are wanted."""
    direct = _direct(record, SWARM_PORT)
    if direct:
        yield direct
    portal = _direct(record, PORTAL_PORT)
    tunnel = _tunnel_of_portal(portal, secret) if portal else ""
    if not tunnel:
        tunnel = _tunnel_of_log(logs)
    if tunnel:
        yield _tunnel(tunnel)


def _direct(record: Record, port: int) -> Place | None:
    address = record.address_of(f"{port}/tcp")
    if address is None:
        return None
    # A simulator rents out ports of this computer; the real market rents out public ones.
    if not is_public(address.host) and not _market_is_local():
        return None
    return Place(f"http://{address}", frozenset({str(address)}))


def _tunnel_of_portal(portal: Place, secret: str) -> str:
    """The tunnel to SwarmUI that the machine's portal knows of; "" when it says nothing."""
    policy = Policy(private_hosts=portal.allowed)
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        with guarded_client(policy, total_timeout_s=LOOK_TIMEOUT_S, max_bytes=PORTAL_MAX_BYTES) as http:
            answer = http.get(f"{portal.url}/get-all-quick-tunnels", headers=headers)
            rows = json.loads(answer.content) if answer.status_code == 200 else []
    except (httpx.HTTPError, GuardError, ValueError, RecursionError):
        return ""
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and _is_swarm(row.get("targetUrl")) and _is_tunnel(row.get("tunnelUrl")):
            return str(row["tunnelUrl"]).rstrip("/")
    return ""


def _tunnel_of_log(logs: Callable[[], str]) -> str:
    """The newest tunnel that the log names together with SwarmUI's port."""
    try:
        lines = logs().splitlines()
    except VastError:
        return ""
    for line in reversed(lines):
        found = _TUNNEL.search(line) or (_market_is_local() and _LOCAL_IN_LOG.search(line)) or None
        if found and re.search(rf":{SWARM_PORT}(?!\d)", line):
            return found.group(0)
    return ""


def _is_swarm(target: object) -> bool:
    try:
        return isinstance(target, str) and urlsplit(target).port == SWARM_PORT
    except ValueError:
        return False


def _is_tunnel(address: object) -> bool:
    if not isinstance(address, str):
        return False
    # A simulated market has no name at Cloudflare: its tunnels begin on this computer.
    return bool(_TUNNEL.fullmatch(address.rstrip("/"))) or (_market_is_local() and bool(_LOCAL.fullmatch(address)))


def _tunnel(url: str) -> Place:
    return Place(url, frozenset({urlsplit(url).netloc} if url.startswith("http://") else ()))


def _market_is_local() -> bool:
    return is_local(httpx.URL(settings.VASTAI_URL))


# --- ready ----------------------------------------------------------------------------------------------------------
def needed_models() -> list[Needed]:
    """What every machine has to have: all files that were uploaded for it."""
    files = [one for one in ModelFile.objects.all() if model_files.is_uploaded(one)]
    return [_needed(one.folder.strip("/"), one.name) for one in files]


def _needed(folder: str, name: str) -> Needed:
    root, _, below = folder.partition("/")
    return Needed(
        SUBTYPES.get(root, "Stable-Diffusion"),
        f"{below}/{name}" if below else name,
        ARCHITECTURES.get(folder, ""),
    )


def look(place: Place, secret: str, needed: list[Needed]) -> Look:
    """Whether SwarmUI there can render now: it answers, a backend runs, and it has the models. Never raises for it."""
    try:
        return asyncio.run(_look(place, secret, needed))
    except SwarmUnauthorized:
        return Look("nothing", gettext_noop("SwarmUI's door does not open to the machine's own secret."))
    except (SwarmError, AddressRefused, TimeoutError) as exc:
        return Look("nothing", NO_ANSWER(error=type(exc).__name__))


async def _look(place: Place, secret: str, needed: list[Needed]) -> Look:
    client = providers.machine_swarm(place.url, secret=secret, allowed=place.allowed, timeout_s=LOOK_TIMEOUT_S)
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S * 2):
            session = (await client.new_session()).session_id
            states = [one.status for one in await client.list_backends(session)]
            if "running" not in states:
                said = ", ".join(sorted(set(states))) or gettext_noop("none yet")
                return Look("starting", STARTING(states=said))
            missing = await _missing(client, session, needed)
            features = (await client.status(session)).features
    finally:
        await client.aclose()
    if missing:
        return Look("models", LACKING(models=", ".join(missing))[:300])
    return Look("ready", "SwarmUI answers, its backend runs, and every model is there.", features)


async def _missing(client: SwarmClient, session: str, needed: list[Needed]) -> list[str]:
    words: list[str] = []
    for subtype in sorted({one.subtype for one in needed}):
        listed = set(await client.list_models(session, subtype))
        for one in (each for each in needed if each.subtype == subtype):
            if one.name not in listed and one.name.rpartition(".")[0] not in listed:
                words.append(one.name)
            elif one.architecture and (found := await _architecture(client, session, one)) != one.architecture:
                words.append(f"{one.name} as {one.architecture} (it is taken for {found or 'nothing known'})")
    return words


async def _architecture(client: SwarmClient, session: str, one: Needed) -> str:
    try:
        return await client.architecture_of(session, one.name, one.subtype)
    except SwarmRejected:
        return ""
