"""What people ask for: pictures, videos, and every try to make one."""

import time
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from generation.models.catalogue import Provider, VideoModel

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from generation.models.studio import Tag


class SourceImage(models.Model):
    """A person's picture as we keep it: decoded, oriented, stripped and encoded again by us."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="source_images")
    key = models.CharField(max_length=200, unique=True, editable=False)
    thumbnail_key = models.CharField(max_length=200, blank=True, editable=False)
    sha256 = models.CharField(max_length=64, editable=False, help_text="Of the kept copy.")
    content_type = models.CharField(max_length=40, editable=False)
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)
    size_bytes = models.PositiveIntegerField(editable=False)
    name = models.CharField(max_length=120, blank=True, help_text="As the person called it; only ever shown as text.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    rights_version = models.CharField(
        max_length=16, blank=True, help_text="Version of the rights statement that was last confirmed for it."
    )
    rights_confirmed_at = models.DateTimeField(null=True, blank=True)
    from_job = models.ForeignKey(
        "VideoJob",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="frames_taken",
        help_text="Of whose video it is a frame.",
    )
    from_frame = models.PositiveIntegerField(null=True, blank=True, help_text="Which frame, from 0.")
    hidden_at = models.DateTimeField(null=True, blank=True, help_text="After a report, or a takedown.")

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["owner", "sha256"], name="one_copy_per_person")]

    def __str__(self) -> str:
        return self.name or str(self.id)


class Status(models.TextChoices):
    QUEUED = "queued", gettext_lazy("Queued")  # waiting; `phase` and `message` say for what
    RENDERING = "rendering", gettext_lazy("Rendering")  # held by one dispatcher until lease_until
    STORING = "storing", gettext_lazy("Storing")  # the result is known; a worker fetches it
    SUCCEEDED = "succeeded", gettext_lazy("Done")  # terminal; the video exists in storage
    FAILED = "failed", gettext_lazy("Failed")  # terminal; error_code and error_message say why
    CANCELLED = (
        "cancelled",
        gettext_lazy("Cancelled"),
    )  # terminal; a lease that remains means the engine must still be told


TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
UNFINISHED = (Status.QUEUED, Status.RENDERING, Status.STORING)


def rank_of_now() -> int:
    """The place at the end of any queue: microseconds since 1970."""
    return time.time_ns() // 1000


class VideoJobQuerySet(models.QuerySet["VideoJob"]):
    def visible(self) -> "VideoJobQuerySet":
        return self.filter(deleted_at=None)

    def owned_by(self, user: "User") -> "VideoJobQuerySet":
        return self.visible().filter(owner=user)

    def unfinished(self) -> "VideoJobQuerySet":
        return self.filter(status__in=UNFINISHED)

    def waiting(self) -> "VideoJobQuerySet":
        """Queued and meant to be made: neither about to be cancelled, nor in a queue that its person has paused."""
        return self.filter(status=Status.QUEUED, cancel_at=None, owner__preferences__queue_paused_at=None)

    def due(self, now: datetime) -> "VideoJobQuerySet":
        """Waiting jobs that could start now: the picture is here and no pause between two tries is running."""
        paused = Q(next_attempt_at__gt=now)
        return self.waiting().filter(image__isnull=False).exclude(paused)

    def lapsed(self, now: datetime) -> "VideoJobQuerySet":
        """Held by a dispatcher that stopped renewing: to be recovered, or its engine told of the cancel."""
        return self.filter(status__in=(Status.RENDERING, Status.CANCELLED, Status.FAILED), lease_until__lt=now)

    def held_with(self, token: str) -> "VideoJobQuerySet":
        return self.filter(lease_token=token)


class VideoJob(models.Model):
    """One video asked for by one person. The row is the truth; queues only ring."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="video_jobs")
    model = models.ForeignKey(VideoModel, models.PROTECT, related_name="jobs")
    image = models.ForeignKey(SourceImage, models.SET_NULL, null=True, blank=True, related_name="jobs")
    image_url = models.CharField(max_length=2048, blank=True, help_text="Fetched by a worker when there is no image.")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="variants")
    batch = models.ForeignKey("Batch", models.SET_NULL, null=True, blank=True, related_name="jobs")
    continues = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="continuations",
        help_text="Whose frame it starts with.",
    )
    continues_frame = models.PositiveIntegerField(
        null=True, blank=True, help_text="Which frame of that video, from 0; empty: the last one."
    )
    end_image = models.ForeignKey(
        SourceImage, models.SET_NULL, null=True, blank=True, related_name="jobs_that_end_with_it"
    )
    interpolate = models.PositiveSmallIntegerField(
        default=1, help_text="So many times the frames, by SwarmUI's frame interpolation; the speed rises with them."
    )

    prompt = models.TextField()
    negative_prompt = models.TextField(blank=True)
    size = models.CharField(max_length=12, blank=True, help_text="Empty: the offered size nearest to the picture.")
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    focus_x = models.FloatField(default=0.5)
    focus_y = models.FloatField(default=0.5)
    frames = models.PositiveIntegerField()
    fps = models.PositiveIntegerField()
    steps = models.PositiveIntegerField()
    cfg_scale = models.FloatField()
    seed = models.BigIntegerField(help_text="The one really used; a random one is drawn at submit.")
    rights_version = models.CharField(
        max_length=16, blank=True, help_text="Version of the rights statement that the person confirmed."
    )
    rights_confirmed_at = models.DateTimeField(null=True, blank=True)
    visible_label = models.BooleanField(
        default=False, help_text="A label that says what made it is drawn into the video."
    )

    # --- what its person keeps with it ------------------------------------------------------------------------------
    alt_text = models.CharField(max_length=500, blank=True, help_text="What the video shows, for who cannot see it.")
    favourite_at = models.DateTimeField(null=True, blank=True)
    tags: "models.ManyToManyField[Tag, Any]" = models.ManyToManyField("Tag", blank=True, related_name="jobs")

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    phase = models.CharField(max_length=24, blank=True)
    message = models.CharField(max_length=200, blank=True)
    progress = models.FloatField(default=0)
    provider_position = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    # --- money, in US dollars (generation.services.settling) --------------------------------------------------------
    estimate = models.JSONField(
        default=dict, blank=True, help_text="What was foretold at submit: seconds and dollars, each with a range."
    )
    chosen_because = models.CharField(
        max_length=200, blank=True, help_text="The rule that chose the model, if one did."
    )
    reserved_usd = models.DecimalField(
        max_digits=12, decimal_places=6, default=0, help_text="Promised at submit; never is more charged than this."
    )
    cost_usd = models.DecimalField(max_digits=12, decimal_places=6, default=0, help_text="Charged to the person.")
    direct_usd = models.DecimalField(
        max_digits=12, decimal_places=6, default=0, help_text="Its own seconds on the machine, or the cloud's price."
    )
    share_usd = models.DecimalField(
        max_digits=12, decimal_places=6, default=0, help_text="Its share of boot, download, idle time and storage."
    )
    cost_is_final = models.BooleanField(default=True, help_text="Off while the machine that made it still runs.")

    rank = models.BigIntegerField(default=rank_of_now, help_text="Place in its owner's own queue: lower goes first.")
    cancel_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the cancel that its person asked for takes effect; empty again after undo.",
    )
    attempts_made = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    purge_began_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its files go; from then on it cannot be brought back."
    )
    hidden_at = models.DateTimeField(
        null=True, blank=True, help_text="After a report, or a takedown: nobody sees the files."
    )

    video_key = models.CharField(max_length=200, blank=True)
    poster_key = models.CharField(max_length=200, blank=True)
    loop_key = models.CharField(max_length=200, blank=True)
    video_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    video_sha256 = models.CharField(max_length=64, blank=True)

    objects = VideoJobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="job_owner_created"),
            models.Index(fields=["status", "created_at"], name="job_status_created"),
            models.Index(fields=["owner", "status"], name="job_owner_status"),
            models.Index(fields=["owner", "-finished_at"], name="job_owner_finished"),
            models.Index(fields=["lease_token"], name="job_lease", condition=~Q(lease_token="")),
            models.Index(fields=["finished_at"], name="job_cost_open", condition=Q(cost_is_final=False)),
            models.Index(fields=["cancel_at"], name="job_cancel_due", condition=Q(cancel_at__isnull=False)),
            models.Index(fields=["deleted_at"], name="job_deleted", condition=Q(deleted_at__isnull=False)),
            models.Index(
                fields=["owner", "favourite_at"], name="job_favourite", condition=Q(favourite_at__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status=Status.SUCCEEDED) | ~Q(video_key=""), name="succeeded_has_a_video"
            ),
            models.CheckConstraint(condition=~Q(status=Status.FAILED) | ~Q(error_code=""), name="failed_says_why"),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="progress_is_a_share"),
        ]

    def __str__(self) -> str:
        return f"{self.prompt[:40]} ({self.status})"

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    def claim(self, *, owner: str, lease: timedelta) -> str | None:
        """Take a due or lapsed job for `lease`; the new lease token, or None when somebody else was first."""
        now, token = timezone.now(), uuid.uuid4().hex
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        taken = VideoJob.objects.filter(free, pk=self.pk, status=self.status, lease_token=self.lease_token)
        if self.status == Status.QUEUED:
            taken = taken.filter(cancel_at=None)  # asked for since the row was read
        values: dict[str, Any] = {"lease_owner": owner, "lease_token": token, "lease_until": now + lease}
        if self.status == Status.QUEUED:
            values |= {"status": Status.RENDERING, "updated_at": now}
            # The first start is kept: the total deadline counts from it.
            values |= {"started_at": self.started_at or now}
        if not taken.update(**values):
            return None
        # Not refresh_from_db: it would forget the related rows that were read with the job.
        for name, value in values.items():
            setattr(self, name, value)
        return token


class Attempt(models.Model):
    """One try to render a job. `sent_at` set: it may have been sent; `provider_ref` says how to find it there."""

    class Outcome(models.TextChoices):
        RUNNING = "running", gettext_lazy("Running")
        STORED = "stored", gettext_lazy("Stored")
        FAILED = "failed", gettext_lazy("Failed")
        LOST = "lost", gettext_lazy("Lost")  # no trace at the provider
        UNAVAILABLE = "unavailable", gettext_lazy("Unavailable")  # given back; not the job's fault
        CANCELLED = "cancelled", gettext_lazy("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(VideoJob, models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    nonce = models.CharField(max_length=32, unique=True, help_text="Names this attempt at the provider.")
    engine = models.CharField(max_length=16, choices=Provider.choices)
    endpoint = models.CharField(max_length=500, blank=True, help_text="Where it was sent; seats are counted by it.")
    provider_ref = models.JSONField(default=dict, blank=True)
    request_sent = models.JSONField(default=dict, blank=True)
    result_ref = models.JSONField(default=dict, blank=True)
    engine_metadata = models.JSONField(default=dict, blank=True)
    timings = models.JSONField(default=dict, blank=True, help_text="Seconds spent in each phase.")
    cost_usd = models.DecimalField(
        max_digits=12, decimal_places=6, default=0, help_text="What the provider takes for it, whoever pays."
    )
    machine = models.UUIDField(
        null=True, blank=True, db_index=True, help_text="The rented machine that it was sent to."
    )
    evidence = models.JSONField(default=dict, blank=True, help_text="What the provider told by a verified webhook.")
    evidence_at = models.DateTimeField(null=True, blank=True)
    drift = models.JSONField(default=list, blank=True, help_text="What was asked for and not followed, as sentences.")
    created_at = models.DateTimeField(default=timezone.now)
    store_tries = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began to fetch the result.")
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.RUNNING)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_numbers_differ"),
            models.UniqueConstraint(fields=["job"], condition=Q(ended_at=None), name="one_open_attempt_per_job"),
        ]
        indexes = [models.Index(fields=["endpoint"], name="attempt_open", condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return f"Attempt {self.number} of {self.job_id}"


class PreviewFrame(models.Model):
    """The newest picture of a video in the making, encoded by us; gone when the job is over."""

    job = models.OneToOneField(VideoJob, models.CASCADE, primary_key=True, related_name="preview_frame")
    jpeg = models.BinaryField()
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Preview of {self.job_id}"
