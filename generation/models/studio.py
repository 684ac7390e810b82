"""What people do with their videos: group, tag, cut, join, share."""

import secrets
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from generation.models.jobs import VideoJob


class Batch(models.Model):
    """Videos that were asked for together: variations of one, or several pictures with several prompts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="batches")
    name = models.CharField(max_length=120, blank=True)
    promised_usd = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        default=0,
        help_text="What all of them may cost at most, as promised at submit.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return self.name or str(self.id)


class Tag(models.Model):
    """A person's own word for some of their videos."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="video_tags")
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="tag_names_differ")]

    def __str__(self) -> str:
        return self.name


class Clip(models.Model):
    """A file made from finished videos on the CPU: cut, joined, turned around, or in another format."""

    class Kind(models.TextChoices):
        TRIM = "trim", gettext_lazy("Trimmed")
        JOIN = "join", gettext_lazy("Joined")
        BOOMERANG = "boomerang", gettext_lazy("Back and forth")
        SMOOTH = "smooth", gettext_lazy("Smoother")
        ENLARGE = "enlarge", gettext_lazy("Bigger")
        GIF = "gif", gettext_lazy("GIF")
        WEBP = "webp", gettext_lazy("WebP")

    class State(models.TextChoices):
        QUEUED = "queued", gettext_lazy("Queued")  # a task makes it; the sweep rings again
        MAKING = "making", gettext_lazy("In the making")  # held by one worker until lease_until
        DONE = "done", gettext_lazy("Done")  # terminal; the file exists in storage
        FAILED = "failed", gettext_lazy("Failed")  # terminal; error_code and error_message say why

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="clips")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    options = models.JSONField(default=dict, blank=True, help_text='E.g. {"crossfade_s": 0.5}; by kind.')
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_token = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    key = models.CharField(max_length=200, blank=True)
    poster_key = models.CharField(max_length=200, blank=True)
    bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    frames = models.PositiveIntegerField(null=True, blank=True)
    fps = models.FloatField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    hidden_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="clip_owner_created"),
            models.Index(fields=["state"], name="clip_open", condition=Q(state__in=["queued", "making"])),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(state="done") | ~Q(key=""), name="a_done_clip_has_a_file"),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error_code=""), name="a_failed_clip_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.state})"


class ClipPart(models.Model):
    """One video that a clip is made of, whole or from `start_frame` up to and without `end_frame`."""

    clip = models.ForeignKey(Clip, models.CASCADE, related_name="parts")
    job = models.ForeignKey(VideoJob, models.CASCADE, related_name="parts_of_clips")
    position = models.PositiveSmallIntegerField()
    start_frame = models.PositiveIntegerField(default=0)
    end_frame = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["clip", "position"], name="clip_positions_differ")]

    def __str__(self) -> str:
        return f"Part {self.position} of {self.clip_id}"


def share_token() -> str:
    """Cannot be guessed: 192 random bits."""
    return secrets.token_urlsafe(24)


class ShareLink(models.Model):
    """An address at which other people see one video, or one clip."""

    class Audience(models.TextChoices):
        ANYONE = "anyone", gettext_lazy("Anyone with the link")
        SIGNED_IN = "signed_in", gettext_lazy("People who are signed in here")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token = models.CharField(max_length=40, unique=True, default=share_token, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="share_links")
    job = models.ForeignKey(VideoJob, models.CASCADE, null=True, blank=True, related_name="share_links")
    clip = models.ForeignKey(Clip, models.CASCADE, null=True, blank=True, related_name="share_links")
    audience = models.CharField(max_length=12, choices=Audience.choices, default=Audience.ANYONE)
    shows_prompt = models.BooleanField(default=False)
    allows_download = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    views = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(job__isnull=False, clip__isnull=True) | Q(job__isnull=True, clip__isnull=False),
                name="a_link_shows_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"Link to {self.job_id or self.clip_id}"
