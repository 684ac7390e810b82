"""The outbox: what people and their programs have to be told, written with the change itself, sent until it arrives."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from generation.models.jobs import VideoJob


class Notice(models.Model):
    """Something that happened to a person's video or money. Its id is what receivers tell repetitions by."""

    class Kind(models.TextChoices):
        SUCCEEDED = "job.succeeded", gettext_lazy("A video is done")
        FAILED = "job.failed", gettext_lazy("A video failed")
        CANCELLED = "job.cancelled", gettext_lazy("A video was cancelled")
        BUDGET = "budget.warning", gettext_lazy("A budget is nearly used up")
        SWITCHED_OFF = "webhook.disabled", gettext_lazy("A webhook was switched off")
        HIDDEN = "job.hidden", gettext_lazy("A video was hidden after a report")
        REMOVED = "job.removed", gettext_lazy("A video was taken down")
        SHOWN = "job.shown", gettext_lazy("A hidden video is shown again")
        PING = "webhook.test", gettext_lazy("A test that somebody asked for")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    job = models.ForeignKey(VideoJob, models.SET_NULL, null=True, blank=True, related_name="notices")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    key = models.CharField(max_length=120, unique=True, help_text="What makes writing it twice impossible.")
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="Shown in the page, or read.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="notice_owner_created"),
            models.Index(fields=["owner"], name="notice_unseen", condition=Q(seen_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.owner_id}"


class WebhookEndpoint(models.Model):
    """An address of a person that is called with what happens to their videos (Standard Webhooks)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="webhook_endpoints")
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=120, blank=True)
    kinds = models.JSONField(default=list, blank=True, help_text="Which notices; empty: all.")
    secret = models.TextField(editable=False, help_text="Encrypted; shown once when it is made.")
    secret_end = models.CharField(max_length=4, editable=False, help_text="Its last four characters.")
    old_secret = models.TextField(blank=True, editable=False, help_text="Signs too, until it ends.")
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    trouble = models.CharField(max_length=200, blank=True, help_text="Why it was switched off, or fails now.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.description or self.url


class Delivery(models.Model):
    """One notice on its way to one receiver: tried with back-off until it arrives or is given up."""

    class Channel(models.TextChoices):
        WEBHOOK = "webhook", gettext_lazy("Webhook")
        MAIL = "mail", gettext_lazy("E-mail")

    class State(models.TextChoices):
        DUE = "due", gettext_lazy("On its way")
        DELIVERED = "delivered", gettext_lazy("Delivered")
        GIVEN_UP = "given_up", gettext_lazy("Given up")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=16, choices=Channel.choices)
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, null=True, blank=True, related_name="deliveries")
    state = models.CharField(max_length=16, choices=State.choices, default=State.DUE)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    delivered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "endpoint"], condition=Q(channel="webhook"), name="one_delivery_per_endpoint"
            ),
            models.UniqueConstraint(fields=["notice"], condition=Q(channel="mail"), name="one_mail_per_notice"),
            models.CheckConstraint(
                condition=Q(channel="webhook", endpoint__isnull=False) | Q(channel="mail", endpoint=None),
                name="a_webhook_has_an_endpoint",
            ),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="delivery_due", condition=Q(state="due"))]

    def __str__(self) -> str:
        return f"{self.channel}: {self.notice_id} ({self.state})"


class DeliveryTry(models.Model):
    """One call of a receiver, for the delivery log."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="log")
    at = models.DateTimeField(default=timezone.now)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    took_ms = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True, help_text="In words; empty when it arrived.")

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "delivery tries"

    def __str__(self) -> str:
        return self.error or f"HTTP {self.status_code}"
