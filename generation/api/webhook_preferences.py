"""Preferences: who chooses the model when nobody names one, and how often mail comes."""

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api.base import UserRequest, checked
from generation.api.describe import Answer
from generation.api.webhook_answers import PreferencesAnswer, PreferencesRequest
from generation.models import Preferences
from generation.services.addresses import mail_address
from generation.services.preferences import change_preferences, preferences_of

_TAG = ["preferences"]


class PreferencesView(APIView):
    @extend_schema(tags=_TAG, operation_id="get_preferences", summary="Your preferences", responses=PreferencesAnswer)
    def get(self, request: UserRequest) -> Response:
        return Response(_answer(request.user, preferences_of(request.user)))

    @extend_schema(
        tags=_TAG,
        operation_id="change_preferences",
        summary="Change your preferences",
        request=PreferencesRequest,
        responses=PreferencesAnswer,
    )
    def patch(self, request: UserRequest) -> Response:
        changed = change_preferences(person=request.user, **checked(PreferencesRequest, request.data))
        return Response(_answer(request.user, changed))


def _answer(person: User, row: Preferences) -> Answer:
    return {
        "rule": row.rule,
        "mail": row.mail,
        "visible_label": row.visible_label,
        "mail_to": mail_address(person) or None,
    }
