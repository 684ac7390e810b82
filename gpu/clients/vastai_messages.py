"""Machines, the account and charges as typed values, and what a machine's many status fields mean together."""

import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gpu.clients.vastai_answer import moment, money, number, plain_text, snapshot, storable_text, whole
from gpu.clients.vastai_errors import VastProtocolError

MAX_STATUS_MSG_CHARS = 1000


class Status(StrEnum):
    """What the host reports. `UNKNOWN` is vast.ai's own word: no recent sign of life from the host."""

    NONE = ""  # the host has not reported yet
    CREATED = "created"
    LOADING = "loading"
    RUNNING = "running"  # the container's process runs; says nothing about the web application
    REBOOTING = "rebooting"
    RESTARTING = "restarting"
    RECYCLING = "recycling"
    STOPPED = "stopped"
    FROZEN = "frozen"  # bills the GPU
    EXITED = "exited"
    UNKNOWN = "unknown"
    OFFLINE = "offline"
    UNRECOGNISED = "unrecognised"  # a word that we do not know; it stands in `Machine.status_text`


_HALTED = frozenset({Status.STOPPED, Status.FROZEN, Status.EXITED})
_SILENT = frozenset({Status.UNKNOWN, Status.OFFLINE})
_FATAL_WORDS = (
    "error response from daemon",
    "oci runtime create failed",
    "failed to pull image",
    "manifest unknown",
    "pull access denied",
    "repository does not exist",
    "unauthorized",
    "no space left on device",
    "unexpected eof",
    "toomanyrequests",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a machine that should run never will. `code`: status, gave_up, daemon.

    `look_again`: the host is silent, which a second look may contradict.
    """

    code: str
    text: str
    look_again: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where a port of a machine is reachable."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A rented machine (vast.ai: instance, contract). Rates are dollars; telemetry is None until it is known."""

    id: int
    label: str
    machine_id: int
    host_id: int
    status: Status
    status_text: str  # the word as it came
    intended: str  # what the contract wants: running, stopped
    current: str  # where vast.ai's scheduler is
    next: str
    message: str  # the host's last message
    public_ip: str  # shared with other renters; "" until it runs
    ports: Mapping[str, tuple[int, ...]]  # "7865/tcp" to the numbers outside
    usd_per_hour: Decimal | None  # GPU and disk while it runs
    gpu_usd_per_hour: Decimal | None
    storage_usd_per_hour: Decimal | None
    inet_down_usd_per_gb: Decimal | None
    inet_up_usd_per_gb: Decimal | None
    is_bid: bool
    created_at: datetime.datetime | None
    ends_at: datetime.datetime | None  # the host takes the machine back
    gpu_name: str
    num_gpus: int
    gpu_util: float | None  # percent
    gpu_temp: float | None
    disk_gb: float | None
    disk_used_gb: float | None
    inet_down_mbps: float | None
    geolocation: str
    image: str
    jupyter_token: str = field(repr=False)
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def is_up(self) -> bool:
        """The container runs. Whether its application answers is another question."""
        return self.status is Status.RUNNING and self.failure() is None

    @property
    def has_failed(self) -> bool:
        return self.failure() is not None

    def failure(self) -> Failure | None:
        """Why this machine, which should run, never will; None while it runs or may still come up.

        For machines that nobody asked to stop. The deadline for coming up is the caller's.
        """
        if self.status in _HALTED:
            return Failure("status", f"The machine is {self.status}.")
        if self.status in _SILENT:
            return Failure("status", f"The machine is {self.status}.", look_again=True)
        # All three: a fresh rental is "stopped" and "loading" for a while.
        if self.intended == self.current == self.next == "stopped":
            return Failure("gave_up", f"The host gave up. {self.message}".strip())
        if self.status is not Status.RUNNING and any(word in self.message.casefold() for word in _FATAL_WORDS):
            return Failure("daemon", self.message)
        return None

    def address_of(self, port: str) -> Address | None:
        """Where "7865/tcp" is reachable from outside; None while that is not known."""
        outside = self.ports.get(port)
        return Address(self.public_ip, outside[0]) if outside and self.public_ip else None


@dataclass(frozen=True, slots=True)
class Listing:
    """Machines of the account. Only from a complete listing may be concluded that a machine is gone."""

    machines: tuple[Machine, ...]
    complete: bool
    trouble: str = ""  # why it is not complete


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key it is. `credit_usd` is the prepaid money left; below zero everything stops."""

    id: int
    credit_usd: Decimal
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChargeItem:
    kind: str  # gpu, disk, bwd, bwu
    usd: Decimal
    description: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What one machine has cost in a span of time; vast.ai rounds to a tenth of a cent and reports late."""

    instance_id: int | None
    label: str
    usd: Decimal
    start: datetime.datetime | None
    end: datetime.datetime | None
    items: tuple[ChargeItem, ...]


def parse_machine(raw: object) -> Machine:
    """One instance record. Raises VastProtocolError when it has no id."""
    if not isinstance(raw, dict) or not (machine_id := whole(raw.get("id"))):
        raise VastProtocolError("An instance without an id.")
    word = plain_text(raw.get("actual_status"), 40)
    return Machine(
        id=machine_id,
        label=storable_text(raw["label"]) if isinstance(raw.get("label"), str) else "",
        machine_id=whole(raw.get("machine_id")) or 0,
        host_id=whole(raw.get("host_id")) or 0,
        status=_status(word),
        status_text=word,
        intended=plain_text(raw.get("intended_status"), 40),
        current=plain_text(raw.get("cur_state"), 40),
        next=plain_text(raw.get("next_state"), 40),
        message=plain_text(raw.get("status_msg"), MAX_STATUS_MSG_CHARS),
        public_ip=_ip(raw.get("public_ipaddr")),
        ports=_ports(raw.get("ports")),
        usd_per_hour=money(raw.get("dph_total")),
        gpu_usd_per_hour=money(raw.get("dph_base")),
        storage_usd_per_hour=money(raw.get("storage_total_cost")),
        inet_down_usd_per_gb=money(raw.get("inet_down_cost")),
        inet_up_usd_per_gb=money(raw.get("inet_up_cost")),
        is_bid=raw.get("is_bid") is True,
        created_at=moment(raw.get("start_date")),
        ends_at=moment(raw.get("end_date")),
        gpu_name=plain_text(raw.get("gpu_name"), 60),
        num_gpus=whole(raw.get("num_gpus")) or 0,
        gpu_util=number(raw.get("gpu_util")),
        gpu_temp=number(raw.get("gpu_temp")),
        disk_gb=_measured(raw.get("disk_space")),
        disk_used_gb=_measured(raw.get("disk_usage")),
        inet_down_mbps=_measured(raw.get("inet_down")),
        geolocation=plain_text(raw.get("geolocation"), 80),
        image=plain_text(raw.get("image_uuid"), 300),
        jupyter_token=plain_text(raw.get("jupyter_token"), 200),
        raw=snapshot(raw),
    )


def parse_account(data: dict[str, Any]) -> Account:
    credit = money(data.get("credit"))
    if credit is None:
        raise VastProtocolError("The account has no credit field.")
    return Account(whole(data.get("id")) or 0, credit, plain_text(data.get("email"), 200))


def parse_charge(raw: object) -> Charge:
    """One row of the charges. Raises VastProtocolError: a sum with a row missing is no sum."""
    usd = money(raw.get("amount")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or usd is None:
        raise VastProtocolError("A charge without an amount.")
    metadata, items = raw.get("metadata"), raw.get("items")
    source = plain_text(raw.get("source"), 80)
    return Charge(
        instance_id=whole(source.removeprefix("instance-")),
        label=plain_text(metadata.get("label"), 1024) if isinstance(metadata, dict) else "",
        usd=usd,
        start=moment(raw.get("start")),
        end=moment(raw.get("end")),
        items=tuple(_charge_item(item) for item in items) if isinstance(items, list) else (),
    )


def _charge_item(raw: object) -> ChargeItem:
    usd = money(raw.get("amount")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or usd is None:
        raise VastProtocolError("A charge's item without an amount.")
    return ChargeItem(plain_text(raw.get("type"), 40), usd, plain_text(raw.get("description"), 300))


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        return Status.UNRECOGNISED


def _ip(value: object) -> str:
    """Without the line break that it may carry; "" for what is no address."""
    try:
        return str(ipaddress.ip_address(value.strip())) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _ports(value: object) -> dict[str, tuple[int, ...]]:
    if not isinstance(value, dict):
        return {}
    found = {plain_text(name, 40): _outside_ports(entries) for name, entries in value.items()}
    return {name: numbers for name, numbers in found.items() if numbers}


def _outside_ports(entries: object) -> tuple[int, ...]:
    """vast.ai writes them as texts, with an IPv6 twin behind at times."""
    listed = entries if isinstance(entries, list) else []
    numbers = (whole(entry.get("HostPort")) for entry in listed if isinstance(entry, dict))
    return tuple(dict.fromkeys(port for port in numbers if port is not None and 0 < port < 65536))


def _measured(value: object) -> float | None:
    """-1 stands for not measured yet."""
    found = number(value)
    return found if found is not None and found >= 0 else None
