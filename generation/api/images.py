"""Pictures: upload once, use in many jobs."""

from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api import describe
from generation.api.answers import ImageAnswer, ImagePage
from generation.api.base import LOCATION, FormOrJsonView, UserRequest, checked
from generation.api.pagination import page
from generation.api.serializers import ImageForm, ImageRequest, PageFilter
from generation.models import SourceImage
from generation.services.intake import delete_picture, store_data_url, store_picture

_TAG = ["images"]


class Images(FormOrJsonView):
    throttle_scope = "upload"

    @extend_schema(
        tags=_TAG,
        operation_id="list_images",
        summary="Your pictures, newest first",
        parameters=[PageFilter],
        responses=ImagePage,
    )
    def get(self, request: UserRequest) -> Response:
        def answers(rows: list[SourceImage]) -> list[dict[str, Any]]:
            return [describe.image(row, request) for row in rows]

        wanted = checked(PageFilter, request.query_params)
        rows = SourceImage.objects.filter(owner=request.user, hidden_at=None)
        return page(rows, request, limit=wanted["limit"], describe=answers)

    @extend_schema(
        tags=_TAG,
        operation_id="upload_image",
        summary="Upload a picture",
        description="JPEG, PNG or WebP. Only a cleaned copy is kept; the same picture is kept once.",
        parameters=[LOCATION],
        request={"application/json": ImageRequest, "multipart/form-data": ImageForm},
        responses={201: ImageAnswer},
    )
    def post(self, request: UserRequest) -> Response:
        wanted = checked(ImageRequest, request.data)
        picture, name = wanted["image"], wanted.get("name", "")
        if isinstance(picture, UploadedFile):
            image = store_picture(owner=request.user, file=picture, name=name or picture.name or "")
        else:
            image = store_data_url(owner=request.user, data_url=picture, name=name)
        headers = {"Location": request.build_absolute_uri(reverse("api-image", args=[image.pk]))}
        return Response(describe.image(image, request), status=201, headers=headers)


class Image(APIView):
    @extend_schema(tags=_TAG, operation_id="get_image", summary="One picture", responses=ImageAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(describe.image(_own(request, pk), request))

    @extend_schema(
        tags=_TAG,
        operation_id="delete_image",
        summary="Delete a picture",
        description="Videos made from it stay. While an unfinished job needs it, it is a 409.",
        responses={204: None},
    )
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        delete_picture(image=_own(request, pk))
        return Response(status=204)


def _own(request: UserRequest, pk: UUID) -> SourceImage:
    return get_object_or_404(SourceImage, owner=request.user, hidden_at=None, pk=pk)
