"""The catalogue: ways to make a video, with the choices, the limits and the price that each really has."""

from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Provider(models.TextChoices):
    PREVIEW = "preview", gettext_lazy("Motion preview on the CPU")
    SWARMUI = "swarmui", gettext_lazy("SwarmUI")
    FAL = "fal", gettext_lazy("fal.ai (cloud)")


class PriceUnit(models.TextChoices):
    VIDEO = "video", gettext_lazy("a video")
    SECOND = "second", gettext_lazy("a second of video")
    MEGAPIXEL = "megapixel", gettext_lazy("a million pixels of all frames")


class Rating(models.TextChoices):
    GENERAL = "general", gettext_lazy("General")
    MATURE = "mature", gettext_lazy("Mature")
    UNKNOWN = "unknown", gettext_lazy("Unknown (treated as mature)")


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

    endpoint = models.CharField(max_length=200, blank=True, help_text="fal.ai's endpoint id.")
    parameters = models.JSONField(
        default=dict,
        blank=True,
        help_text="How our settings are called at the endpoint (generation.engines.fal_request).",
    )
    price_usd = models.DecimalField(max_digits=10, decimal_places=6, null=True, blank=True, help_text="Of one unit.")
    price_unit = models.CharField(max_length=16, choices=PriceUnit.choices, blank=True)
    price_by_resolution = models.JSONField(
        default=dict, blank=True, help_text='{"480p": "0.04"}: instead of the price above, by the shorter side.'
    )
    price_seen_on = models.DateField(null=True, blank=True, help_text="When somebody last compared the price.")
    family = models.SlugField(blank=True, help_text="Rows of one family can stand in for each other.")
    prompt_reads_chars = models.PositiveIntegerField(
        null=True, blank=True, help_text="About how much of a prompt the model reads."
    )

    takes_end_image = models.BooleanField(default=False, help_text="It can be given the picture to end with.")

    sizes = models.JSONField(default=list, help_text='Offered sizes, the default first: ["832x480", "480x832"].')
    min_side = models.PositiveIntegerField(default=256)
    max_side = models.PositiveIntegerField(default=1280)
    max_pixels = models.PositiveIntegerField(default=921_600, help_text="Width times height of one frame.")
    default_frames = models.PositiveIntegerField(default=81)
    min_frames = models.PositiveIntegerField(default=17)
    max_frames = models.PositiveIntegerField(default=121)
    frames_step = models.PositiveIntegerField(default=4, help_text="Frames are 1 + a multiple of this.")
    frame_choices = models.JSONField(
        default=list, blank=True, help_text="The only frame counts it makes, if it has such; otherwise the range above."
    )
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
            models.CheckConstraint(
                condition=~Q(provider=Provider.FAL)
                | (~Q(endpoint="") & ~Q(price_unit="") & Q(price_usd__gt=0) & Q(price_usd__isnull=False)),
                name="a_cloud_model_has_a_price",
            ),
        ]

    def __str__(self) -> str:
        return self.name
