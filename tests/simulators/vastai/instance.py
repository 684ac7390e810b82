"""One contract: what was asked for, in which state it is, and how the API shows it."""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulators.clock import Event
from tests.simulators.vastai import offers
from tests.simulators.vastai.inventory import Ask

if TYPE_CHECKING:
    from tests.simulators.vastai.machine import Machine
    from tests.simulators.vastai.script import Script

SHOWN_FROM_OFFER = (
    *("bundle_id", "machine_id", "host_id", "hosting_type", "num_gpus", "gpu_name", "gpu_arch", "gpu_frac", "gpu_ram"),
    *(
        "gpu_totalram",
        "gpu_mem_bw",
        "gpu_lanes",
        "compute_cap",
        "total_flops",
        "dlperf",
        "pcie_bw",
        "pci_gen",
        "bw_nvlink",
    ),
    *(
        "cuda_max_good",
        "driver_version",
        "cpu_name",
        "cpu_cores",
        "cpu_cores_effective",
        "cpu_ram",
        "cpu_arch",
        "has_avx",
    ),
    *("disk_bw", "disk_name", "mobo_name", "os_version", "inet_up", "inet_down", "inet_up_cost", "inet_down_cost"),
    *(
        "internet_up_cost_per_tb",
        "internet_down_cost_per_tb",
        "storage_cost",
        "min_bid",
        "reliability2",
        "verification",
    ),
    *(
        "geolocation",
        "country_code",
        "geolocode",
        "static_ip",
        "external",
        "hostname",
        "logo",
        "webpage",
        "rn",
        "score",
    ),
    *("dlperf_per_dphtotal", "flops_per_dphtotal", "vram_costperhour", "storage_total_cost", "dph_base", "dph_total"),
    *("credit_discount_max", "is_vm_deverified", "time_remaining", "time_remaining_isbid", "resource_type"),
)


@dataclass(eq=False, kw_only=True)
class Instance:
    """`terms` is the offer as it was when the contract was made; its prices do not change any more."""

    id: int
    ask: Ask
    terms: dict[str, Any]
    created_at: float
    end_at: float
    disk_gb: float
    label: str | None = None
    image: str = ""
    env: dict[str, str] = field(default_factory=dict)
    onstart: str | None = None
    runtype: str = "ssh"
    args: list[str] = field(default_factory=list)
    template_hash: str | None = None
    bid: float | None = None
    fate: str = "ok"

    api_key: str = field(default_factory=lambda: secrets.token_hex(24))
    jupyter_token: str = field(default_factory=lambda: secrets.token_hex(32))
    actual_status: str | None = None
    intended_status: str = "running"
    cur_state: str = "stopped"
    next_state: str = "running"
    status_msg: str | None = None
    queued_start: bool = False
    running_since: float | None = None
    destroyed_at: float | None = None
    destroyed_by: str = ""
    visible_from: float = 0.0
    hidden_reads: int = 0
    listed_until: float = 0.0
    host_ports: dict[int, int] = field(default_factory=dict)  # container port to the machine's port
    plans: list[Event] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    history: list[tuple[float, str]] = field(default_factory=list)
    machine: "Machine | None" = None

    @property
    def alive(self) -> bool:
        return self.destroyed_at is None

    @property
    def gpu_per_hour(self) -> float:
        return self.bid if self.bid is not None else float(self.terms["dph_base"])

    @property
    def wanted_ports(self) -> list[int]:
        """The TCP ports of the `-p outside:inside` keys, and ssh's."""
        ports = [22] if "ssh" in self.runtype else []
        for key in self.env:
            if key.startswith("-p ") and not key.endswith("/udp"):
                ports.append(int(key.removeprefix("-p ").partition(":")[2].removesuffix("/tcp")))
        return ports

    def to(self, status: str | None, *, at: float, message: str | None = None) -> None:
        """A new actual_status, kept in the history."""
        self.actual_status = status
        self.history.append((at, status or "null"))
        if message is not None:
            self.status_msg = message

    def cancel_plans(self) -> None:
        for event in self.plans:
            event.cancelled = True
        self.plans.clear()

    def tokens(self) -> set[str]:
        """What the proxy in front of the apps accepts; a placeholder of 1 means that the platform makes one up."""
        button = self.env.get("OPEN_BUTTON_TOKEN", "1")
        given = {self.env.get("WEB_PASSWORD", ""), self.jupyter_token if button == "1" else button}
        return given - {""}


def shown(instance: Instance, *, now: float, host: str, script: "Script", by_id: bool = False) -> dict[str, Any]:
    """The instance as the API answers it."""
    running = instance.actual_status == "running"
    record = {name: instance.terms[name] for name in SHOWN_FROM_OFFER if name in instance.terms}
    return (
        record
        | _contract(instance, now)
        | _network(instance, host, script, by_id=by_id)
        | _telemetry(instance, running)
    )


def _contract(instance: Instance, now: float) -> dict[str, Any]:
    running = instance.actual_status == "running"
    disk_hour = instance.terms["storage_total_cost"]
    gpu_now = instance.gpu_per_hour if running else 0
    return {
        "id": instance.id,
        "label": instance.label,
        "actual_status": instance.actual_status,
        "intended_status": instance.intended_status,
        "cur_state": instance.cur_state,
        "next_state": instance.next_state,
        "status_msg": instance.status_msg,
        "image_uuid": instance.image,
        "image_args": instance.args,
        "image_runtype": instance.runtype,
        "onstart": instance.onstart,
        "template_id": None,
        "template_hash_id": instance.template_hash,
        "template_name": None,
        "extra_env": [[key, value] for key, value in instance.env.items()],
        "is_bid": instance.bid is not None,
        "dph_base": instance.gpu_per_hour,
        "dph_total": instance.gpu_per_hour + disk_hour,
        "instance": {"gpuCostPerHour": gpu_now, "diskHour": disk_hour, "totalHour": gpu_now + disk_hour}
        | {"discountTotalHour": 0, "discountedTotalPerHour": gpu_now + disk_hour},
        "search": offers.prices(instance.ask, base=instance.gpu_per_hour, disk_gb=instance.disk_gb)["search"],
        "start_date": instance.created_at,
        "end_date": instance.end_at,
        "duration": instance.end_at - now,
        "uptime_mins": (now - instance.running_since) / 60 if running and instance.running_since else None,
        "credit_balance": None,
        "credit_discount": None,
        "volume_info": [],
        "jupyter_token": instance.jupyter_token,
        "client_run_time": 1.1,
        "host_run_time": instance.terms["duration"],
    }


def _network(instance: Instance, host: str, script: "Script", *, by_id: bool) -> dict[str, Any]:
    # Docker's port map is what the daemon reports: nothing before the container runs, nothing after it ended.
    running = instance.actual_status == "running"
    show_ports = running and (script.show_has_ports or not by_id)
    ports = {
        f"{inside}/tcp": [{"HostIp": address, "HostPort": str(outside)} for address in ("0.0.0.0", "::")]
        for inside, outside in instance.host_ports.items()
    }
    first = min(instance.host_ports.values(), default=-1)
    return {
        "public_ipaddr": (host + "\n" if script.ip_newline else host) if running else None,
        "local_ipaddrs": "172.17.0.2 192.168.1.20 \n",
        "ports": ports if show_ports else None,
        "direct_port_start": first if running else -1,
        "direct_port_end": max(instance.host_ports.values(), default=-1) if running else -1,
        "direct_port_count": len(instance.host_ports),
        "machine_dir_ssh_port": instance.host_ports.get(22),
        "ssh_host": "ssh5.vast.ai",
        "ssh_port": 10000 + instance.id % 20000,
        "ssh_idx": "5",
    }


def _telemetry(instance: Instance, running: bool) -> dict[str, Any]:
    return {
        "disk_space": instance.disk_gb,
        "disk_usage": 7.2 if running else -1.0,
        "disk_util": 7.2 / instance.disk_gb if running else -1.0,
        "gpu_util": 0.0 if running else None,
        "gpu_temp": 41.0 if running else None,
        "cpu_util": 1.6 if running else None,
        "mem_usage": 1.9 if running else None,
        "mem_limit": instance.terms["cpu_ram"] / 1000 if running else None,
        "vmem_usage": 0.4 if running else None,
    }
