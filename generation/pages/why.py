"""Why a video looks as it does: everything that made it, as it was asked for and as it was really used."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from generation import queries
from generation.models import Attempt, VideoJob
from generation.pages.http import UserRequest
from generation.pages.job_money import prompt_used
from generation.templatetags.words import duration

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that had a part in it: `value` for programs, `text` for people."""

    name: str
    label: str
    value: Any
    text: str


@login_required
@never_cache
@require_safe
def why(request: UserRequest, pk: UUID) -> HttpResponse:
    job = get_object_or_404(queries.jobs_of(request.user).select_related("end_image"), pk=pk)
    template = "generation/_why.html" if request.htmx else "generation/why.html"
    return render(request, template, why_context(job))


def why_context(job: VideoJob, attempt: Attempt | None = None) -> dict[str, Any]:
    """What `generation/_why.html` shows. `attempt` is the last one, if the caller has it already."""
    attempt = attempt or job.attempts.order_by("-number").first()
    used, facts = prompt_used(job, attempt), facts_of(job, attempt)
    values = {fact.name: fact.value for fact in facts if fact.value not in (None, "")}
    told = {"prompt": job.prompt, "prompt_used": used or None, "negative_prompt": job.negative_prompt}
    drift = attempt.drift if attempt else []
    everything = {"id": str(job.pk), **told, **values, "drift": drift}
    return {
        "job": job,
        "why_facts": [fact for fact in facts if fact.text],
        "why_prompt_used": used,
        "why_drift": drift,
        "why_json": json.dumps(everything, indent=2, ensure_ascii=False),
    }


def facts_of(job: VideoJob, attempt: Attempt | None) -> list[Fact]:
    """Everything but the prompts, in the order in which one asks for it. Without a value: `text` is empty."""
    sent = _mapping(attempt.request_sent) if attempt else {}
    return [*_made_by(job, attempt, sent), *_settings(job, sent), *_picture(job)]


def _made_by(job: VideoJob, attempt: Attempt | None, sent: Mapping[str, Any]) -> Iterator[Fact]:
    model, used = job.model, _used(attempt)
    yield Fact("model", _("Model"), model.slug, model.name)
    files = [str(sent.get(key, "")) for key in ("videomodel", "videoswapmodel")]
    yield _text("model_files", _("Model files"), ", ".join(name for name in files if name))
    yield _text("endpoint", _("Endpoint"), str(sent.get("endpoint", "")))
    yield _text("loras", _("LoRAs"), _loras(sent))
    yield _text("version", _("SwarmUI version"), str(used.get("swarm_version", "")))


def _loras(sent: Mapping[str, Any]) -> str:
    """Names with their weights, as they were sent."""
    names, weights = str(sent.get("loras", "")).split(","), str(sent.get("loraweights", "")).split(",")
    return ", ".join(f"{name} {TIMES} {weight or 1}" for name, weight in zip(names, weights, strict=False) if name)


def _settings(job: VideoJob, sent: Mapping[str, Any]) -> Iterator[Fact]:
    size = f"{job.width}x{job.height}" if job.width and job.height else job.size
    yield Fact("size", _("Size"), size, size.replace("x", f" {TIMES} "))
    length = _("%(frames)s frames, %(seconds)s")
    words = {"frames": job.frames, "seconds": duration(job.frames / job.fps if job.fps else 0)}
    yield Fact("num_frames", _("Length"), job.frames, length % words)
    yield Fact("fps", _("Frames per second"), job.fps, str(job.fps))
    more = job.interpolate if job.interpolate > 1 else None
    yield Fact("interpolate", _("Frames drawn in between"), more, f"{TIMES} {more}" if more else "")
    yield Fact("steps", _("Steps"), job.steps, str(job.steps))
    yield Fact("cfg_scale", _("CFG scale"), job.cfg_scale, number_format(job.cfg_scale))
    yield _text("sampler", _("Sampler"), str(sent.get("sampler", "")))
    yield _text("scheduler", _("Scheduler"), str(sent.get("scheduler", "")))
    # A seed is copied by hand: no marks between its digits.
    yield Fact("seed", _("Seed"), job.seed, str(job.seed))


def _picture(job: VideoJob) -> Iterator[Fact]:
    name = str(job.image) if job.image else job.image_url
    yield Fact("image_id", _("Picture"), str(job.image_id) if job.image_id else job.image_url, name)
    crop = _("around %(x)d %% from the left, %(y)d %% from the top")
    centre = {"x": round(job.focus_x * 100), "y": round(job.focus_y * 100)}
    yield Fact("focus", _("Crop"), {"x": job.focus_x, "y": job.focus_y}, crop % centre)
    if job.end_image_id:
        yield Fact("end_image_id", _("Ends with"), str(job.end_image_id), str(job.end_image))
    if job.continues_id:
        yield Fact("continues", _("Continues"), str(job.continues_id), _("an earlier video"))
    if job.visible_label:
        yield Fact("visible_label", _("Label in the video"), True, _("yes"))


def _text(name: str, label: str, text: str) -> Fact:
    return Fact(name, label, text, text)


def _used(attempt: Attempt | None) -> Mapping[str, Any]:
    """The parameters that SwarmUI told it has used."""
    return _mapping(_mapping(attempt.engine_metadata).get("sui_image_params")) if attempt else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
