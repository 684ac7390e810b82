"""Before the click: what a video would take and cost, and how a draft becomes a final."""

from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api import describe, submitting
from generation.api.answers import EstimateAnswer, FinalsAnswer, JobAnswer
from generation.api.base import LOCATION, FormOrJsonView, UserRequest, checked
from generation.api.jobs import CAP_REACHED, NO_PICTURE, own_job
from generation.api.serializers import EstimateForm, EstimateRequest, FinalRequest
from generation.services import drafts
from generation.services.weighing import weigh

_TAG = ["jobs"]


class Estimate(FormOrJsonView):
    @extend_schema(
        tags=_TAG,
        operation_id="estimate_job",
        summary="What a video would take and cost",
        description="Takes what POST /api/jobs takes and stores nothing. `options` are all models for the same wish; "
        "`warnings` foretell a bad result or a refusal. Prompt and picture may be left out; a picture in the body "
        "is not looked at (`dry_run` of a submit does that).",
        request={"application/json": EstimateRequest, "multipart/form-data": EstimateForm},
        responses={200: EstimateAnswer, 404: NO_PICTURE},
    )
    def post(self, request: UserRequest) -> Response:
        values = checked(EstimateRequest, request.data)
        values.pop("image", None)
        values.setdefault("prompt", "")
        wish = submitting.wish_of(request, values)
        found = weigh(owner=request.user, request=wish.request, rule=wish.rule, family=wish.family)
        return Response(
            found.option.estimate.as_json()
            | {
                "model": found.option.model.slug,
                "chosen_because": found.choice.because,
                "options": [option.as_json() for option in found.options],
                "warnings": [warning.as_json() for warning in found.warnings],
            }
        )


class FinalOfJob(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_finals",
        summary="Ways to make the final of a draft",
        description="Every model that can, with the same picture, crop, prompt and seed, and the nearest size.",
        responses=FinalsAnswer,
    )
    def get(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        found = [describe.final(row) for row in drafts.finals(job)]
        return Response({"is_draft": drafts.is_draft(job), "results": found})

    @extend_schema(
        tags=_TAG,
        operation_id="make_final",
        summary="Make the final of a draft",
        description="A new job, whose `parent_id` is the draft: the same picture, crop, prompt and seed.",
        parameters=[LOCATION],
        request=FinalRequest,
        responses={201: JobAnswer, 402: CAP_REACHED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job, wanted = own_job(request, pk), checked(FinalRequest, request.data)
        final = drafts.make_final(owner=request.user, job=job, **wanted)
        headers = {"Location": request.build_absolute_uri(reverse("api-job", args=[final.pk]))}
        return Response(describe.new_job(final, request), status=201, headers=headers)
