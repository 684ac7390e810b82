"""The models that a person can choose from."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import queries
from generation.api import describe
from generation.api.answers import ModelsAnswer
from generation.api.base import UserRequest


class Models(APIView):
    @extend_schema(
        tags=["models"],
        operation_id="list_models",
        summary="Models with everything they take",
        description="A request without `model` uses the one that your rule chooses; without a rule, the first that is "
        "available and not the cloud.",
        responses=ModelsAnswer,
    )
    def get(self, request: UserRequest) -> Response:
        return Response({"results": describe.models(list(queries.visible_models(request.user)))})
