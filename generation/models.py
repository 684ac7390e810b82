"""What people ask for: pictures, jobs, and the models that make videos of them."""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from knox.models import AbstractAuthToken

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Provider(models.TextChoices):
    PREVIEW = "preview", "Motion preview on the CPU"
    SWARMUI = "swarmui", "SwarmUI"


class Rating(models.TextChoices):
    GENERAL = "general", "General"
    MATURE = "mature", "Mature"
    UNKNOWN = "unknown", "Unknown (treated as mature)"


class VideoModelQuerySet(models.QuerySet["VideoModel"]):
    def enabled(self) -> "VideoModelQuerySet":
        return self.filter(enabled=True)

    def visible_to(self, user: "User") -> "VideoModelQuerySet":
        """Enabled rows; mature and unrated ones only for people with the permission for them."""
        rows = self.enabled()
        return rows if user.has_perm("generation.use_mature_models") else rows.filter(rating=Rating.GENERAL)


class VideoModel(models.Model):
    """One row of the catalogue: a way to make a video, with the choices it really has."""

    slug = models.SlugField(unique=True, help_text="What the API calls it.")
    name = models.CharField(max_length=80, unique=True, help_text="What people see.")
    summary = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=16, choices=Provider.choices)
    enabled = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField(default=100, help_text="Lower comes first.")

    rating = models.CharField(max_length=16, choices=Rating.choices, default=Rating.UNKNOWN)
    licence_name = models.CharField(max_length=80)
    licence_url = models.URLField()
    commercial_use = models.BooleanField(default=False)

    high_noise_model = models.CharField(
        max_length=200, blank=True, help_text="Full name as SwarmUI lists it; also sent as the base model."
    )
    low_noise_model = models.CharField(max_length=200, blank=True, help_text="Empty for a single-stage model.")
    swap_percent = models.FloatField(default=0.5, validators=[MinValueValidator(0.5), MaxValueValidator(1)])
    loras = models.JSONField(
        default=list, blank=True, help_text='[{"name": "Wan/lora", "weight": 1, "stage": "high" | "low" | "all"}]'
    )
    architecture = models.CharField(max_length=80, blank=True, help_text="SwarmUI's architecture id for both stages.")
    sampler = models.CharField(max_length=40, blank=True)
    scheduler = models.CharField(max_length=40, blank=True)
    allow_prompt_syntax = models.BooleanField(
        default=False, help_text="Let people use SwarmUI prompt syntax (<lora:...>, wildcards)."
    )
    default_negative_prompt = models.TextField(blank=True)

    sizes = models.JSONField(default=list, help_text='Offered sizes, the default first: ["832x480", "480x832"].')
    min_side = models.PositiveIntegerField(default=256)
    max_side = models.PositiveIntegerField(default=1280)
    max_pixels = models.PositiveIntegerField(default=921_600, help_text="Width times height of one frame.")
    default_frames = models.PositiveIntegerField(default=81)
    min_frames = models.PositiveIntegerField(default=17)
    max_frames = models.PositiveIntegerField(default=121)
    frames_step = models.PositiveIntegerField(default=4, help_text="Frames are 1 + a multiple of this.")
    default_fps = models.PositiveIntegerField(default=16)
    min_fps = models.PositiveIntegerField(default=8)
    max_fps = models.PositiveIntegerField(default=30)
    default_steps = models.PositiveIntegerField(default=4)
    min_steps = models.PositiveIntegerField(default=1)
    max_steps = models.PositiveIntegerField(default=50)
    default_cfg = models.FloatField(default=1.0)
    min_cfg = models.FloatField(default=1.0)
    max_cfg = models.FloatField(default=10.0)
    typical_seconds = models.FloatField(
        default=60, help_text="Seconds for one video with the defaults, until measured ones are known."
    )

    objects = VideoModelQuerySet.as_manager()

    class Meta:
        ordering = ["position", "name"]
        permissions = [("use_mature_models", "Can see and use models rated mature or unknown")]
        constraints = [
            models.CheckConstraint(
                condition=Q(min_frames__lte=F("default_frames")) & Q(default_frames__lte=F("max_frames")),
                name="default_frames_in_range",
            ),
            models.CheckConstraint(
                condition=Q(min_steps__lte=F("default_steps")) & Q(default_steps__lte=F("max_steps")),
                name="default_steps_in_range",
            ),
            models.CheckConstraint(
                condition=Q(min_cfg__lte=F("default_cfg")) & Q(default_cfg__lte=F("max_cfg")),
                name="default_cfg_in_range",
            ),
            models.CheckConstraint(
                condition=Q(min_fps__lte=F("default_fps")) & Q(default_fps__lte=F("max_fps")),
                name="default_fps_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


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

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["owner", "sha256"], name="one_copy_per_person")]

    def __str__(self) -> str:
        return self.name or str(self.id)


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"  # waiting; `phase` and `message` say for what
    RENDERING = "rendering", "Rendering"  # held by one dispatcher until lease_until
    STORING = "storing", "Storing"  # the result is known; a worker fetches it
    SUCCEEDED = "succeeded", "Done"  # terminal; the video exists in storage
    FAILED = "failed", "Failed"  # terminal; error_code and error_message say why
    CANCELLED = "cancelled", "Cancelled"  # terminal; a lease that remains means the engine must still be told


TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
UNFINISHED = (Status.QUEUED, Status.RENDERING, Status.STORING)


class VideoJobQuerySet(models.QuerySet["VideoJob"]):
    def visible(self) -> "VideoJobQuerySet":
        return self.filter(deleted_at=None)

    def owned_by(self, user: "User") -> "VideoJobQuerySet":
        return self.visible().filter(owner=user)

    def unfinished(self) -> "VideoJobQuerySet":
        return self.filter(status__in=UNFINISHED)

    def due(self, now: datetime) -> "VideoJobQuerySet":
        """Queued jobs that could start now: the picture is here and no pause is running."""
        paused = Q(next_attempt_at__gt=now)
        return self.filter(status=Status.QUEUED, image__isnull=False).exclude(paused)

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

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    phase = models.CharField(max_length=24, blank=True)
    message = models.CharField(max_length=200, blank=True)
    progress = models.FloatField(default=0)
    provider_position = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    cost_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)

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
            models.Index(fields=["lease_token"], name="job_lease", condition=~Q(lease_token="")),
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
        RUNNING = "running"
        STORED = "stored"
        FAILED = "failed"
        LOST = "lost"  # no trace at the provider
        UNAVAILABLE = "unavailable"  # given back; not the job's fault
        CANCELLED = "cancelled"

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
    cost_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)
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
