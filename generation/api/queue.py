"""One's own queue: cancel and take it back, the order, the pause."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import queue_queries
from generation.api import describe
from generation.api.answers import JobAnswer
from generation.api.base import UserRequest, checked
from generation.api.fields import SwitchField
from generation.api.jobs import own_job
from generation.services import queueing
from i2v_site.serializers import StrictSerializer

_TAG = ["queue"]
_JOBS = ["jobs"]


class CancelRequest(StrictSerializer):
    grace_s = serializers.FloatField(
        required=False,
        default=0,
        min_value=0,
        max_value=queueing.LONGEST_GRACE_S,
        help_text="Seconds in which the cancel can be taken back. 0, or left out: at once.",
    )


class MoveRequest(StrictSerializer):
    to = serializers.ChoiceField(choices=["up", "down", "first", "last"])


class QueueRequest(StrictSerializer):
    paused = SwitchField(help_text="True: nothing more of yours is started; what runs goes on.")


class QueueAnswer(serializers.Serializer[Any]):
    paused = serializers.BooleanField()
    order = serializers.ListField(
        child=serializers.UUIDField(), help_text="Your unfinished jobs: what is made first, then what waits, in turn."
    )


class CancelJob(APIView):
    @extend_schema(
        tags=_JOBS,
        operation_id="cancel_job",
        summary="Cancel an unfinished job",
        description="With `grace_s` it takes effect later (`cancel_at`), and can be taken back until then.",
        request=CancelRequest,
        responses=JobAnswer,
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        wanted = checked(CancelRequest, request.data)
        return Response(describe.job(queueing.ask_to_cancel(job=job, grace_s=wanted["grace_s"]), request))


class TakeBackCancel(APIView):
    @extend_schema(
        tags=_JOBS,
        operation_id="take_back_cancel",
        summary="Take a cancel back",
        description="Only while it has not taken effect; later it is a 409. Does nothing when nobody asked to cancel.",
        request=None,
        responses=JobAnswer,
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        return Response(describe.job(queueing.take_back_cancel(job=own_job(request, pk)), request))


class MoveJob(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="move_job",
        summary="Move a waiting job in your own queue",
        description="Other people's turns stay what they are.",
        request=MoveRequest,
        responses=QueueAnswer,
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        queueing.move(job=job, **checked(MoveRequest, request.data))
        return Response(_answer(request))


class Queue(APIView):
    @extend_schema(tags=_TAG, operation_id="get_queue", summary="Your queue", responses=QueueAnswer)
    def get(self, request: UserRequest) -> Response:
        return Response(_answer(request))

    @extend_schema(
        tags=_TAG,
        operation_id="change_queue",
        summary="Pause or resume your queue",
        request=QueueRequest,
        responses=QueueAnswer,
    )
    def patch(self, request: UserRequest) -> Response:
        wanted = checked(QueueRequest, request.data)
        (queueing.pause if wanted["paused"] else queueing.resume)(owner=request.user)
        return Response(_answer(request))


def _answer(request: UserRequest) -> dict[str, Any]:
    order = queue_queries.unfinished_of(request.user)
    return {"paused": queueing.is_paused(owner=request.user), "order": [str(row.pk) for row in order]}
