"""What may go wrong with a video that is only thought of: a bad result, a refusal, a price. Each with a way out."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from generation.models import Preferences, Provider, SourceImage, VideoModel
from generation.services.cropping import crop_box
from generation.services.jobs import JobRequest, Settings, parse_size
from generation.services.options import COLD, NOW, Option
from gpu.services.caps import DAY, MONTH, PERSON, SITE
from gpu.services.charges import Headroom

ENLARGED = 1.5  # from here on a picture looks soft
CROPPED = 0.35  # more of the picture than this is cut away
LONG, SHORT_S = 1.25, 1.0  # times the usual frames; seconds
FAST = 1.5  # times the usual frames a second
DISTILLED_STEPS = 8  # a row with so few steps by default was trained for them
DEAR = 3  # times what the person usually pays
FEW_CHARS, FEW_WORDS = 12, 3
HINT = "the camera pushes in slowly"


@dataclass(frozen=True, slots=True)
class Caution:
    """`field`: what it is about; `suggestion`: values that the request could have instead, by their API names."""

    code: str
    message: str
    field: str = ""
    suggestion: dict[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that is looked at. What is None is not known, and nothing is said of it."""

    option: Option
    request: JobRequest
    others: Sequence[Option] = ()  # all models for the same wish
    headroom: Headroom | None = None
    usual_usd: Decimal | None = None  # what this person's videos usually cost
    rule: str = Preferences.Rule.ASK

    @property
    def model(self) -> VideoModel:
        return self.option.model

    @property
    def chosen(self) -> Settings:
        return self.option.settings

    @property
    def alternatives(self) -> list[Option]:
        """Other models that can run and really make video."""
        others = [row for row in self.others if row.runnable and row.model.pk != self.model.pk]
        return [row for row in others if row.model.provider != Provider.PREVIEW]


def warnings(case: Case) -> list[Caution]:
    """All that this video should be warned of, the gravest first. Pure."""
    looks = (_money, _readiness, _picture, _prompt, _length, _effort)
    return [warning for look in looks for warning in look(case)]


# --- money and waiting ---------------------------------------------------------------------------------------------


def _money(case: Case) -> Iterator[Caution]:
    found, cheaper = case.option.estimate, _cheaper(case)
    if case.headroom is not None and found.usd_high:
        if refusal := case.headroom.refusal(found.usd_high, cloud=case.option.cloud):
            yield Caution("cap_reached", refusal, "model", cheaper)
        elif near := _near(case, case.headroom):
            yield Caution("cap_near", near, "model", cheaper)
    if case.usual_usd and found.usd > DEAR * case.usual_usd:
        yield Caution(
            "dear",
            _("About $%(usd)s is much more than your videos usually cost ($%(usual)s).")
            % {"usd": f"{found.usd:.2f}", "usual": f"{case.usual_usd:.2f}"},
            "model",
            cheaper,
        )
    if case.option.cloud and case.rule == Preferences.Rule.NEVER_CLOUD:
        here = next((row for row in case.alternatives if not row.cloud), None)
        yield Caution(
            "cloud_against_rule",
            _("You asked never to use the cloud, and %(model)s is one: your picture goes to fal.ai.")
            % {"model": case.model.name},
            "model",
            {"model": here.model.slug} if here else {},
        )


def _near(case: Case, headroom: Headroom) -> str:
    rooms = (*headroom.person, *headroom.site) if case.option.cloud else headroom.person
    room = next((room for room in rooms if room.soft_with(case.option.estimate.usd_high)), None)
    if room is None:
        return ""
    text = _NEAR[room.scope, room.period]
    return text % {"left": f"{room.left_usd or 0:.2f}", "cap": f"{room.cap_usd or 0:.2f}"}


_NEAR = {
    (PERSON, DAY): gettext_lazy("Only $%(left)s are left under your cap of $%(cap)s a day."),
    (PERSON, MONTH): gettext_lazy("Only $%(left)s are left under your cap of $%(cap)s a month."),
    (SITE, DAY): gettext_lazy("Only $%(left)s are left under this site's cap of $%(cap)s a day."),
    (SITE, MONTH): gettext_lazy("Only $%(left)s are left under this site's cap of $%(cap)s a month."),
}


def _cheaper(case: Case) -> dict[str, Any]:
    rows = [row for row in case.alternatives if row.estimate.usd_high < case.option.estimate.usd_high]
    if case.rule == Preferences.Rule.NEVER_CLOUD:
        rows = [row for row in rows if not row.cloud]
    found = min(rows, key=lambda row: row.estimate.usd_high, default=None)
    return {"model": found.model.slug} if found else {}


def _readiness(case: Case) -> Iterator[Caution]:
    if case.option.ready != COLD:
        return
    ready = [row for row in case.alternatives if row.ready == NOW]
    if case.rule == Preferences.Rule.NEVER_CLOUD:
        ready = [row for row in ready if not row.cloud]
    same = [row for row in ready if row.model.family and row.model.family == case.model.family]
    now = min(same or ready, key=lambda row: row.estimate.usd, default=None)
    wait = {"minutes": max(1, round(case.option.wait_s / 60)), "later_price": _price(case.option)}
    if now is None:
        text = _("No GPU is running: wait about %(minutes)d min for %(later_price)s.")
        yield Caution("cold", text % wait, "model")
        return
    text = _("Run on %(model)s now for %(price)s, or wait about %(minutes)d min for %(later_price)s.")
    message = text % (wait | {"model": now.model.name, "price": _price(now)})
    yield Caution("cold", message, "model", {"model": now.model.slug})


def _price(option: Option) -> str:
    usd = option.estimate.usd
    if not usd:
        return _("nothing")
    return f"${usd:.2f}" if usd >= Decimal("0.01") else _("less than $0.01")


# --- picture -------------------------------------------------------------------------------------------------------


def _picture(case: Case) -> Iterator[Caution]:
    image, chosen = case.request.image, case.chosen
    if image is None or not chosen.width or not chosen.height:
        return
    target = (chosen.width, chosen.height)
    sizes = _sizes(case.model)
    if (cut := 1 - _kept(image, target)) > CROPPED:
        best = max(sizes, key=lambda size: _fit(image, size, target))
        better = _kept(image, best) > 1.1 - cut
        message = _("%(percent)d%% of the picture is cut away to make it %(width)d x %(height)d.")
        message %= {"percent": round(cut * 100), "width": target[0], "height": target[1]}
        yield Caution("strong_crop", message, "size", _size(best) if better else {})
    if (end := case.request.end_image) is not None and (cut := 1 - _kept(end, target)) > CROPPED:
        message = _("%(percent)d%% of the picture to end with is cut away; its middle is kept.")
        yield Caution("strong_crop_at_the_end", message % {"percent": round(cut * 100)}, "end_image")
    if (factor := _enlarged(image, target)) > ENLARGED:
        smaller = [size for size in sizes if _enlarged(image, size) < factor / 1.1]
        best = max(smaller, key=lambda size: _fit(image, size, target), default=target)
        message = _("The picture is small: it is enlarged %(times)s times, and the video will look soft.")
        message %= {"times": f"{factor:.1f}"}
        yield Caution("small_picture", message, "size" if smaller else "image", _size(best) if smaller else {})


def _size(size: tuple[int, int]) -> dict[str, Any]:
    return {"size": f"{size[0]}x{size[1]}"}


def _fit(image: SourceImage, size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float]:
    """How good a size is instead of `target`: by what it keeps, how little it enlarges, how near its area is."""
    area = math.log(size[0] * size[1] / (target[0] * target[1]))
    return round(_kept(image, size), 1), -max(ENLARGED, _enlarged(image, size)), -abs(area)


def _sizes(model: VideoModel) -> list[tuple[int, int]]:
    return [parse_size(text) for text in model.sizes]


def _kept(image: SourceImage, target: tuple[int, int]) -> float:
    """The share of the picture that is in the video."""
    left, top, right, bottom = crop_box((image.width, image.height), target)
    return (right - left) * (bottom - top) / (image.width * image.height)


def _enlarged(image: SourceImage, target: tuple[int, int]) -> float:
    return max(target[0] / image.width, target[1] / image.height)


# --- words and numbers ---------------------------------------------------------------------------------------------


def _prompt(case: Case) -> Iterator[Caution]:
    prompt, reads = case.request.prompt.strip(), case.model.prompt_reads_chars
    if reads and len(prompt) > reads:
        cut = prompt[:reads].rsplit(maxsplit=1)[0]
        message = _("%(model)s reads about %(count)d characters of a prompt; the end of yours is ignored.")
        yield Caution("long_prompt", message % {"model": case.model.name, "count": reads}, "prompt", {"prompt": cut})
    elif prompt and (len(prompt) < FEW_CHARS or len(prompt.split()) < FEW_WORDS):
        yield Caution(
            "short_prompt",
            _("The prompt says little: say who or what moves, and how the camera does."),
            "prompt",
            {"prompt": f"{prompt.rstrip('.,;')}, {HINT}"},
        )


def _length(case: Case) -> Iterator[Caution]:
    model, chosen = case.model, case.chosen
    if model.provider == Provider.PREVIEW:
        return
    if chosen.frames > model.default_frames * LONG and not model.frame_choices:
        message = _("%(model)s is made for %(count)d frames: longer videos drift or repeat themselves.")
        message %= {"model": model.name, "count": model.default_frames}
        yield Caution("odd_frame_count", message, "num_frames", {"num_frames": model.default_frames})
    elif chosen.frames / chosen.fps < SHORT_S:
        message = ngettext(
            "%(count)d frame is less than a second of video.",
            "%(count)d frames are less than a second of video.",
            chosen.frames,
        )
        message %= {"count": chosen.frames}
        yield Caution("odd_frame_count", message, "num_frames", {"num_frames": model.default_frames})
    if chosen.fps > model.default_fps * FAST or chosen.fps * FAST < model.default_fps:
        message = _("%(model)s imagines motion at %(count)d frames a second: it will look too slow.")
        if chosen.fps > model.default_fps:
            message = _("%(model)s imagines motion at %(count)d frames a second: it will look too fast.")
        message %= {"model": model.name, "count": model.default_fps}
        yield Caution("odd_fps", message, "fps", {"fps": model.default_fps})


def _effort(case: Case) -> Iterator[Caution]:
    model, chosen = case.model, case.chosen
    if model.provider == Provider.PREVIEW:
        return
    distilled = model.default_steps <= DISTILLED_STEPS and model.default_cfg <= 1
    usual = {"steps": model.default_steps}
    if chosen.steps < model.default_steps * (1.0 if distilled else 0.5):
        message = ngettext(
            "%(count)d step makes a draft: it will be rough.",
            "%(count)d steps make a draft: it will be rough.",
            chosen.steps,
        )
        yield Caution("few_steps", message % {"count": chosen.steps}, "steps", usual)
    elif chosen.steps > model.default_steps * 2:
        message = _("%(model)s usually takes %(count)d steps and gains little from more.")
        if distilled:
            message = _("%(model)s usually takes %(count)d steps and was trained for so few that more add nothing.")
        yield Caution("many_steps", message % {"model": model.name, "count": model.default_steps}, "steps", usual)
    if distilled and chosen.cfg_scale > max(1.5, model.default_cfg):
        message = _("%(model)s was trained for CFG %(usual)s: more takes twice as long and burns colours.")
        message %= {"model": model.name, "usual": f"{model.default_cfg:g}"}
        yield Caution("odd_cfg", message, "cfg_scale", {"cfg_scale": model.default_cfg})
    elif not distilled and chosen.cfg_scale > model.default_cfg * 2:
        message = _("CFG %(asked)s is far above the usual %(usual)s: colours may burn.")
        message %= {"asked": f"{chosen.cfg_scale:g}", "usual": f"{model.default_cfg:g}"}
        yield Caution("odd_cfg", message, "cfg_scale", {"cfg_scale": model.default_cfg})
