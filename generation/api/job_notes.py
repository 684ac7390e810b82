"""What a person keeps with a video, and bringing a deleted one back."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import queries
from generation.api import describe
from generation.api.answers import ErrorAnswer, JobAnswer
from generation.api.base import UserRequest, checked
from generation.api.fields import TextField
from generation.errors import TooLateToRestore
from generation.models import VideoJob
from generation.services.deleting import restore_jobs
from generation.services.describing import ALT_TEXT_MAX, describe_video
from i2v_site.serializers import StrictSerializer

_TAG = ["jobs"]


class JobNotesRequest(StrictSerializer):
    alt_text = TextField(
        required=False,
        allow_blank=True,
        max_length=ALT_TEXT_MAX,
        help_text="What the video shows, for people who cannot see it.",
    )


class JobNotes(APIView):
    """The part of a job that can be changed at any time."""

    @extend_schema(
        tags=_TAG,
        operation_id="change_job",
        summary="Change what you keep with a video",
        description="What is left out stays as it is.",
        request=JobNotesRequest,
        responses=JobAnswer,
    )
    def patch(self, request: UserRequest, pk: UUID) -> Response:
        job = get_object_or_404(queries.jobs_of(request.user), pk=pk)
        wanted = checked(JobNotesRequest, request.data)
        with transaction.atomic():
            change(job, wanted)
        return Response(describe.job(job, request))


def change(job: VideoJob, wanted: dict[str, Any]) -> None:
    if "alt_text" in wanted:
        describe_video(job=job, text=wanted["alt_text"])


class RestoreJob(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="restore_job",
        summary="Take a deletion back",
        description="For 30 seconds, and usually a little longer. What was unfinished stays cancelled.",
        request=None,
        responses={
            200: JobAnswer,
            409: OpenApiResponse(ErrorAnswer, description="`too_late`: its files are being deleted."),
        },
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        mine = get_object_or_404(VideoJob.objects.filter(owner=request.user), pk=pk)
        if mine.deleted_at and not restore_jobs(owner=request.user, ids=[pk]):
            raise TooLateToRestore(_("It is too late: the video is gone."))
        return Response(describe.job(queries.jobs_of(request.user).get(pk=pk), request))
