"""Webhooks: a person's receivers, their secrets and their delivery log."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.api import webhook_answers as answers
from generation.api.base import LOCATION, UserRequest, checked
from generation.api.pagination import page
from generation.api.serializers import PageFilter
from generation.models import Delivery, WebhookEndpoint
from generation.services import webhooks

_TAG = ["webhooks"]
_NO_STORE = {"Cache-Control": "no-store"}
_SIGNED = (
    "Calls have the form of Standard Webhooks 1.0 (standardwebhooks.com): the headers `webhook-id` (the same at every "
    "repetition), `webhook-timestamp` and `webhook-signature`, and the body `{type, timestamp, data}`. An answer of "
    "2xx within 15 seconds counts as arrived; anything else is tried again for three days. 410 switches it off."
)


class Webhooks(APIView):
    throttle_scope = "probe"

    @extend_schema(tags=_TAG, operation_id="list_webhooks", summary="Your webhooks", responses=answers.WebhooksAnswer)
    def get(self, request: UserRequest) -> Response:
        return Response({"results": [answers.webhook(row) for row in _webhooks(request)]})

    @extend_schema(
        tags=_TAG,
        operation_id="create_webhook",
        summary="Have an address called with what happens to your videos",
        description=f"{_SIGNED} `secret` is shown in this answer and never again.",
        parameters=[LOCATION],
        request=answers.WebhookRequest,
        responses={201: answers.NewWebhookAnswer},
    )
    def post(self, request: UserRequest) -> Response:
        wanted = checked(answers.WebhookRequest, request.data)
        row, secret = webhooks.create_endpoint(owner=request.user, **wanted)
        location = request.build_absolute_uri(reverse("api-webhook", args=[row.pk]))
        body = answers.webhook(row) | {"secret": secret}
        return Response(body, status=201, headers=_NO_STORE | {"Location": location})


class Webhook(APIView):
    @extend_schema(tags=_TAG, operation_id="get_webhook", summary="One webhook", responses=answers.WebhookAnswer)
    def get(self, request: UserRequest, pk: UUID) -> Response:
        return Response(answers.webhook(_own(request, pk)))

    @extend_schema(
        tags=_TAG,
        operation_id="change_webhook",
        summary="Change a webhook, or switch it off and on",
        request=answers.WebhookChange,
        responses=answers.WebhookAnswer,
    )
    def patch(self, request: UserRequest, pk: UUID) -> Response:
        row = _own(request, pk)
        changed = webhooks.change_endpoint(endpoint=row, **checked(answers.WebhookChange, request.data))
        return Response(answers.webhook(changed))

    @extend_schema(
        tags=_TAG,
        operation_id="delete_webhook",
        summary="Delete a webhook with its log",
        responses={204: None},
    )
    def delete(self, request: UserRequest, pk: UUID) -> Response:
        _own(request, pk).delete()
        return Response(status=204)


class RotateSecret(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="rotate_webhook_secret",
        summary="Make a new secret",
        description="The one before it goes on signing for 24 hours: until then each call has both signatures.",
        request=None,
        responses=answers.NewWebhookAnswer,
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        row = _own(request, pk)
        secret = webhooks.rotate_secret(endpoint=row)
        return Response(answers.webhook(row) | {"secret": secret}, headers=_NO_STORE)


class TestWebhook(APIView):
    throttle_scope = "probe"

    @extend_schema(
        tags=_TAG,
        operation_id="test_webhook",
        summary="Send a test",
        description="Sends a notice of the type `webhook.test` to this receiver. How it went is in its deliveries.",
        request=None,
        responses={202: answers.DeliveryAnswer},
    )
    def post(self, request: UserRequest, pk: UUID) -> Response:
        made = webhooks.send_test(endpoint=_own(request, pk))
        return Response(answers.deliveries([made])[0], status=202)


class Deliveries(APIView):
    @extend_schema(
        tags=_TAG,
        operation_id="list_webhook_deliveries",
        summary="What was sent to a webhook, newest first",
        description="Kept for 90 days.",
        parameters=[PageFilter],
        responses=answers.DeliveryPage,
    )
    def get(self, request: UserRequest, pk: UUID) -> Response:
        wanted = checked(PageFilter, request.query_params)
        rows = _deliveries(_own(request, pk))
        return page(rows, request, limit=wanted["limit"], describe=answers.deliveries)


class ReplayDelivery(APIView):
    throttle_scope = "probe"

    @extend_schema(
        tags=_TAG,
        operation_id="replay_webhook_delivery",
        summary="Send a notice again, with the same id",
        request=None,
        responses={202: answers.DeliveryAnswer},
    )
    def post(self, request: UserRequest, pk: UUID, delivery: UUID) -> Response:
        row = get_object_or_404(_deliveries(_own(request, pk)), pk=delivery)
        webhooks.replay(delivery=row)
        return Response(answers.deliveries([row])[0], status=202)


def _webhooks(request: UserRequest) -> QuerySet[WebhookEndpoint]:
    return WebhookEndpoint.objects.filter(owner=request.user)


def _own(request: UserRequest, pk: UUID) -> WebhookEndpoint:
    row: WebhookEndpoint = get_object_or_404(_webhooks(request), pk=pk)
    return row


def _deliveries(endpoint: WebhookEndpoint) -> Any:
    rows = Delivery.objects.filter(endpoint=endpoint, channel=Delivery.Channel.WEBHOOK)
    return rows.select_related("notice", "endpoint").prefetch_related("log")
