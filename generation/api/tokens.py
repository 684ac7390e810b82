"""API tokens: several per person, named, shown once, revocable."""

from django.shortcuts import get_object_or_404
from django.urls.converters import StringConverter
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api import describe
from generation.api.answers import NewTokenAnswer, TokensAnswer
from generation.api.base import UserRequest, checked
from generation.api.serializers import TokenRequest
from generation.errors import TooManyTokens
from generation.models import ApiToken

_TAG = ["tokens"]
MAX_TOKENS = 100


class DigestStart(StringConverter):
    regex = f"[0-9a-f]{{{describe.TOKEN_ID_CHARS}}}"


class Tokens(APIView):
    @extend_schema(
        tags=_TAG, operation_id="list_tokens", summary="Your tokens, without their secrets", responses=TokensAnswer
    )
    def get(self, request: UserRequest) -> Response:
        return Response({"results": [describe.token(row) for row in ApiToken.objects.filter(user=request.user)]})

    @extend_schema(
        tags=_TAG,
        operation_id="create_token",
        summary="Make a token",
        description="`token` is shown in this answer and never again.",
        request=TokenRequest,
        responses={201: NewTokenAnswer},
    )
    def post(self, request: UserRequest) -> Response:
        wanted = checked(TokenRequest, request.data)
        if ApiToken.objects.filter(user=request.user).count() >= MAX_TOKENS:
            raise TooManyTokens(_("You have %(max_tokens)s tokens. Revoke one first.") % {"max_tokens": MAX_TOKENS})
        row, secret = ApiToken.objects.create(user=request.user, name=wanted["name"])
        return Response(describe.token(row) | {"token": secret}, status=201, headers={"Cache-Control": "no-store"})


class Token(APIView):
    @extend_schema(tags=_TAG, operation_id="revoke_token", summary="Revoke a token at once", responses={204: None})
    def delete(self, request: UserRequest, pk: str) -> Response:
        get_object_or_404(ApiToken, user=request.user, digest__startswith=pk).delete()
        return Response(status=204)
