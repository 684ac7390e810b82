"""What is known of a file; for anybody, and nothing of it is kept."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api.base import checked
from generation.services.verifying import Made, Told, look_at
from i2v_site.api import MultiPartParser
from i2v_site.serializers import StrictSerializer


class CheckParser(MultiPartParser):
    def most_bytes(self) -> int:
        return int(settings.CHECK_MAX_BYTES)


class CheckForm(StrictSerializer):
    file = serializers.FileField(help_text="An MP4 video, or a JPEG, PNG or WebP picture.")


class MadeAnswer(serializers.Serializer[Any]):
    on = serializers.DateField()
    by_ai = serializers.BooleanField(help_text="False: the motion preview, which moves a camera over a picture.")
    is_clip = serializers.BooleanField(help_text="Cut, joined or converted from videos that were made here.")


class CredentialsAnswer(serializers.Serializer[Any]):
    present = serializers.BooleanField()
    intact = serializers.BooleanField(help_text="The file is still what was signed.")
    trusted = serializers.BooleanField(help_text="Signed with this site's own certificate.")
    issuer = serializers.CharField(allow_blank=True)
    software = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_blank=True, help_text="IPTC's digital source type.")


class CheckAnswer(serializers.Serializer[Any]):
    sha256 = serializers.CharField()
    media = serializers.ChoiceField(choices=["video", "picture"])
    credentials = CredentialsAnswer(allow_null=True, help_text="Null: they could not be read.")
    made_here = MadeAnswer(allow_null=True, help_text="This very file, byte for byte.")
    looks_like = MadeAnswer(many=True, help_text="Files made here that look like it.")
    taken_down = serializers.BooleanField(help_text="This very file was taken down here.")
    knows_nothing = serializers.BooleanField(help_text="True proves nothing: marks can be removed.")


class Check(APIView):
    permission_classes = [AllowAny]
    parser_classes = [CheckParser]
    throttle_scope = "check"

    @extend_schema(
        tags=["check"],
        operation_id="check_file",
        summary="What is known of a file",
        description="Its content credentials, and whether it, or one that looks like it, was made here. No account is "
        "needed; the file is not kept.",
        request={"multipart/form-data": CheckForm},
        responses=CheckAnswer,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        file = checked(CheckForm, request.data)["file"]
        return Response(described(look_at(file.chunks())))


def described(told: Told) -> dict[str, Any]:
    marks = told.marks
    names = ("present", "intact", "trusted", "issuer", "software", "model", "source_type")
    return {
        "sha256": told.sha256,
        "media": told.media,
        "credentials": {name: getattr(marks, name) for name in names} if marks else None,
        "made_here": _made(told.made) if told.made else None,
        "looks_like": [_made(one) for one in told.alike],
        "taken_down": told.taken_down,
        "knows_nothing": told.knows_nothing,
    }


def _made(one: Made) -> dict[str, Any]:
    return {"on": one.on.isoformat(), "by_ai": one.by_ai, "is_clip": one.is_clip}
