"""How the simulated market behaves: every knob that can be turned from outside while it runs."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields
from typing import Any

# What `fail_next` accepts for every endpoint. With "_after" the work is done and only the answer is bad.
ANY_FAULT = (
    "ok",  # no fault: keeps its place in the row
    *("429", "429_text", "429_detail", "429_retry_after", "429_header", "429_quota"),
    *("500", "502", "503", "504", "500_after", "502_after", "503_after", "504_after"),
    *("lost", "lost_after"),  # the connection is cut
    *("hang", "hang_after"),  # silence for hang_seconds, then cut
    *("garbage", "empty", "garbage_after", "empty_after"),  # 200 with a page of HTML, or with nothing
    *("401", "401_2fa", "403_scope"),
)
OWN_FAULTS = {
    "create": (
        *("no_such_ask_404", "no_such_ask_410", "no_such_ask_400", "gone_409"),
        *("insufficient_credit", "spend_rate_limit", "server_error", "success_false"),
        "bid_too_low",  # success:false with new_contract: a stopped instance that bills its disk
        "phantom",  # success, but the instance never exists
    ),
    "list": (
        "incomplete",  # rows missing although total_instances counts them
        "incomplete_silent",  # rows missing and nothing tells it
        "repeat_token",  # the cursor never moves on
        "bad_token",  # 400 invalid_token
        "success_false",
    ),
    "show": ("null", "one_in_list", "404"),
    "state": ("queued",),  # a start: success:false, and it happens when the GPU is free
    "destroy": (
        "ignored",  # success, and nothing at all happens
        "still_listed",  # success and gone, but listed for destroy_lag_seconds or a minute
        "success_false",
    ),
    "logs": ("no_result",),  # the result never appears
}

# What can become of a rented machine; see lifecycle.FATES.
FATES = (
    *("ok", "stuck_null", "stuck_created", "stuck_loading", "exited", "offline", "unknown", "lost_status"),
    *("oci_error", "pull_error", "disk_full", "stopped"),
    *("dead_network", "refused", "no_ports", "app_never", "app_late", "backend_errored", "models_missing"),
    *("provisioning_stuck", "provisioning_failed"),
)


@dataclass(kw_only=True)
class Script:
    """Times are seconds on the simulator's clock unless a name says `real`."""

    # money and account
    credit: float = 100.0  # what the account began with; top up with `VastSimulator.top_up`
    min_credit_to_rent: float = 0.01
    insufficient_credit_status: int = 400
    spend_limit_per_hour: float = 0.0  # of all machines together, as new accounts have it; 0: none
    two_factor: bool = False  # reads answer 401 until a second factor is given
    scopes: list[str] = field(default_factory=list)  # of the main key; empty: everything
    unknown_key_is_404: bool = False  # on charges and invoices
    search_without_key: bool = True
    image_pull_is_billed: bool = True
    stopped_storage_factor: float = 1.0
    unknown_bills_gpu: bool = True
    charges_lag_seconds: float = 0.0

    # the market
    offers_cap: int = 64
    price_factor: float = 1.0
    stale_offers: float = 0.0  # this share of the offers that a search shows is gone when it is rented
    filters_ignored: list[str] = field(default_factory=list)  # fields that the server does not filter by
    churn_seconds: float = 0.0  # so often a stranger takes or returns a machine; 0: never
    max_rental_days: float = 0.0  # no offer lasts longer; 0: as the hosts say

    # what calls do
    fail_next: dict[str, list[str]] = field(default_factory=dict)  # endpoint ("*": any) to faults, first first
    hang_real_seconds: float = 30.0
    answer_real_seconds: float = 0.0  # every answer takes so long
    create_lag_seconds: float = 0.0  # a new instance is invisible to reads so long
    create_lag_reads: int = 0  # or to so many reads
    destroy_lag_seconds: float = 0.0  # a destroyed one stays visible so long
    gone_answer: str = "null"  # show of a destroyed instance: "null" or "404"
    gone_code: str = "no_such_instance"  # second destroy; the OpenAPI file says not_found
    show_has_ports: bool = True  # vast's own QA says that by-id has no ports
    show_as_list: bool = False
    ip_newline: bool = True
    page_limit: int = 25
    label_at_create: bool = True  # False: the label is dropped

    # limits
    rate_scale: float = 0.0  # documented minimum intervals times this; 0: none
    rate_clock: str = "real"  # or "simulated"
    rate_style: str = "429_text"
    retry_after: float = 2.0
    search_quota: int = 0  # searches a day (UTC); 0: no quota

    # a machine's life
    fate_next: list[str] = field(default_factory=list)  # of the next machines, one of FATES
    fate_of_machine: dict[str, str] = field(default_factory=dict)  # by machine_id
    null_seconds: float = 4.0
    created_seconds: float = 3.0
    loading_seconds: float = 0.0  # 0: image_gb at the host's speed
    image_gb: float = 6.0
    start_container_seconds: float = 2.0
    gate_seconds: float = 1.0  # from running until the proxy answers
    app_seconds: float = 20.0  # until SwarmUI answers; before that the placeholder page
    backend_seconds: float = 15.0  # "loading" until its backend runs
    late_factor: float = 20.0  # "app_late" takes so many times longer
    app_waits_for_provisioning: bool = False  # as vast's own image does
    tunnel_seconds: float = 6.0  # until the quick tunnels are known
    local_tunnels: bool = True  # False: trycloudflare.com addresses that lead nowhere
    sockets: bool = True  # False: machines have no ports and no SwarmUI, for markets of thousands
    log_real_polls: int = 2  # a log's address is a 404 so often first

    # provisioning
    provisioning: str = "auto"  # "always", "never", or when the instance's env or onstart asks for it
    download_mbps: float = 0.0  # 0: the host's speed
    # name, bytes, folder: for instances whose env has no I2V_FILES
    download_files: list[list[Any]] = field(
        default_factory=lambda: [
            ["wan2.2_i2v_high_noise_14B.gguf", 9.65e9],
            ["wan2.2_i2v_low_noise_14B.gguf", 9.65e9],
            ["wan22_lightning_i2v.safetensors", 0.6e9, "Lora/Wan"],
            ["umt5_xxl_fp8_e4m3fn_scaled.safetensors", 6.7e9, "text_encoders"],
            ["wan_2.1_vae.safetensors", 0.25e9, "VAE/Wan"],
        ]
    )
    progress_seconds: float = 5.0  # between two progress lines
    tick_seconds: float = 10.0  # how often a machine's agent is asked

    swarm: dict[str, Any] = field(default_factory=dict)  # knobs of the SwarmUI simulator on every machine
    models: list[dict[str, str]] = field(default_factory=list)  # added to its catalogue
    swarm_gpu_count: int = 0  # backends; 0: one per rented GPU

    def update(self, changes: dict[str, Any]) -> None:
        """Turn knobs. Raises ValueError for a knob, an endpoint's fault or a fate that does not exist."""
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such knob: {name}")
            is_list = isinstance(getattr(self, name), list)
            setattr(self, name, [value] if is_list and not isinstance(value, list) else value)
        self._check()

    def _check(self) -> None:
        self.fail_next = {name: [row] if isinstance(row, str) else list(row) for name, row in self.fail_next.items()}
        for name, faults in self.fail_next.items():
            for fault in faults:
                if fault not in (*ANY_FAULT, *OWN_FAULTS.get(name, ())):
                    raise ValueError(f"no such fault of {name}: {fault}")
        for fate in (*self.fate_next, *self.fate_of_machine.values()):
            if fate not in FATES:
                raise ValueError(f"no such fate: {fate}")

    def add_faults(self, endpoint: str, *faults: str) -> None:
        """Behind those already waiting."""
        rows = defaultdict(list, self.fail_next)
        self.update({"fail_next": {**rows, endpoint: [*rows[endpoint], *faults]}})

    def take_fault(self, endpoint: str) -> str:
        """The scripted fault of this call; "" when there is none."""
        for name in (endpoint, "*"):
            if self.fail_next.get(name):
                fault = self.fail_next[name].pop(0)
                return "" if fault == "ok" else fault
        return ""

    def take_fate(self, machine_id: int) -> str:
        fixed = self.fate_of_machine.get(str(machine_id))
        if fixed:
            return fixed
        return self.fate_next.pop(0) if self.fate_next else "ok"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
