"""Presets: settings kept under a name, to be used again with another picture."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api import describe
from generation.api.answers import PresetAnswer, PresetPage
from generation.api.base import LOCATION, UserRequest, checked
from generation.api.pagination import page
from generation.api.serializers import PageFilter, PresetRequest
from generation.models import Preset
from generation.services import presets

_TAG = ["presets"]


class Presets(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="list_presets",
        summary="Your presets, newest first",
        parameters=[PageFilter],
        responses=PresetPage,
    )
    def get(self, request: UserRequest) -> Response:
        def answers(rows: list[Preset]) -> list[dict[str, Any]]:
            return [describe.preset(row) for row in rows]

        wanted = checked(PageFilter, request.query_params)
        return page(_presets(request), request, limit=wanted["limit"], describe=answers)

    @extend_schema(
        tags=_TAG,
        operation_id="create_preset",
        summary="Keep settings under a name",
        parameters=[LOCATION],
        request=PresetRequest,
        responses={201: PresetAnswer},
    )
    def post(self, request: UserRequest) -> Response:
        preset = presets.create_preset(owner=request.user, **checked(PresetRequest, request.data))
        headers = {"Location": request.build_absolute_uri(reverse("api-preset", args=[preset.pk]))}
        return Response(describe.preset(preset), status=201, headers=headers)


class PresetDetail(APIView):
    @extend_schema(tags=_TAG, operation_id="get_preset", summary="One preset", responses=PresetAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(describe.preset(_own(request, pk)))

    @extend_schema(
        tags=_TAG,
        operation_id="replace_preset",
        summary="Replace a preset",
        request=PresetRequest,
        responses=PresetAnswer,
    )
    def put(self, request: UserRequest, pk: UUID) -> Response:
        preset = _own(request, pk)
        changed = presets.change_preset(preset=preset, **checked(PresetRequest, request.data))
        return Response(describe.preset(changed))

    @extend_schema(tags=_TAG, operation_id="delete_preset", summary="Delete a preset", responses={204: None})
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        _own(request, pk).delete()
        return Response(status=204)


def _presets(request: UserRequest) -> Any:
    return Preset.objects.filter(owner=request.user).select_related("model", "owner")


def _own(request: UserRequest, pk: UUID) -> Preset:
    preset: Preset = get_object_or_404(_presets(request), pk=pk)
    return preset
