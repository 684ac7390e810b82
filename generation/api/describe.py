"""Rows as the JSON that the API answers with; every function asks a number of queries that does not grow with rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models.fields.json import KT
from django.urls import reverse

from generation import queries
from generation.api.base import UserRequest
from generation.models import ApiToken, Attempt, Preset, PreviewFrame, SourceImage, Status, VideoJob, VideoModel
from generation.queries import JobState
from generation.services.drafts import Final
from generation.services.jobs import SIZE_STEP
from generation.services.links import link
from generation.services.options import runnable

Answer = dict[str, Any]

TOKEN_ID_CHARS = 20


def jobs(rows: Sequence[VideoJob], request: UserRequest) -> list[Answer]:
    """Rows from `queries.jobs_of` as answers."""
    return _jobs(rows, request, _tags(rows))


def _jobs(rows: Sequence[VideoJob], request: UserRequest, tags: Mapping[UUID, list[str]]) -> list[Answer]:
    states, tries = queries.states_of(rows, owner=request.user), _last_tries(rows)
    framed = _with_frame(rows)
    return [
        _job(row, states[row.pk])
        | _links(row, request, has_frame=row.pk in framed)
        | {"attempts": row.attempts_made, **tries.get(row.pk, _UNTRIED), "tags": tags.get(row.pk, [])}
        for row in rows
    ]


def job(row: VideoJob, request: UserRequest) -> Answer:
    return jobs([row], request)[0]


def new_job(row: VideoJob, request: UserRequest) -> Answer:
    """The same of a job that was made with this request: nobody can have tagged it yet."""
    return _jobs([row], request, {})[0]


def _job(row: VideoJob, state: JobState) -> Answer:
    return {
        "id": str(row.pk),
        "status": row.status,
        "progress": state.progress,
        "queue_position": state.queue_position,
        "eta_s": state.eta_s,
        "message": state.message,
        "model": row.model.slug,
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "num_frames": row.frames,
        "fps": row.fps,
        "steps": row.steps,
        "cfg_scale": row.cfg_scale,
        "width": row.width,
        "height": row.height,
        "size": f"{row.width}x{row.height}" if row.width and row.height else None,
        "seed": row.seed,
        "image_id": str(row.image_id) if row.image_id else None,
        "image_url": row.image_url or None,
        **_money(row),
        "chosen_because": row.chosen_because,
        "alt_text": row.alt_text,
        "parent_id": _id(row.parent_id),
        "batch": _id(row.batch_id),
        "continues": _id(row.continues_id),
        "continues_frame": row.continues_frame,
        "end_image": _id(row.end_image_id),
        "interpolate": row.interpolate,
        "favourite": row.favourite_at is not None,
        "error": {"code": row.error_code, "message": row.error_message} if row.status == Status.FAILED else None,
        "created_at": moment(row.created_at),
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
        "cancel_at": None if row.is_over else moment(row.cancel_at),
        "elapsed_s": state.elapsed_s,
    }


def _id(value: UUID | None) -> str | None:
    return str(value) if value else None


def _money(row: VideoJob) -> Answer:
    names = ("cost_usd", "direct_usd", "share_usd", "reserved_usd")
    amounts = {name: round(float(getattr(row, name)), 4) for name in names}
    return amounts | {"cost_is_final": row.cost_is_final, "estimate": row.estimate or None}


def would(row: VideoJob, *, random_seed: bool) -> Answer:
    """What a dry run would have made."""
    return {
        "model": row.model.slug,
        "chosen_because": row.chosen_because,
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "num_frames": row.frames,
        "fps": row.fps,
        "steps": row.steps,
        "cfg_scale": row.cfg_scale,
        "width": row.width,
        "height": row.height,
        "seed": None if random_seed else row.seed,
        "reserved_usd": round(float(row.reserved_usd), 4),
    }


def final(row: Final) -> Answer:
    return row.option.as_json() | {
        "seed": row.option.settings.seed,
        "difference_usd": round(float(row.difference_usd), 4),
    }


def _links(row: VideoJob, request: UserRequest, *, has_frame: bool) -> Answer:
    if row.hidden_at is not None:
        return {"video_url": None, "poster_url": None, "preview_url": None}
    if row.status == Status.SUCCEEDED:
        return {
            "video_url": _link(row.video_key, request),
            "poster_url": _link(row.poster_key, request),
            "preview_url": _link(row.loop_key, request),
        }
    frame = request.build_absolute_uri(reverse("api-job-preview", args=[row.pk])) if has_frame else None
    return {"video_url": None, "poster_url": None, "preview_url": frame}


def _link(key: str, request: UserRequest, content_type: str = "") -> str | None:
    return request.build_absolute_uri(link(key, content_type=content_type)) if key else None


_UNTRIED: Answer = {"timings": {}, "prompt_used": None, "drift": []}


def _last_tries(rows: Sequence[VideoJob]) -> dict[UUID, Answer]:
    """What each job's last attempt tells; a job that was never tried costs no query."""
    tried = {row.pk: row.prompt for row in rows if row.attempts_made}
    if not tried:
        return {}
    attempts = Attempt.objects.filter(job__in=tried).order_by("number").annotate(used=KT("engine_metadata__prompt"))
    return {
        pk: {"timings": timings, "prompt_used": used if used and used != tried[pk] else None, "drift": drift}
        for pk, timings, used, drift in attempts.values_list("job_id", "timings", "used", "drift")
    }


def _tags(rows: Sequence[VideoJob]) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    links = VideoJob.tags.through.objects.filter(videojob__in=[row.pk for row in rows]).order_by("tag__name")
    for pk, name in links.values_list("videojob_id", "tag__name"):
        found.setdefault(pk, []).append(name)
    return found


def _with_frame(rows: Sequence[VideoJob]) -> set[UUID]:
    rendering = [row.pk for row in rows if row.status == Status.RENDERING]
    return set(PreviewFrame.objects.filter(job__in=rendering).values_list("job_id", flat=True)) if rendering else set()


def image(row: SourceImage, request: UserRequest) -> Answer:
    return {
        "id": str(row.pk),
        "name": row.name,
        "width": row.width,
        "height": row.height,
        "size_bytes": row.size_bytes,
        "content_type": row.content_type,
        "url": _link(row.key, request, row.content_type),
        "thumbnail_url": _link(row.thumbnail_key, request, "image/jpeg"),
        "created_at": moment(row.created_at),
    }


def models(rows: Sequence[VideoModel]) -> list[Answer]:
    ready = runnable(rows)
    return [_model(row, available=row.pk in ready) for row in rows]


def _model(row: VideoModel, *, available: bool) -> Answer:
    return {
        "model": row.slug,
        "name": row.name,
        "summary": row.summary,
        "provider": row.provider,
        "rating": row.rating,
        "family": row.family,
        "available": available,
        "price": _price(row),
        "licence": {"name": row.licence_name, "url": row.licence_url, "commercial_use": row.commercial_use},
        "num_frames": _range(row, "frames") | {"step": row.frames_step},
        "frame_choices": row.frame_choices,
        "fps": _range(row, "fps") | {"step": 1},
        "steps": _range(row, "steps") | {"step": 1},
        "cfg_scale": _range(row, "cfg"),
        "size": {
            "offered": row.sizes,
            "min_side": row.min_side,
            "max_side": row.max_side,
            "max_pixels": row.max_pixels,
            "multiple_of": SIZE_STEP,
        },
        "takes_end_image": row.takes_end_image,
        "negative_prompt": row.default_negative_prompt,
        "typical_seconds": row.typical_seconds,
    }


def _price(row: VideoModel) -> Answer | None:
    if row.price_usd is None:
        return None
    return {
        "usd": float(row.price_usd),
        "unit": row.price_unit,
        "by_resolution": {name: float(usd) for name, usd in row.price_by_resolution.items()},
        "seen_on": row.price_seen_on.isoformat() if row.price_seen_on else None,
    }


def _range(row: VideoModel, name: str) -> Answer:
    return {bound: getattr(row, f"{prefix}_{name}") for bound, prefix in _BOUNDS}


_BOUNDS = (("default", "default"), ("min", "min"), ("max", "max"))


def preset(row: Preset) -> Answer:
    return {
        "id": str(row.pk),
        "name": row.name,
        "model": row.model.slug,
        "values": row.values,
        "created_at": moment(row.created_at),
    }


def token(row: ApiToken) -> Answer:
    return {
        "id": row.digest[:TOKEN_ID_CHARS],
        "name": row.name,
        "starts_with": row.token_key,
        "created_at": moment(row.created),
        "expires_at": moment(row.expiry),
        "last_used_at": moment(row.last_used_at),
    }


def moment(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None
