"""The one row of settings, and the one row that says how the fleet fares."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class GpuProvider(models.TextChoices):
    MANUAL = "manual", gettext_lazy("A SwarmUI address typed in by hand")
    VASTAI = "vastai", gettext_lazy("Machines rented on vast.ai")


class GpuConfig(models.Model):
    """The one row that says where SwarmUI is. Read it with `gpu.services.config.load()`."""

    swarmui_url = models.CharField(
        gettext_lazy("SwarmUI address"),
        max_length=500,
        blank=True,
        help_text=gettext_lazy("https://host:port. Empty: no GPU is used."),
    )
    gpu_provider = models.CharField(
        gettext_lazy("GPU provider"), max_length=16, choices=GpuProvider.choices, default=GpuProvider.MANUAL
    )
    # --- what may be rented (gpu.services.fleet_values.Policy is made of this) -------------------------------------
    renting = models.BooleanField(
        gettext_lazy("rent machines"), default=False, help_text=gettext_lazy("Off: nothing is rented, whatever waits.")
    )
    min_machines = models.PositiveSmallIntegerField(
        default=0, help_text=gettext_lazy("Kept running within the schedule.")
    )
    max_machines = models.PositiveSmallIntegerField(default=1)
    gpu_names = models.JSONField(
        gettext_lazy("GPUs allowed"), default=list, blank=True, help_text='["RTX 4090"]; empty: any.'
    )
    min_vram_gb = models.PositiveSmallIntegerField(default=24)
    regions = models.JSONField(
        default=list, blank=True, help_text=gettext_lazy('Country codes, ["US", "DE"]; empty: any.')
    )
    verified_only = models.BooleanField(default=True)
    min_reliability = models.FloatField(default=0.95, validators=[MinValueValidator(0), MaxValueValidator(1)])
    min_download_mbps = models.PositiveIntegerField(default=500)
    min_cuda = models.FloatField(default=12.8)
    max_price_usd_per_hour = models.DecimalField(max_digits=8, decimal_places=4, default=1)
    idle_minutes = models.PositiveIntegerField(
        default=10, help_text=gettext_lazy("A machine without work is given back after this.")
    )
    max_lifetime_minutes = models.PositiveIntegerField(default=360, help_text=gettext_lazy("No machine lives longer."))
    lease_minutes = models.PositiveIntegerField(default=60, help_text=gettext_lazy("How far one extension carries."))
    daily_cap_usd = models.DecimalField(max_digits=8, decimal_places=2, default=10)
    monthly_cap_usd = models.DecimalField(max_digits=8, decimal_places=2, default=100)
    # --- money: the caps above are the site's, for machines and cloud calls together -------------------------------
    soft_cap_percent = models.PositiveSmallIntegerField(
        default=80,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=gettext_lazy("From here on people are warned."),
    )
    machine_cap_usd = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=gettext_lazy("No machine costs more. Empty: no such cap."),
    )
    person_daily_cap_usd = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=gettext_lazy("For everybody without a cap of their own."),
    )
    person_monthly_cap_usd = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=gettext_lazy("For everybody without a cap of their own."),
    )
    min_credit_usd = models.DecimalField(max_digits=8, decimal_places=2, default=1)
    on_from = models.TimeField(null=True, blank=True, help_text=gettext_lazy("UTC. Empty: at any time."))
    off_at = models.TimeField(null=True, blank=True, help_text="UTC.")
    disk_gb = models.PositiveIntegerField(default=80)
    template_hash = models.CharField(
        max_length=64, blank=True, help_text=gettext_lazy("A vast.ai template; empty: the image.")
    )
    image = models.CharField(max_length=300, blank=True, help_text=gettext_lazy("A container image with a tag."))

    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = gettext_lazy("GPU configuration")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="gpu_config_is_one_row")]

    def __str__(self) -> str:
        return self.swarmui_url or _("No SwarmUI address")


class FleetStatus(models.Model):
    """The one row that says who looks after the fleet now, and what the last look at vast.ai said."""

    lease_token = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(
        null=True, blank=True, help_text=gettext_lazy("The last complete list of machines.")
    )
    trouble = models.CharField(
        max_length=300, blank=True, help_text=gettext_lazy("Why the last look failed, for people.")
    )
    wait_reason = models.CharField(max_length=300, blank=True, help_text=gettext_lazy("Why no machine is rented now."))
    credit_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    credit_at = models.DateTimeField(null=True, blank=True)
    no_search_until = models.DateTimeField(
        null=True, blank=True, help_text=gettext_lazy("The day's searches are used up.")
    )
    strangers = models.JSONField(
        default=list, blank=True, help_text=gettext_lazy("Machines on the account that no row knows.")
    )
    ledger_checked_at = models.DateTimeField(
        null=True, blank=True, help_text=gettext_lazy("When it was last added up.")
    )
    ledger_trouble = models.CharField(
        max_length=300, blank=True, help_text=gettext_lazy("What does not add up; empty: all does.")
    )
    cloud_trouble = models.CharField(
        max_length=300, blank=True, help_text=gettext_lazy("Why fal.ai takes no calls now.")
    )
    cloud_trouble_at = models.DateTimeField(null=True, blank=True, help_text=gettext_lazy("When it last said so."))

    class Meta:
        verbose_name = verbose_name_plural = gettext_lazy("fleet status")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="fleet_status_is_one_row")]

    def __str__(self) -> str:
        return self.trouble or _("The fleet is looked after")
