"""What the API takes and answers about webhooks and preferences."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from generation.api.describe import Answer, moment
from generation.api.fields import SwitchField, TextField
from generation.models import Delivery, DeliveryTry, Notice, Preferences, WebhookEndpoint
from i2v_site.serializers import StrictSerializer

# A test is asked for, not subscribed to: it goes to every receiver that is tested.
KINDS = [(kind.value, kind.label) for kind in Notice.Kind if kind != Notice.Kind.PING]
TRIES_SHOWN = 10


class WebhookRequest(StrictSerializer):
    url = TextField(
        max_length=2048,
        help_text="Where to send: a public https address. It is checked now and at every call.",
    )
    description = TextField(required=False, allow_blank=True, max_length=120)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=KINDS),
        required=False,
        max_length=20,
        help_text="Which notices; empty or left out: all.",
    )
    enabled = SwitchField(required=False)


class WebhookChange(WebhookRequest):
    url = TextField(required=False, max_length=2048)


class WebhookAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField(), help_text="Empty: all.")
    enabled = serializers.BooleanField()
    secret_ends_with = serializers.CharField()
    old_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then the secret before this one signs too."
    )
    failing_since = serializers.DateTimeField(allow_null=True)
    trouble = serializers.CharField(help_text="Why it fails, or was switched off.")
    created_at = serializers.DateTimeField()


class NewWebhookAnswer(WebhookAnswer):
    secret = serializers.CharField(help_text="What verifies our signatures. Shown this once.")


class WebhooksAnswer(serializers.Serializer[Any]):
    results = WebhookAnswer(many=True)


class TryAnswer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    status_code = serializers.IntegerField(allow_null=True, help_text="Null when no answer came.")
    took_ms = serializers.IntegerField()
    error = serializers.CharField(help_text="Empty when it arrived.")


class DeliveryAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    webhook_id = serializers.UUIDField(help_text="The receiver.")
    message_id = serializers.UUIDField(help_text="The webhook-id header: the same at every repetition.")
    type = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Delivery.State.choices, help_text="Due: on its way.")
    tries = serializers.IntegerField(help_text="Since it was made or replayed.")
    next_try_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    log = TryAnswer(many=True, help_text=f"The last {TRIES_SHOWN} tries, newest first.")


class DeliveryPage(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DeliveryAnswer(many=True)


class PreferencesRequest(StrictSerializer):
    rule = serializers.ChoiceField(
        choices=Preferences.Rule.choices,
        required=False,
        help_text="Who chooses when a request names no model. The cloud is never used unless this says so.",
    )
    mail = serializers.ChoiceField(choices=Preferences.Mail.choices, required=False, help_text="E-mail about videos.")
    visible_label = SwitchField(
        required=False, help_text="Draw a label into new videos that says what made them, unless a request says else."
    )


class PreferencesAnswer(serializers.Serializer[Any]):
    rule = serializers.ChoiceField(choices=Preferences.Rule.choices)
    mail = serializers.ChoiceField(choices=Preferences.Mail.choices)
    visible_label = serializers.BooleanField()
    mail_to = serializers.CharField(allow_null=True, help_text="Null: there is no confirmed address to write to.")


def webhook(row: WebhookEndpoint) -> Answer:
    return {
        "id": str(row.pk),
        "url": row.url,
        "description": row.description,
        "kinds": row.kinds,
        "enabled": row.enabled,
        "secret_ends_with": row.secret_end,
        "old_secret_until": moment(row.old_secret_until),
        "failing_since": moment(row.failing_since),
        "trouble": row.trouble,
        "created_at": moment(row.created_at),
    }


def deliveries(rows: Sequence[Delivery]) -> list[Answer]:
    """Rows with their notice and log read together with them."""
    return [_delivery(row) for row in rows]


def _delivery(row: Delivery) -> Answer:
    return {
        "id": str(row.pk),
        "webhook_id": str(row.endpoint_id),
        "message_id": str(row.notice_id),
        "type": row.notice.kind,
        "outcome": row.state,
        "tries": row.tries,
        "next_try_at": moment(row.next_try_at),
        "delivered_at": moment(row.delivered_at),
        "created_at": moment(row.created_at),
        "log": [_try(line) for line in list(row.log.all())[:TRIES_SHOWN]],
    }


def _try(line: DeliveryTry) -> Answer:
    return {
        "at": moment(line.at),
        "status_code": line.status_code,
        "took_ms": line.took_ms,
        "error": line.error,
    }
