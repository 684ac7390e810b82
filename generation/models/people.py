"""What people keep beside their videos, and how programs act for them."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy
from knox.models import AbstractAuthToken

from generation.models.catalogue import VideoModel
from generation.models.jobs import VideoJob


class Preset(models.Model):
    """A person's saved settings, to be used again with another picture."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="presets")
    name = models.CharField(max_length=80)
    model = models.ForeignKey(VideoModel, models.CASCADE, related_name="presets")
    values = models.JSONField(default=dict, help_text="Any of the settings of a job, by their API names.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="preset_names_differ")]

    def __str__(self) -> str:
        return self.name


class IdempotencyKey(models.Model):
    """The first answer to a request, replayed to every repetition of it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="idempotency_keys")
    key = models.CharField(max_length=255)
    request_sha256 = models.CharField(max_length=64)
    job = models.ForeignKey(VideoJob, models.CASCADE, null=True, related_name="+")
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_keys_differ")]

    def __str__(self) -> str:
        return self.key


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox ships no types
    """A named API token. Only its hash is kept; it is shown once."""

    name = models.CharField(max_length=80)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """The last sign of life of a background process."""

    name = models.CharField(max_length=40, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Preferences(models.Model):
    """What a person has settled once: who chooses the engine, and how they are told."""

    class Rule(models.TextChoices):
        ASK = "ask", gettext_lazy("Ask me")  # nothing is ever sent to the cloud unless the person names the model
        CHEAPEST = "cheapest", gettext_lazy("The cheapest")
        SOONEST = "soonest", gettext_lazy("The soonest")
        NEVER_CLOUD = "never_cloud", gettext_lazy("Never the cloud")

    class Mail(models.TextChoices):
        OFF = "off", gettext_lazy("Never")
        EACH = "each", gettext_lazy("For every video")
        HOURLY = "hourly", gettext_lazy("Together, at most once an hour")
        DAILY = "daily", gettext_lazy("Together, at most once a day")

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="preferences"
    )
    rule = models.CharField(max_length=16, choices=Rule.choices, default=Rule.ASK)
    mail = models.CharField(max_length=16, choices=Mail.choices, default=Mail.HOURLY)
    mailed_at = models.DateTimeField(null=True, blank=True)
    queue_paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Nothing of theirs is started until it is empty."
    )
    visible_label = models.BooleanField(
        default=False, help_text="Draw a label into new videos that says what made them."
    )
    language = models.CharField(max_length=8, blank=True, help_text="Of mails; empty: the site's own.")

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.person_id}"
