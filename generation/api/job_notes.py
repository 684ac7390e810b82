"""What a person keeps with a video, and bringing a deleted one back."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import queries
from generation.api import describe
from generation.api.answers import ErrorAnswer, JobAnswer, TagsAnswer
from generation.api.base import UserRequest, checked
from generation.api.fields import SwitchField, TextField
from generation.errors import TooLateToRestore
from generation.library_queries import tags_with_counts
from generation.models import VideoJob
from generation.services.deleting import restore_jobs
from generation.services.describing import ALT_TEXT_MAX, describe_video
from generation.services.library import MAX_NAME_CHARS, MAX_TAGS_PER_VIDEO, set_favourite, set_tags, tag_names
from i2v_site.serializers import StrictSerializer

_TAG = ["jobs"]


class JobNotesRequest(StrictSerializer):
    alt_text = TextField(
        required=False,
        allow_blank=True,
        max_length=ALT_TEXT_MAX,
        help_text="What the video shows, for people who cannot see it.",
    )
    favourite = SwitchField(required=False)
    tags = serializers.ListField(
        child=TextField(max_length=MAX_NAME_CHARS),
        required=False,
        max_length=MAX_TAGS_PER_VIDEO,
        help_text="Instead of those that it has. New words become tags; whether letters are small does not matter.",
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
    if "favourite" in wanted:
        set_favourite(owner=job.owner, ids=[job.pk], on=wanted["favourite"])
    if "tags" in wanted:
        names = [name for text in wanted["tags"] for name in tag_names(text)]
        set_tags(owner=job.owner, job=job, names=names)
    job.refresh_from_db(fields=["favourite_at"])


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


class Tags(APIView):
    @extend_schema(
        tags=_TAG, operation_id="list_tags", summary="Your tags, in the order of their names", responses=TagsAnswer
    )
    def get(self, request: UserRequest) -> Response:
        rows = tags_with_counts(request.user)
        return Response({"results": [{"name": row.name, "videos": row.videos} for row in rows]})
