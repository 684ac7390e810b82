"""Jobs: submit, look, change one's mind."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import queries
from generation.api import describe, submitting
from generation.api.answers import DryRunAnswer, ErrorAnswer, JobAnswer, JobPage
from generation.api.base import (
    IDEMPOTENCY_KEY,
    LOCATION,
    PREFER,
    FormOrJsonView,
    UserRequest,
    checked,
)
from generation.api.job_notes import JobNotes
from generation.api.pagination import page
from generation.api.serializers import (
    EventsRequest,
    JobFilter,
    RetryRequest,
    VideoForm,
    VideoRequest,
)
from generation.errors import EngineNotConfigured
from generation.library_queries import Wanted, matching, midnight, midnight_after
from generation.models import PreviewFrame, Provider, Status, VideoJob
from generation.services import deleting, jobs
from generation.streams import ALL_JOBS, stream_token
from i2v_site.api import AnyAccept

_TAG = ["jobs"]
_VIDEO_BODY = {"application/json": VideoRequest, "multipart/form-data": VideoForm}
_SUBMIT_PARAMETERS = [IDEMPOTENCY_KEY, PREFER, LOCATION]
NO_PICTURE = OpenApiResponse(ErrorAnswer, description="You have no picture with this `image_id`.")
_MISMATCH = OpenApiResponse(ErrorAnswer, description="This Idempotency-Key was used for a different request.")
CAP_REACHED = OpenApiResponse(
    ErrorAnswer, description="`cap_reached`: it may cost more than a cap on money leaves. Nothing was stored."
)
_JOB_OR_DRY_RUN = OpenApiResponse(
    PolymorphicProxySerializer("JobOrDryRun", [JobAnswer, DryRunAnswer], resource_type_field_name=None),
    description="The job, when `Prefer: wait` was given and it is over; or what a dry run found.",
)
_REFUSALS = {402: CAP_REACHED, 404: NO_PICTURE, 422: _MISMATCH}
_RULE = "Without `model`, your rule chooses it (see `rule`); the job's `chosen_because` says why. "
_DRY = "`dry_run`: true checks everything, picture and caps too, and stores and spends nothing."


class GenerateVideo(FormOrJsonView):
    throttle_scope = "submit"

    @extend_schema(
        tags=["swarmui"],
        operation_id="generate_video",
        summary="Make a video on SwarmUI",
        description="The model is the first one that SwarmUI renders, unless `model` names another. A `rule` in the "
        "request chooses within that model's family. " + _DRY,
        parameters=_SUBMIT_PARAMETERS,
        request=_VIDEO_BODY,
        responses={202: JobAnswer, 200: _JOB_OR_DRY_RUN, **_REFUSALS},
    )
    def post(self, request: UserRequest) -> Response:
        return submitting.submit(request, status=202, default=_first_on_swarmui)


def _first_on_swarmui(request: UserRequest, values: dict[str, Any]) -> None:
    """Name the first model of SwarmUI, or only its family when the request brings a rule to choose by."""
    model = queries.visible_models(request.user).filter(provider=Provider.SWARMUI).first()
    if model is None:
        raise EngineNotConfigured("No SwarmUI model is enabled. Ask an operator, or use POST /api/jobs.", field="model")
    if not values.get("rule") or not model.family:
        values["model"] = model.slug
    elif not values.get("family"):
        values["family"] = model.family


class Jobs(FormOrJsonView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_jobs",
        summary="Your jobs, newest first",
        parameters=[JobFilter],
        responses=JobPage,
    )
    def get(self, request: UserRequest) -> Response:
        wanted = checked(JobFilter, request.query_params)

        def answers(rows: list[VideoJob]) -> list[dict[str, Any]]:
            return describe.jobs(rows, request)

        rows = matching(request.user, _wanted(wanted)).select_related("model", "image")
        return page(rows, request, limit=wanted["limit"], describe=answers)

    @extend_schema(
        tags=_TAG,
        operation_id="submit_job",
        summary="Make a video",
        description=_RULE + _DRY,
        parameters=_SUBMIT_PARAMETERS,
        request=_VIDEO_BODY,
        responses={201: JobAnswer, 200: _JOB_OR_DRY_RUN, **_REFUSALS},
    )
    def post(self, request: UserRequest) -> Response:
        return submitting.submit(request, status=201)


def _wanted(given: dict[str, Any]) -> Wanted:
    first, last = given.get("from"), given.get("to")
    starts = [moment for moment in (given.get("created_after"), first and midnight(first)) if moment]
    ends = [moment for moment in (given.get("created_before"), last and midnight_after(last)) if moment]
    return Wanted(
        words=given.get("q", ""),
        statuses=tuple(given.get("status", ())),
        model=given.get("model", ""),
        since=max(starts, default=None),
        until=min(ends, default=None),
        favourite=given["favourite"],
        tags=tuple(given.get("tag", ())),
        batch=given.get("batch"),
    )


def own_job(request: UserRequest, pk: UUID) -> VideoJob:
    return get_object_or_404(queries.jobs_of(request.user), pk=pk)


class Job(JobNotes):
    @extend_schema(tags=_TAG, operation_id="get_job", summary="One job", responses=JobAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(describe.job(own_job(request, pk), request))

    @extend_schema(
        tags=_TAG,
        operation_id="delete_job",
        summary="Delete a job and its files",
        description="It is gone at once, and an unfinished one is cancelled; its files go a little later, see restore.",
        responses={204: None},
    )
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        deleting.delete_job(job=own_job(request, pk))
        return Response(status=204)


class RetryJob(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="retry_job",
        summary="Do a job again",
        description="A new job with the settings of this one: an ended one with the same seed, any with `new_seed`.",
        parameters=[LOCATION],
        request=RetryRequest,
        responses={201: JobAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        wanted = checked(RetryRequest, request.data)
        again = jobs.retry_job(job=job, new_seed=wanted["new_seed"])
        headers = {"Location": request.build_absolute_uri(reverse("api-job", args=[again.pk]))}
        return Response(describe.new_job(again, request), status=201, headers=headers)


class JobPreview(APIView):
    content_negotiation_class = AnyAccept

    @extend_schema(
        tags=_TAG,
        operation_id="get_job_preview",
        summary="The newest frame of a video in the making",
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: UserRequest, pk: UUID) -> HttpResponse:
        frames = PreviewFrame.objects.filter(job__in=queries.jobs_of(request.user).filter(status=Status.RENDERING))
        frame = get_object_or_404(frames, pk=pk)
        return HttpResponse(bytes(frame.jpeg), content_type="image/jpeg", headers={"Cache-Control": "no-store"})


_STREAM_DESCRIPTION = (
    "Redirects to a stream of server-sent events: `job` with what has changed (data: JSON with `id`, `status`, "
    "`progress`, `message`, `queue_position`, `eta_s`, ...), `gone` for a deleted job, and `done` when all are over. "
    "The address is good for 5 minutes; come back here to connect again, with the id of the last event as "
    "`Last-Event-ID`: what ended or was deleted since is told, for 10 minutes. After a longer time `reset` is told: "
    "look at everything again. "
)
_STAY_DESCRIPTION = (
    "With `stay` the stream goes on when all are over, tells of new ones, and of your queue itself: `queue` with "
    "`paused` and `order`."
)
_STREAM = {307: OpenApiResponse(description="`Location` is the stream.")}
_STREAM_LOCATION = OpenApiParameter("Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[307])


class JobEvents(APIView):
    content_negotiation_class = AnyAccept

    @extend_schema(
        tags=_TAG,
        operation_id="watch_job",
        summary="Follow one job",
        description=_STREAM_DESCRIPTION,
        parameters=[_STREAM_LOCATION],
        responses=_STREAM,
    )
    def get(self, request: UserRequest, pk: UUID) -> HttpResponse:
        return _to_stream(request, stream_token(request.user.pk, str(own_job(request, pk).pk)))


class AllEvents(APIView):
    content_negotiation_class = AnyAccept

    @extend_schema(
        tags=_TAG,
        operation_id="watch_jobs",
        summary="Follow all your unfinished jobs",
        description=_STREAM_DESCRIPTION + _STAY_DESCRIPTION,
        parameters=[EventsRequest, _STREAM_LOCATION],
        responses=_STREAM,
    )
    def get(self, request: UserRequest) -> HttpResponse:
        wanted = checked(EventsRequest, request.query_params)
        more = {"stay": "1"} if wanted["stay"] else {}
        return _to_stream(request, stream_token(request.user.pk, ALL_JOBS), more)


def _to_stream(request: UserRequest, token: str, more: dict[str, str] | None = None) -> HttpResponse:
    query = {"token": token, **(more or {})}
    # On the way to another address a client may lose the header that says what it has already.
    last = request.headers.get("Last-Event-ID") or request.query_params.get("since")
    if last:
        query["since"] = last[:20]
    address = f"{settings.LIVE_URL}/events?{urlencode(query)}"
    answer = HttpResponseRedirect(address, headers={"Cache-Control": "no-store"})
    answer.status_code = 307
    return answer
