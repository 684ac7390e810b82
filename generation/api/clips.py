"""Clips of finished videos, frames to go on from, and chains of videos."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import clip_queries, queries
from generation.api import describe
from generation.api.answers import ImageAnswer
from generation.api.base import LOCATION, UserRequest, checked
from generation.api.clip_serializers import ClipAnswer, ClipPage, ClipRequest, FrameRequest, StorylineAnswer
from generation.api.jobs import own_job
from generation.api.pagination import page
from generation.api.serializers import PageFilter
from generation.errors import NoVideo
from generation.models import Clip, ClipPart
from generation.services.clips import Part, delete_clip, make_clip
from generation.services.frames import take_frame
from generation.services.links import link
from generation.storyline import storyline_of

_TAG = ["clips"]
_OPTIONS = ("crossfade_s", "loops", "width", "fps")
_PARTS = Prefetch("parts", ClipPart.objects.filter(job__deleted_at=None))


class JobFrame(APIView):
    throttle_scope = "upload"

    @extend_schema(
        tags=["jobs"],
        operation_id="take_frame",
        summary="Keep a frame of a finished video as a picture",
        description="Exactly this frame, as PNG. The same frame twice is one picture. It stays when the video is "
        "deleted; the rights that were confirmed for the video come along.",
        parameters=[LOCATION],
        request=FrameRequest,
        responses={201: ImageAnswer},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        wanted = checked(FrameRequest, request.data)
        image = take_frame(owner=request.user, job=job, frame=wanted.get("frame"))
        headers = {"Location": request.build_absolute_uri(reverse("api-image", args=[image.pk]))}
        return Response(describe.image(image, request), status=201, headers=headers)


class Clips(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_clips",
        summary="Your clips, newest first",
        parameters=[PageFilter],
        responses=ClipPage,
    )
    def get(self, request: UserRequest) -> Response:
        wanted = checked(PageFilter, request.query_params)
        rows = clip_queries.clips_of_person(request.user).prefetch_related(_PARTS)
        return page(rows, request, limit=wanted["limit"], describe=lambda found: _clips(found, request))

    @extend_schema(
        tags=_TAG,
        operation_id="make_clip",
        summary="Make a clip of finished videos",
        description="On the CPU, at no cost: trim, join (with cuts or crossfades; all in the size and at the rate of "
        "the first), back and forth, smoother (motion estimation), bigger (scaled; no detail is added), GIF, WebP. "
        "At most 2,000 frames and 60 s; 20 unfinished ones at a time.",
        parameters=[LOCATION],
        request=ClipRequest,
        responses={201: ClipAnswer},
    )
    def post(self, request: UserRequest) -> Response:
        wanted = checked(ClipRequest, request.data)
        options = {name: wanted[name] for name in _OPTIONS if name in wanted}
        clip = make_clip(
            owner=request.user, kind=wanted["kind"], parts=_parts(request, wanted["parts"]), options=options
        )
        headers = {"Location": request.build_absolute_uri(reverse("api-clip", args=[clip.pk]))}
        return Response(_clips([clip], request)[0], status=201, headers=headers)


def _parts(request: UserRequest, wanted: Sequence[dict[str, Any]]) -> list[Part]:
    jobs = queries.jobs_of(request.user).in_bulk([part["job_id"] for part in wanted])
    if any(part["job_id"] not in jobs for part in wanted):
        raise NoVideo("One of the videos is not there. GET /api/jobs lists yours.", field="parts")
    return [Part(jobs[part["job_id"]], part["start_frame"], part["end_frame"]) for part in wanted]


class OneClip(APIView):
    @extend_schema(tags=_TAG, operation_id="get_clip", summary="One clip", responses=ClipAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(_clips([_own(request, pk)], request)[0])

    @extend_schema(
        tags=_TAG,
        operation_id="delete_clip",
        summary="Delete a clip and its files",
        description="The videos that it is made of stay. One that is being made is given up.",
        responses={204: None},
    )
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        delete_clip(clip=_own(request, pk))
        return Response(status=204)


def _own(request: UserRequest, pk: UUID) -> Clip:
    return get_object_or_404(clip_queries.clips_of_person(request.user).prefetch_related(_PARTS), pk=pk)


def _clips(rows: Sequence[Clip], request: Request) -> list[dict[str, Any]]:
    return [_clip(row, request) for row in rows]


_RESULTS = frozenset({"parts", "sound", "sound_dropped"})


def _clip(row: Clip, request: Request) -> dict[str, Any]:
    failed = row.state == Clip.State.FAILED
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "state": row.state,
        "parts": [
            {"job_id": str(part.job_id), "start_frame": part.start_frame, "end_frame": part.end_frame}
            for part in row.parts.all()
        ],
        "options": {name: value for name, value in row.options.items() if name not in _RESULTS},
        **{name: getattr(row, name) for name in ("width", "height", "frames", "fps")},
        "size_bytes": row.bytes,
        "sound_dropped": bool(row.options.get("sound_dropped")),
        "url": _address("" if row.hidden_at else row.key, request),
        "poster_url": _address("" if row.hidden_at else row.poster_key, request),
        "error": {"code": row.error_code, "message": row.error_message} if failed else None,
        "created_at": describe.moment(row.created_at),
        "finished_at": describe.moment(row.finished_at),
    }


def _address(key: str, request: Request) -> str | None:
    return request.build_absolute_uri(link(key)) if key else None


class JobStoryline(APIView):
    @extend_schema(
        tags=["jobs"],
        operation_id="get_storyline",
        summary="The chain of videos that a job belongs to",
        description="In its order. Join it with POST /api/clips: each part up to `cut_frame` (its last frame when that "
        "is null), because the next video begins with that frame.",
        responses=StorylineAnswer,
    )
    def get(self, request: UserRequest, pk: UUID) -> Response:
        story = storyline_of(own_job(request, pk))
        links = [
            {
                "job_id": str(link.job.pk),
                "status": link.job.status,
                "prompt": link.job.prompt,
                "take_ids": [str(take.pk) for take in link.takes],
                "from_earlier_take": link.from_earlier_take,
                "cut_frame": link.cut_frame,
            }
            for link in story.links
        ]
        return Response({"links": links, "can_be_joined": story.can_be_joined})
