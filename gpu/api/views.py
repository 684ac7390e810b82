"""GPU configuration over HTTP."""

from typing import Any, cast

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gpu import queries
from gpu.api.serializers import GpuConfigInput, GpuConfigOutput, TestConnectionInput, TestConnectionOutput
from gpu.services import config


class StaffWrite(BasePermission):
    """Everybody signed in may look; only staff may change."""

    message = "Only staff may do this."

    def has_permission(self, request: Request, _view: APIView) -> bool:
        return request.method in SAFE_METHODS or bool(request.user.is_staff)


class GpuConfigView(APIView):
    """GET and POST /api/gpu/config: the same four keys. 400 names the wrong field; writing is for staff."""

    permission_classes = [IsAuthenticated, StaffWrite]

    @extend_schema(
        operation_id="gpu_config_read", summary="Where SwarmUI is, and whether it answers", responses=GpuConfigOutput
    )
    def get(self, _request: Request) -> Response:
        return Response(_configuration())

    @extend_schema(
        operation_id="gpu_config_change",
        summary="Change the GPU configuration (staff)",
        request=GpuConfigInput,
        responses=GpuConfigOutput,
    )
    def post(self, request: Request) -> Response:
        data = GpuConfigInput(data=request.data)
        data.is_valid(raise_exception=True)
        config.save_config(**data.validated_data, actor=cast("User", request.user))
        return Response(_configuration())


class TestConnectionView(APIView):
    """POST /api/gpu/test-connection: 200 whatever was found; 400 for a wrong body."""

    __test__ = False  # not for pytest to collect

    permission_classes = [IsAuthenticated, StaffWrite]
    throttle_scope = "probe"

    @extend_schema(
        operation_id="gpu_test_connection",
        summary="Look at a SwarmUI server (staff)",
        request=TestConnectionInput,
        responses=TestConnectionOutput,
    )
    def post(self, request: Request) -> Response:
        data = TestConnectionInput(data=request.data)
        data.is_valid(raise_exception=True)
        return Response(TestConnectionOutput(config.probe(data.validated_data["url"])).data)


def _configuration() -> dict[str, Any]:
    row = config.load()
    return {
        "swarmui_url": row.swarmui_url,
        "swarmui_available": config.swarmui_available(),
        "gpu_provider": row.gpu_provider,
        "vastai_instance_id": queries.vast_id_in_use(),
    }
