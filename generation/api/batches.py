"""Several videos at once, and what can be made of one: variations, a smoother one, a bigger one."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import batch_queries
from generation.api import describe, idempotency, submitting
from generation.api.answers import JobAnswer
from generation.api.base import IDEMPOTENCY_KEY, LOCATION, UserRequest, checked
from generation.api.batch_serializers import BatchAnswer, BatchPage, BatchRequest, TotalAnswer, VaryRequest
from generation.api.idempotency import Answer
from generation.api.jobs import CAP_REACHED, NO_PICTURE, own_job
from generation.api.pagination import page
from generation.api.serializers import PageFilter
from generation.models import Batch, SourceImage, Status
from generation.services import after_steps, batches, checks
from generation.services.jobs import JobRequest

_TAG = ["batches"]


def answers(rows: list[Batch], request: UserRequest) -> list[dict[str, Any]]:
    tallies = batch_queries.tallies_of(rows)
    return [_answer(row, tallies[row.pk], request) for row in rows]


def _answer(row: Batch, tally: batch_queries.Tally, request: UserRequest) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "created_at": describe.moment(row.created_at),
        "count": tally.count,
        "unfinished": tally.unfinished,
        "counts": {status.value: tally.by_status.get(status.value, 0) for status in Status},
        "promised_usd": round(float(row.promised_usd), 4),
        "cost_usd": round(float(tally.cost_usd), 4),
        "jobs_url": request.build_absolute_uri(f"{reverse('api-jobs')}?batch={row.pk}"),
    }


def own_batch(request: UserRequest, pk: UUID) -> Batch:
    return get_object_or_404(batch_queries.batches_of(request.user), pk=pk)


def _wishes(request: UserRequest, values: dict[str, Any]) -> tuple[list[JobRequest], str]:
    """All requests of the body, with one model for all, and why it is this one."""
    images = [_own(request, pk) for pk in dict.fromkeys(values.pop("image_ids"))]
    prompts, variations = values.pop("prompts"), values.pop("variations")
    wish = submitting.wish_of(request, values | {"prompt": prompts[0], "image_id": images[0].pk})
    chosen, because = wish.chosen(request.user)
    return batches.expanded(request=chosen, images=images, prompts=prompts, variations=variations), because


def _own(request: UserRequest, pk: UUID) -> SourceImage:
    return submitting.own_picture(request, pk, field="image_ids")


class Batches(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_batches",
        summary="Your batches, newest first",
        parameters=[PageFilter],
        responses=BatchPage,
    )
    def get(self, request: UserRequest) -> Response:
        wanted = checked(PageFilter, request.query_params)
        rows = batch_queries.batches_of(request.user)
        return page(rows, request, limit=wanted["limit"], describe=lambda found: answers(found, request))

    @extend_schema(
        tags=_TAG,
        operation_id="submit_batch",
        summary="Make several videos",
        description="Every picture with every prompt, in so many variations. All are queued and promised, or none: a "
        "refusal says how many would fit.",
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        request=BatchRequest,
        responses={201: BatchAnswer, 402: CAP_REACHED, 404: NO_PICTURE},
    )
    def post(self, request: UserRequest) -> Response:
        key = idempotency.key_of(request)
        answer = idempotency.recall(key) if key else None
        if answer is None:
            answer = _submit(request, key)
        headers = {"Location": request.build_absolute_uri(reverse("api-batch", args=[answer.body["id"]]))}
        if answer.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(answer.body, status=answer.status, headers=headers)


def _submit(request: UserRequest, key: idempotency.Key | None) -> Answer:
    values = checked(BatchRequest, request.data)
    name = values.pop("name", "")
    wishes, because = _wishes(request, values)
    for prompt in {wish.prompt for wish in wishes}:
        checks.check_prompt(person=request.user, prompt=prompt)  # outside of the transaction of the key

    def create() -> Batch:
        return batches.submit_batch(owner=request.user, requests=wishes, name=name, because=because)

    def answered(batch: Batch) -> Answer:
        return Answer(None, 201, answers([batch], request)[0])

    return idempotency.once(key, create, answered) if key else answered(create())


class BatchEstimate(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="estimate_batch",
        summary="What a batch would take and cost",
        description="Takes what POST /api/batches takes and stores nothing.",
        request=BatchRequest,
        responses={200: TotalAnswer, 404: NO_PICTURE},
    )
    def post(self, request: UserRequest) -> Response:
        values = checked(BatchRequest, request.data)
        values.pop("name", None)
        wishes, because = _wishes(request, values)
        total = batches.total_of(owner=request.user, requests=wishes)
        dollars = {name: float(getattr(total, name)) for name in ("usd", "usd_low", "usd_high")}
        seconds = {name: getattr(total, name) for name in ("seconds", "seconds_low", "seconds_high")}
        chosen = {"model": wishes[0].model, "chosen_because": because, "count": total.count}
        return Response(chosen | dollars | seconds)


class OneBatch(APIView):
    @extend_schema(tags=_TAG, operation_id="get_batch", summary="One batch", responses=BatchAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(answers([own_batch(request, pk)], request)[0])


class CancelBatch(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="cancel_batch",
        summary="Cancel all unfinished videos of a batch, at once",
        request=None,
        responses=BatchAnswer,
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        batch = own_batch(request, pk)
        batches.cancel_batch(batch=batch)
        return Response(answers([batch], request)[0])


class RetryBatch(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="retry_batch",
        summary="Ask again for all videos of a batch that failed",
        description="New jobs in the same batch, with the same seeds; all or none.",
        request=None,
        responses={201: BatchAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        batch = own_batch(request, pk)
        batches.retry_failed(batch=batch)
        return Response(answers([own_batch(request, pk)], request)[0], status=201)


class VaryJob(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="vary_job",
        summary="Videos like this one with other seeds",
        parameters=[LOCATION],
        request=VaryRequest,
        responses={201: BatchAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job, wanted = own_job(request, pk), checked(VaryRequest, request.data)
        batch = batches.vary(job=job, count=wanted["count"])
        headers = {"Location": request.build_absolute_uri(reverse("api-batch", args=[batch.pk]))}
        return Response(answers([batch], request)[0], status=201, headers=headers)


def _made(request: UserRequest, pk: UUID, kind: str) -> Response:
    made = after_steps.make(own_job(request, pk), kind)
    headers = {"Location": request.build_absolute_uri(reverse("api-job", args=[made.pk]))}
    return Response(describe.new_job(made, request), status=201, headers=headers)


class SmootherJob(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="make_smoother",
        summary="The same video with frames in between",
        description="Rendered again with the same seed and settings: SwarmUI cannot put frames into a finished file.",
        parameters=[LOCATION],
        request=None,
        responses={201: JobAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        return _made(request, pk, after_steps.SMOOTHER)


class BiggerJob(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="make_bigger",
        summary="The same video in the next larger size",
        description="Rendered again with the same seed and settings in the next size of this shape that the model has.",
        parameters=[LOCATION],
        request=None,
        responses={201: JobAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        return _made(request, pk, after_steps.BIGGER)
