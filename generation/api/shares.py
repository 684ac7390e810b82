"""Links at which other people see a video or a clip."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api.answers import ErrorAnswer
from generation.api.base import UserRequest, checked
from generation.api.describe import moment
from generation.api.fields import SwitchField
from generation.api.jobs import own_job
from generation.models import Clip, ShareLink
from generation.services.sharing import links_of, revoke, share
from i2v_site.serializers import StrictSerializer

_TAG = ["shares"]
_REFUSED = OpenApiResponse(ErrorAnswer, description="`link_refused`: it is not finished, or there are too many links.")


class ShareRequest(StrictSerializer):
    audience = serializers.ChoiceField(
        choices=ShareLink.Audience.choices, required=False, default=ShareLink.Audience.ANYONE
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="ISO 8601. Left out: it works until it is taken back."
    )
    shows_prompt = SwitchField(required=False, default=False, help_text="Whether the page shows the prompt.")
    allows_download = SwitchField(required=False, default=False, help_text="Whether the page offers the file.")


class ShareAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.URLField(help_text="Whoever is in the audience and has it sees the video.")
    job_id = serializers.UUIDField(allow_null=True)
    clip_id = serializers.UUIDField(allow_null=True)
    audience = serializers.ChoiceField(choices=ShareLink.Audience.choices)
    expires_at = serializers.DateTimeField(allow_null=True)
    shows_prompt = serializers.BooleanField()
    allows_download = serializers.BooleanField()
    views = serializers.IntegerField(help_text="Once for each visitor's session.")
    created_at = serializers.DateTimeField()


def _answer(link: ShareLink, request: UserRequest) -> dict[str, Any]:
    return {
        "id": str(link.pk),
        "url": request.build_absolute_uri(reverse("shared", args=[link.token])),
        "job_id": str(link.job_id) if link.job_id else None,
        "clip_id": str(link.clip_id) if link.clip_id else None,
        "audience": link.audience,
        "expires_at": moment(link.expires_at),
        "shows_prompt": link.shows_prompt,
        "allows_download": link.allows_download,
        "views": link.views,
        "created_at": moment(link.created_at),
    }


class JobShares(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_shares",
        summary="The links to a video and to clips of it",
        description="Newest first; without those that were taken back.",
        responses=ShareAnswer(many=True),
    )
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response([_answer(link, request) for link in links_of(own_job(request, pk))])

    @extend_schema(
        tags=_TAG,
        operation_id="share_job",
        summary="Make a link to a video",
        request=ShareRequest,
        responses={201: ShareAnswer, 409: _REFUSED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        job = own_job(request, pk)
        link = share(owner=request.user, job=job, **checked(ShareRequest, request.data))
        return Response(_answer(link, request), status=201)


class ClipShares(APIView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="share_clip",
        summary="Make a link to a clip",
        request=ShareRequest,
        responses={201: ShareAnswer, 409: _REFUSED},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        clip = get_object_or_404(Clip, owner=request.user, deleted_at=None, pk=pk)
        link = share(owner=request.user, clip=clip, **checked(ShareRequest, request.data))
        return Response(_answer(link, request), status=201)


class Share(APIView):
    @extend_schema(tags=_TAG, operation_id="revoke_share", summary="Take a link back", responses={204: None})
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        revoke(link=get_object_or_404(ShareLink, owner=request.user, pk=pk))
        return Response(status=204)
