"""How the simulated fal behaves: every knob that can be turned from outside while it runs.

Faults strike calls, fates strike requests. Both can be scripted in a row (`fail_next`, `fate_next`), tied to words of
the prompt (`fail_by_prompt`, `fate_by_prompt`) or left to chance (`fail_chance`, `fate_chance`; the dice are seeded).
"""

import random
from dataclasses import asdict, dataclass, field, fields
from typing import Any

CALLS = ("submit", "status", "result", "cancel", "upload", "media", "platform", "jwks", "*")

# What can go wrong with a call. With "_after" the work is done and only the answer is bad.
ANY_FAULT = (
    "ok",  # no fault: keeps its place in the row
    *("lost", "lost_after"),  # the connection is reset
    *("hang", "hang_after"),  # silence for hang_real_seconds, then reset
    *("slow", "slow_after"),  # slow_real_seconds before the work, or between the work and its answer
    *("500", "502", "503", "504", "500_after", "502_after", "503_after", "504_after"),
    *("ingress", "ingress_after"),  # a 502 of nginx, without fal's headers
    *("garbage", "garbage_after", "empty_after"),  # 200 with a page of HTML, or with nothing
    *("401", "403_balance", "403_admin", "429"),
)
OWN_FAULTS = {
    "submit": ("no_request_id", "foreign_urls"),  # accepted, but the answer is of little use
    "status": ("says_queued", "says_progress", "unknown_word", "404"),
    "result": ("404", "not_ready"),
    "cancel": ("404", "completed"),  # "completed": ALREADY_COMPLETED although it was not
    "media": ("404",),
    "platform": ("no_rows",),  # 200 and an empty page
}

# What can become of a request; several are joined by "+": "fail_input+webhook_lost".
FATES = (
    "ok",
    *("stuck", "stuck_running", "slow"),  # in the queue, on the runner for ever; slow_factor times longer
    *("fail_input", "fail_policy", "fail_download", "fail_internal", "fail_generation_timeout", "fail_runner"),
    *(
        "link_404",
        "link_expired",
        "link_truncated",
        "link_wrong_host",
        "link_garbage",
        "link_missing",
        "link_fails_once",
    ),
    *("drift_seed", "drift_prompt", "drift_frames", "drift_resolution", "drift_fps", "silent_seed", "silent_prompt"),
    *("no_units", "double_units"),
    *("webhook_lost", "webhook_double", "webhook_late", "webhook_stale", "webhook_forged", "webhook_unsigned"),
    *("webhook_foreign", "webhook_no_payload", "retried"),
)


@dataclass(kw_only=True)
class Script:
    """Times are seconds on the simulator's clock unless a name says `real`."""

    # money and account
    credit: float = 100.0  # dollars the account began with; more with `FalSimulator.top_up`
    admin_key: bool = True  # False: the key may not read billing, usage and history
    bill_failed: bool = False  # fal may charge for a 422 that used a GPU
    user_id: str = "github|sim"

    # the queue
    queue_seconds: float = 0.05  # from accepted until a runner takes it
    seconds: float = 0.2  # of inference
    slow_factor: float = 100.0
    concurrency: int = 0  # requests on runners at once, the rest waits in line; 0: no limit
    max_open: int = 0  # requests accepted and not over; more are a 429; 0: no limit
    validate_at_submit: bool = False  # True: bad input is refused at once; fal's queue takes it and fails later
    cancel_running: bool = False  # True: a request on a runner can be stopped, and is not billed
    cancel_says_ok: bool = False  # True: 200 OK for one taken from the queue, as newer pages have it; not 202
    unknown_apps: list[str] = field(default_factory=list)  # endpoint ids that do not exist
    ignores: dict[str, list[str]] = field(default_factory=dict)  # endpoint to fields that it takes and ignores

    # what comes out
    cheap: bool = True  # one encoded video per shape, told apart by a mark; False: a pan over the picture
    media_seconds: float = 7 * 86400.0  # a file's life when the request asks for no other
    history_lag_seconds: float = 0.0  # until a request or a charge is seen by the platform's API
    page_limit: int = 50

    # webhooks
    webhook_seconds: float = 0.0  # from the end of the inference
    webhook_late_seconds: float = 300.0
    webhook_retry_seconds: float = 1.0  # between two of its up to ten attempts, doubled each time
    webhook_timeout_real_seconds: float = 15.0

    # faults
    fail_next: dict[str, list[str]] = field(default_factory=dict)  # call ("*": any) to its row of faults
    fail_by_prompt: dict[str, str] = field(default_factory=dict)  # words in the prompt to the fault of its submit
    fail_chance: dict[str, dict[str, float]] = field(default_factory=dict)  # call to fault to probability
    fate_next: list[str] = field(default_factory=list)
    fate_by_prompt: dict[str, str] = field(default_factory=dict)
    fate_chance: dict[str, float] = field(default_factory=dict)
    seed: int = 1
    hang_real_seconds: float = 30.0
    slow_real_seconds: float = 0.5
    retry_after: int = 1

    def __post_init__(self) -> None:
        self._dice = random.Random(f"fal {self.seed}")

    def update(self, changes: dict[str, Any]) -> None:
        """Turn knobs. Raises ValueError for a knob, a fault or a fate that does not exist."""
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such knob: {name}")
            setattr(self, name, self._as_row(value) if isinstance(getattr(self, name), list) else value)
        if "seed" in changes:
            self._dice = random.Random(f"fal {self.seed}")
        self._check()

    def _check(self) -> None:
        self.fail_next = {name: [row] if isinstance(row, str) else list(row) for name, row in self.fail_next.items()}
        for call, faults in self.fail_next.items():
            self._check_faults(call, faults)
        for call, chances in self.fail_chance.items():
            self._check_faults(call, list(chances))
        self._check_faults("submit", list(self.fail_by_prompt.values()))
        for fates in (*self.fate_next, *self.fate_by_prompt.values(), *self.fate_chance):
            unknown = set(fates.split("+")) - set(FATES)
            if unknown:
                raise ValueError(f"no such fate: {', '.join(sorted(unknown))}")

    @staticmethod
    def _as_row(value: Any) -> list[Any]:
        """A list of our own: rows are eaten as they are used."""
        return list(value) if isinstance(value, list) else [value]

    @staticmethod
    def _check_faults(call: str, faults: list[str]) -> None:
        if call not in CALLS:
            raise ValueError(f"no such call: {call}")
        for fault in faults:
            if fault not in (*ANY_FAULT, *OWN_FAULTS.get(call, ())):
                raise ValueError(f"no such fault of {call}: {fault}")

    def add_faults(self, call: str, *faults: str) -> None:
        """Behind those already waiting."""
        self.update({"fail_next": {**self.fail_next, call: [*self.fail_next.get(call, []), *faults]}})

    def take_fault(self, call: str, prompt: str = "") -> str:
        """The fault of this call; "" when there is none."""
        for name in (call, "*"):
            if self.fail_next.get(name):
                fault = self.fail_next[name].pop(0)
                return "" if fault == "ok" else fault
        if call == "submit":
            for words, fault in self.fail_by_prompt.items():
                if words in prompt:
                    return fault
        return self._throw(self.fail_chance.get(call, {}) | self.fail_chance.get("*", {}))

    def take_fates(self, prompt: str) -> frozenset[str]:
        """What becomes of the next request."""
        if self.fate_next:
            return self._named(self.fate_next.pop(0))
        for words, fates in self.fate_by_prompt.items():
            if words in prompt:
                return self._named(fates)
        return self._named(self._throw(self.fate_chance))

    def _throw(self, chances: dict[str, float]) -> str:
        dice = self._dice.random() if chances else 1.0
        for name, chance in chances.items():
            if dice < chance:
                return name
            dice -= chance
        return ""

    @staticmethod
    def _named(fates: str) -> frozenset[str]:
        return frozenset(fates.split("+")) - {"ok", ""}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
