"""What the create page says of models and money: a card for each, a choice when the GPU is cold, and warnings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.utils.translation import gettext as _

from generation.models import Preferences, Provider, SourceImage, VideoModel
from generation.pages.video_forms import WishForm
from generation.services import batches, rules
from generation.services.batches import Total
from generation.services.jobs import JobRequest
from generation.services.options import COLD, NOW, Option, options
from generation.services.warnings import Caution
from generation.services.weighing import Weighed, weigh
from i2v_site.errors import DomainError

Rule = Preferences.Rule

_SALT = "generation.chosen_by_rule"
# What a suggestion may change: nothing else of a form is set by a button.
APPLICABLE = ("model", "size", "num_frames", "fps", "steps", "cfg_scale", "prompt", "negative_prompt")
# Remarks that stand beside the prompt already (generation.services.prompt_help).
_BESIDE_THE_PROMPT = ("short_prompt", "long_prompt")
_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True)
class Card:
    """One model; `option` is None when nothing could be found out about it."""

    row: VideoModel
    option: Option | None

    @property
    def runnable(self) -> bool:
        return self.option is not None and self.option.runnable

    @property
    def simulated(self) -> bool:
        return settings.DEMO and self.row.provider == Provider.SWARMUI


@dataclass(frozen=True, slots=True)
class Pair:
    """The same model in the cloud now, or later on a GPU that has to come first."""

    cloud: Option
    gpu: Option


@dataclass(frozen=True, slots=True)
class ByRule:
    """A rule of the person chose the model; `better` is what it would choose by now, if that is another."""

    label: str
    because: str
    token: str
    better: Option | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """A warning, with what its button changes: a query string, and the words on it."""

    caution: Caution
    apply: str = ""
    label: str = ""

    @property
    def grave(self) -> bool:
        return self.caution.code == "cap_reached"


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that changes on the page with every setting."""

    cards: list[Card]
    chosen: Option | None = None
    pair: Pair | None = None
    by_rule: ByRule | None = None
    advice: Sequence[Advice] = ()
    problem: str = ""
    total: Total | None = None  # of a batch: more than one video

    def context(self) -> dict[str, Any]:
        cloud = [card for card in self.cards if card.row.provider == Provider.FAL]
        ready = [card.option for card in cloud if card.option and card.runnable]
        return {
            "cards": self.cards,
            "cloud_cards": cloud,
            "cloud_ready": len(ready),
            "cheapest_cloud": min(ready, key=lambda option: option.estimate.usd_high, default=None),
            "chosen": self.chosen,
            "pair": self.pair,
            "by_rule": self.by_rule,
            "advice": self.advice,
            "problem": self.problem,
            "total": self.total,
        }


def look(owner: User, rows: Sequence[VideoModel], request: JobRequest, *, chosen_by: str = "") -> Look:
    """What all models would take for this wish, whose model is named. Says in words what a submit would refuse.

    `chosen_by` is the token of an earlier ByRule: it counts for as long as its model is the named one.
    """
    try:
        weighed = weigh(owner=owner, request=request)
    except DomainError as exc:
        # What the model does not take, or that it cannot run: the others are shown all the same.
        return Look(_cards(rows, _anything(owner, request)), problem=exc.message)
    rule = rules.rule_of(owner, None)
    pair = None if rule == Rule.NEVER_CLOUD else _pair(weighed)
    return Look(
        cards=_cards(rows, weighed.options),
        chosen=weighed.option,
        pair=pair,
        by_rule=_by_rule(weighed, rule, chosen_by),
        advice=_advice(weighed, pair),
    )


def look_at_all(
    owner: User, rows: Sequence[VideoModel], form: WishForm, images: list[SourceImage], *, chosen_by: str = ""
) -> Look:
    """`look` at the first video of a form, and what all of them together would take."""
    first = replace(form.request(), image=images[0] if images else None)
    seen = look(owner, rows, first, chosen_by=chosen_by)
    if seen.problem:
        return seen
    try:
        wishes = form.requests(first, images)
        total = batches.total_of(owner=owner, requests=wishes) if len(wishes) > 1 else None
    except DomainError as exc:
        return replace(seen, problem=exc.message)
    return replace(seen, total=total)


def _anything(owner: User, request: JobRequest) -> list[Option]:
    try:
        return options(owner, JobRequest(prompt="", image=request.image))
    except DomainError:
        return []


def _cards(rows: Sequence[VideoModel], found: Sequence[Option]) -> list[Card]:
    known = {row.model.pk: row for row in found}
    return [Card(row, known.get(row.pk)) for row in rows]


def _pair(weighed: Weighed) -> Pair | None:
    """When the chosen model's GPU is cold and the cloud has the same model ready: both, whichever is chosen."""
    family = weighed.option.model.family
    same = [row for row in weighed.options if family and row.model.family == family]
    cold = [row for row in same if row.ready == COLD and not row.cloud]
    ready = [row for row in same if row.ready == NOW]
    clouds = [row for row in ready if row.cloud]
    if not cold or not clouds or any(not row.cloud for row in ready):
        return None
    chosen = weighed.option
    cloud = chosen if chosen in clouds else min(clouds, key=lambda row: row.estimate.usd)
    gpu = chosen if chosen in cold else min(cold, key=lambda row: row.estimate.total_seconds)
    return Pair(cloud, gpu)


# --- the person's rule ---------------------------------------------------------------------------------------------


def first_choice(owner: User, request: JobRequest) -> tuple[str | None, str]:
    """The model that a form begins with, and the token of the rule that chose it ("" under "ask me")."""
    rule = rules.rule_of(owner, None)
    try:
        choice = rules.choose(owner=owner, request=request, rule=rule)
    except DomainError:
        return None, ""
    return choice.slug, "" if rule == Rule.ASK else _token(choice.slug, choice.because)


def because_of(token: str, slug: str) -> str:
    """Why a rule chose this model; "" when none did, or the person has chosen another one since."""
    try:
        chosen, because = signing.Signer(salt=_SALT).unsign_object(token)
    except (signing.BadSignature, TypeError, ValueError):
        return ""
    return str(because) if chosen == slug else ""


def _token(slug: str | None, because: str) -> str:
    return signing.Signer(salt=_SALT).sign_object([slug, because])


def _by_rule(weighed: Weighed, rule: str, token: str) -> ByRule | None:
    slug = weighed.option.model.slug
    because = because_of(token, slug)
    if not because or rule == Rule.ASK:
        return None
    label, better = str(Rule(rule).label), None
    if rule in (Rule.CHEAPEST, Rule.SOONEST):
        running = [row for row in weighed.options if row.runnable]
        real = [row for row in running if row.model.provider != Provider.PREVIEW]
        now = rules.best(real or running, rule)
        if now.slug == slug:
            because = now.because  # the numbers follow the settings
        else:
            better = next(row for row in weighed.options if row.model.slug == now.slug)
    return ByRule(label, because, _token(slug, because), better)


# --- warnings ------------------------------------------------------------------------------------------------------


def _advice(weighed: Weighed, pair: Pair | None) -> list[Advice]:
    names = {row.model.slug: row.model.name for row in weighed.options}
    # The choice between cloud and GPU says that in full.
    hidden = (*_BESIDE_THE_PROMPT, "cold") if pair else _BESIDE_THE_PROMPT
    shown = [caution for caution in weighed.warnings if caution.code not in hidden]
    return [_advised(caution, names) for caution in shown]


def _advised(caution: Caution, names: dict[str, str]) -> Advice:
    changes = {name: value for name, value in caution.suggestion.items() if name in APPLICABLE}
    if not changes:
        return Advice(caution)
    words = ", ".join(_words(name, value, names) for name, value in changes.items())
    return Advice(caution, urlencode(changes), words)


def _words(name: str, value: Any, names: dict[str, str]) -> str:
    if name == "model":
        return names.get(value, str(value))
    if name == "prompt":
        text = str(value)
        return f"“{text}”" if len(text) <= _LABEL_CHARS else f"“…{text[-_LABEL_CHARS:]}”"
    if name == "size":
        return str(value).replace("x", " by ")
    return {
        "num_frames": f"{value} frames",
        "fps": _("%(value)s frames per second") % {"value": value},
        "steps": f"{value} steps",
        "cfg_scale": f"CFG {value:g}",
    }[name]


def applied(query: str) -> dict[str, str]:
    """What a suggestion's button changes, by the names of the form's fields."""
    return {name: value for name, value in parse_qsl(query) if name in APPLICABLE}
