"""Renting: what is sent, and what became of it. A create is sent once; its outcome may stay unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu.clients.vastai_answer import Answer, plain_text, whole
from gpu.clients.vastai_errors import VastRateLimited, VastUnauthorized, refusal

LEAST_DISK_GB = 8
MAX_LABEL_CHARS = 256
MAX_ONSTART_CHARS = 4096
MAX_ENV_CHARS = 32768
MAX_ENV_KEY_CHARS = 256
MAX_PORTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSpec:
    """What to start on the machine. Raises ValueError for what vast.ai would refuse, before anything is sent.

    `ports`: numbers to be reachable from outside, under other numbers. `disk_gb` is fixed for life. Of a template
    everything that is set here is overridden.
    """

    label: str
    disk_gb: float
    image: str = ""
    template_hash: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[int, ...] = ()
    onstart: str = field(default="", repr=False)
    runtype: str = ""  # "" leaves it to the template
    args: tuple[str, ...] = field(default=(), repr=False)
    image_login: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        limits = {
            f"The label needs 1 to {MAX_LABEL_CHARS} characters.": 0 < len(self.label) <= MAX_LABEL_CHARS,
            f"The disk needs at least {LEAST_DISK_GB} GB.": self.disk_gb >= LEAST_DISK_GB,
            "An image or a template is needed.": bool(self.image or self.template_hash),
            f"The start text may have {MAX_ONSTART_CHARS} characters.": len(self.onstart) <= MAX_ONSTART_CHARS,
            f"At most {MAX_PORTS} ports can be opened.": len(self.ports) <= MAX_PORTS,
            "The environment is too large.": self._env_fits(),
        }
        for sentence, holds in limits.items():
            if not holds:
                raise ValueError(sentence)

    def _env_fits(self) -> bool:
        total = sum(len(name) + len(value) for name, value in self.env.items())
        return total <= MAX_ENV_CHARS and all(len(name) <= MAX_ENV_KEY_CHARS for name in self.env)

    def body(self) -> dict[str, Any]:
        """The request. No price: on demand."""
        # Ports ride in the environment; a text of docker flags instead of an object is not applied.
        env = dict(self.env) | {f"-p {port}:{port}": "1" for port in self.ports}
        wanted: dict[str, Any] = {
            "client_id": "me",
            "image": self.image,
            "template_hash_id": self.template_hash,
            "disk": self.disk_gb,
            "label": self.label,
            "env": env,
            "onstart": self.onstart,
            "runtype": self.runtype,
            "args": list(self.args),
            "image_login": self.image_login,
        }
        # Without cancel_unavail a stopped machine that bills its disk is left behind.
        fixed = {"target_state": "running", "cancel_unavail": True}
        return {name: value for name, value in wanted.items() if value} | fixed


@dataclass(frozen=True, slots=True)
class Created:
    """Rented, says vast.ai; reading it back may take a moment, and at times it never appears."""

    instance_id: int
    instance_api_key: str = field(repr=False)  # may only start, stop and destroy this machine


@dataclass(frozen=True, slots=True)
class OfferGone:
    """Somebody else was faster. Nothing was rented; take the next offer."""

    message: str


@dataclass(frozen=True, slots=True)
class NoCredit:
    """The account has too little money. Nothing was rented."""

    message: str


@dataclass(frozen=True, slots=True)
class SpendLimit:
    """vast.ai lets this (new) account spend only so much an hour. Nothing was rented."""

    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Understood and refused for another reason; the same request will be refused again. Nothing was rented."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RefusedButExists:
    """Refused, and a machine exists all the same, stopped and billing its disk: destroy it."""

    instance_id: int
    message: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """A machine may have been rented. Look for the label; do not send the create again."""

    message: str


CreateOutcome = Created | OfferGone | NoCredit | SpendLimit | Refused | RefusedButExists | OutcomeUnknown

_GONE_WORDS = ("no_such_ask", "no longer available")


def read_outcome(route: str, answer: Answer) -> CreateOutcome:
    """What became of a create. Raises VastUnauthorized and VastRateLimited: nothing was rented then."""
    summary = f"{route}: HTTP {answer.status} {answer.said}".rstrip()
    contract = whole((answer.data or {}).get("new_contract"))
    if contract:
        if answer.succeeded:
            return Created(contract, plain_text((answer.data or {}).get("instance_api_key"), 500))
        return RefusedButExists(contract, summary)
    if not _is_plain_refusal(answer):
        return OutcomeUnknown(summary)
    problem = refusal(route, answer)
    if isinstance(problem, VastUnauthorized | VastRateLimited):
        raise problem
    if answer.status == 410 or any(word in answer.said.casefold() for word in _GONE_WORDS):
        return OfferGone(summary)
    return _refused(answer, summary)


def _refused(answer: Answer, summary: str) -> CreateOutcome:
    text = answer.said.casefold().replace(" ", "_")
    if "insufficient_credit" in text or answer.status == 402:
        return NoCredit(summary)
    if "spend_rate_limit" in text:
        return SpendLimit(summary)
    # An inner error of vast.ai tells nothing of what was done before it.
    if answer.data is None or answer.code == "server_error" or not answer.said:
        return OutcomeUnknown(summary)
    return Refused(answer.code, summary)


def _is_plain_refusal(answer: Answer) -> bool:
    """Whether this says that nothing was done: `success: false`, or a status of 4xx that is no time-out."""
    if answer.has_good_status:
        return answer.data is not None and answer.data.get("success") is False
    return 400 <= answer.status < 500 and answer.status not in (408, 425, 499)
