"""What is started on a rented machine, what it tells us of its progress, and how its lease is renewed."""

import base64
import gzip
import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from gpu.clients.guarded_addresses import is_public
from gpu.clients.machine_switch import SwitchClient, SwitchError, SwitchRejected
from gpu.clients.vastai_transport import is_local
from gpu.models import Instance, ModelFile
from gpu.services import config, model_files
from gpu.services.identity import lease_key_of, secret_of

# The public SwarmUI template of vast.ai, used when the configuration names neither template nor image. Some accounts
# may not use it: then name an image, ours (docker/Dockerfile.swarmui) or vast.ai's own, vastai/swarmui:0.9.8-Beta.
DEFAULT_TEMPLATE = "8e5e6ab1fceb9db3f813e815907b3390"
PORTAL_PORT, SWARMUI_PORT, SWITCH_PORT = 1111, 7865, 7870
# What SwarmUI, ComfyUI and the videos of a machine's life take beside the models.
WORK_GB = 30
MAX_ENV_CHARS, MAX_ENV_KEY_CHARS, MAX_ONSTART_CHARS = 32768, 256, 4096
_MACHINE = Path(__file__).resolve().parent.parent / "machine"
# entrypoint.sh is what vast.ai's images start with; the ssh runtype puts its own in front, so it is for us to call.
ONSTART = """i2v=${I2V_DIR:-/var/lib/i2v}
mkdir -p "$i2v" && chmod 700 "$i2v"
printf %s "$I2V_START" | base64 -d | gzip -d >"$i2v/start.sh"
bash "$i2v/start.sh" boot
PATH="$PATH:/opt/instance-tools/bin"
exec entrypoint.sh
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """What to ask vast.ai for. Exactly one of `image` and `template_hash` is set."""

    env: dict[str, str] = field(repr=False)
    onstart: str
    image: str
    template_hash: str
    disk_gb: int
    runtype: str = "ssh_direct"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a machine's start script is. `step`: "" (nothing heard), disk, download, verify, failed or done.

    `mbps` is megabits per second, for the whole machine. `error` is a code of gpu/machine/start.sh, `file` what it is
    about.
    """

    step: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    mbps: float | None = None
    error: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of renewing a machine's lease; `error` is empty when `ok`.

    Else it is `unreachable`; `refused`: another machine, or one with another key, answers there; `bad_address`;
    `over`: the time asked for has passed.
    """

    ok: bool
    remaining_s: float = 0.0
    age_s: float = 0.0
    progress: Progress | None = None
    error: str = ""


def onstart(instance: Instance, *, files: Iterable[ModelFile], deployment: str) -> MachineSpec:
    """Everything that goes to the machine: no key of ours but its own two, and links to `files` that soon end.

    Raises ModelsNotUploaded for a file that is not in the bucket, StorageSignsNoLinks where files are kept locally.
    """
    files = sorted(files, key=lambda one: -one.size_bytes)
    policy = config.load()
    image = "" if policy.template_hash else policy.image
    needed_gb = math.ceil(sum(one.size_bytes for one in files) / 1e9) + WORK_GB
    return MachineSpec(
        env=_checked(_portal(instance) | _ours(instance, files, deployment)),
        onstart=ONSTART,
        image=image,
        template_hash="" if image else policy.template_hash or DEFAULT_TEMPLATE,
        disk_gb=max(policy.disk_gb, needed_gb),
    )


def _portal(instance: Instance) -> dict[str, str]:
    """What vast.ai's images understand: a gate with our password in front of SwarmUI (reference 7.2, 7.4)."""
    return {
        **{f"-p {port}:{port}": "1" for port in (PORTAL_PORT, SWARMUI_PORT, SWITCH_PORT)},
        "OPEN_BUTTON_PORT": str(PORTAL_PORT),
        "OPEN_BUTTON_TOKEN": "1",
        "WEB_PASSWORD": secret_of(instance),
        # Said outright, because templates have it on: nobody vouches for the certificate of a machine's number.
        "ENABLE_HTTPS": "false",
        # SwarmUI is started only when an entry names it.
        "PORTAL_CONFIG": f"localhost:{PORTAL_PORT}:11111:/:Instance Portal|localhost:{SWARMUI_PORT}:17865:/:SwarmUI",
    }


def _ours(instance: Instance, files: list[ModelFile], deployment: str) -> dict[str, str]:
    lines = "".join(_line(one) for one in files)
    return {
        "I2V_START": _packed(_program("start.sh")),
        "I2V_SWITCH": _packed(_program("switch.py")),
        "I2V_FILES": _packed(lines),
        "I2V_FILE_COUNT": str(len(files)),
        "I2V_DEPLOYMENT": deployment,
        "I2V_LABEL": instance.label,
        "I2V_LEASE_KEY": lease_key_of(instance),
        "I2V_LEASE_PORT": str(SWITCH_PORT),
        "I2V_SILENCE_S": str(settings.SILENCE_LEASE_SECONDS),
        "I2V_MAX_AGE_S": str(_max_age_s(instance)),
        "I2V_VAST_API": settings.VASTAI_URL,
    }


def _line(file: ModelFile) -> str:
    # For as long as a machine may take to get ready: it is given back then, and what it has it never fetches again.
    link = model_files.link(file, seconds=settings.BOOT_DEADLINE_SECONDS + settings.PROVISION_DEADLINE_SECONDS)
    return "\t".join((file.name, file.folder, str(file.size_bytes), file.sha256, link)) + "\n"


def _max_age_s(instance: Instance) -> int:
    if instance.max_until is None:
        return config.load().max_lifetime_minutes * 60
    return round((instance.max_until - instance.created_at).total_seconds())


@cache
def _program(name: str) -> str:
    return (_MACHINE / name).read_text()


def _packed(text: str) -> str:
    # mtime 0: the same text is always the same value.
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _checked(env: dict[str, str]) -> dict[str, str]:
    total = sum(len(name) + len(value) for name, value in env.items())
    if total > MAX_ENV_CHARS or any(len(name) > MAX_ENV_KEY_CHARS for name in env):
        raise ValueError(f"The environment of the machine has {total} characters; vast.ai takes {MAX_ENV_CHARS}.")
    return env


# --- progress --------------------------------------------------------------------------------------------------------
_LINE = re.compile(r"i2v (\{[^\n\r]{1,1000}\})")
_CODE = re.compile(r"[a-z_]{1,40}")


def parse_progress(log_text: str) -> Progress:
    """What the last lines of the start script say; anything else in the log is passed over. Never raises."""
    heard = Progress()
    for text in _LINE.findall(log_text):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            heard = _after(heard, line)
    return heard


def _after(heard: Progress, line: dict[str, Any]) -> Progress:
    step = line.get("step")
    if step not in ("disk", "download", "verify", "failed", "done"):
        return heard
    # The first trouble stays until the script is started again: downloads beside it go on talking.
    if heard.error and step != "disk":
        return heard
    file = str(line.get("file", ""))[:200]
    if step == "failed":
        code = line.get("error")
        known = isinstance(code, str) and _CODE.fullmatch(code)
        return Progress(step, heard.bytes_done, heard.bytes_total, heard.mbps, str(code) if known else "unknown", file)
    if step == "verify":
        return Progress(heard.step or step, heard.bytes_done, heard.bytes_total, heard.mbps, "", file)
    if step == "disk":
        return Progress(step)
    mbps = _number(line.get("mbps"))
    return Progress(step, round(_number(line.get("done"))), round(_number(line.get("total"))), mbps)


def _number(value: object) -> float:
    """A machine's word is input: what is no sensible number counts as nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return float(value)
    return 0.0


# --- the lease -------------------------------------------------------------------------------------------------------
def renew_lease(instance: Instance, address: str, until: float) -> Renewal:
    """Renew the lease over the direct port; `address` is "ip:port", where the machine's port 7870 is reached.

    `until`: seconds of the epoch; the machine grants at most SILENCE_LEASE_SECONDS at once, and nothing beyond its
    maximum age. Blocks for up to 20 seconds; never raises for what the machine does.
    """
    if until <= time.time():
        return Renewal(ok=False, error="over")
    if not _may_call(address):
        return Renewal(ok=False, error="bad_address")
    client = SwitchClient(address, label=instance.label, key=lease_key_of(instance))
    try:
        answer = client.renew(until - time.time())
    except SwitchRejected:
        return Renewal(ok=False, error="refused")
    except SwitchError:
        return Renewal(ok=False, error="unreachable")
    progress = parse_progress("i2v " + json.dumps(answer.progress)) if answer.progress else None
    return Renewal(True, answer.remaining_s, answer.age_s, progress)


def _may_call(address: str) -> bool:
    """vast.ai's word for where a machine is must not lead us into our own network."""
    host, _, port = address.rpartition(":")
    # A simulated market rents out ports of this computer; the real one rents out public addresses only.
    if address in settings.SWARMUI_PRIVATE_HOSTS or is_local(httpx.URL(settings.VASTAI_URL)):
        return True
    try:
        judged = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return port.isdecimal() and 1024 <= int(port) <= 65535 and is_public(str(judged))
