"""Where videos are rendered on GPUs, and what those cost."""

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone


class GpuProvider(models.TextChoices):
    MANUAL = "manual", "A SwarmUI address typed in by hand"
    VASTAI = "vastai", "Machines rented on vast.ai"


class GpuConfig(models.Model):
    """The one row that says where SwarmUI is. Read it with `gpu.services.config.load()`."""

    swarmui_url = models.CharField(
        "SwarmUI address", max_length=500, blank=True, help_text="https://host:port. Empty: no GPU is used."
    )
    gpu_provider = models.CharField(
        "GPU provider", max_length=16, choices=GpuProvider.choices, default=GpuProvider.MANUAL
    )
    # --- what may be rented (gpu.services.fleet_values.Policy is made of this) -------------------------------------
    renting = models.BooleanField("rent machines", default=False, help_text="Off: nothing is rented, whatever waits.")
    min_machines = models.PositiveSmallIntegerField(default=0, help_text="Kept running within the schedule.")
    max_machines = models.PositiveSmallIntegerField(default=1)
    gpu_names = models.JSONField("GPUs allowed", default=list, blank=True, help_text='["RTX 4090"]; empty: any.')
    min_vram_gb = models.PositiveSmallIntegerField(default=24)
    regions = models.JSONField(default=list, blank=True, help_text='Country codes, ["US", "DE"]; empty: any.')
    verified_only = models.BooleanField(default=True)
    min_reliability = models.FloatField(default=0.95, validators=[MinValueValidator(0), MaxValueValidator(1)])
    min_download_mbps = models.PositiveIntegerField(default=500)
    min_cuda = models.FloatField(default=12.8)
    max_price_usd_per_hour = models.DecimalField(max_digits=8, decimal_places=4, default=1)
    idle_minutes = models.PositiveIntegerField(default=10, help_text="A machine without work is given back after this.")
    max_lifetime_minutes = models.PositiveIntegerField(default=360, help_text="No machine lives longer.")
    lease_minutes = models.PositiveIntegerField(default=60, help_text="How far one extension carries.")
    daily_cap_usd = models.DecimalField(max_digits=8, decimal_places=2, default=10)
    monthly_cap_usd = models.DecimalField(max_digits=8, decimal_places=2, default=100)
    min_credit_usd = models.DecimalField(max_digits=8, decimal_places=2, default=1)
    on_from = models.TimeField(null=True, blank=True, help_text="UTC. Empty: at any time.")
    off_at = models.TimeField(null=True, blank=True, help_text="UTC.")
    disk_gb = models.PositiveIntegerField(default=80)
    template_hash = models.CharField(max_length=64, blank=True, help_text="A vast.ai template; empty: the image.")
    image = models.CharField(max_length=300, blank=True, help_text="A container image with a tag.")

    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = verbose_name_plural = "GPU configuration"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="gpu_config_is_one_row")]

    def __str__(self) -> str:
        return self.swarmui_url or "No SwarmUI address"


class FleetStatus(models.Model):
    """The one row that says who looks after the fleet now, and what the last look at vast.ai said."""

    lease_token = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True, help_text="The last complete list of machines.")
    trouble = models.CharField(max_length=300, blank=True, help_text="Why the last look failed, for people.")
    wait_reason = models.CharField(max_length=300, blank=True, help_text="Why no machine is rented now.")
    credit_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    credit_at = models.DateTimeField(null=True, blank=True)
    no_search_until = models.DateTimeField(null=True, blank=True, help_text="The day's searches are used up.")
    strangers = models.JSONField(default=list, blank=True, help_text="Machines on the account that no row knows.")

    class Meta:
        verbose_name = verbose_name_plural = "fleet status"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="fleet_status_is_one_row")]

    def __str__(self) -> str:
        return self.trouble or "The fleet is looked after"


class Host(models.Model):
    """A physical machine on vast.ai and what we remember of it."""

    machine_id = models.PositiveBigIntegerField(unique=True)
    boots = models.PositiveIntegerField(default=0)
    boot_seconds = models.FloatField(null=True, blank=True, help_text="From rented to ready, a moving average.")
    download_mbps = models.FloatField(null=True, blank=True, help_text="Measured while models were downloaded.")
    seconds_per_video = models.FloatField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    last_failure = models.CharField(max_length=200, blank=True)
    avoid_until = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Machine {self.machine_id}"


class InstanceKind(models.TextChoices):
    MANUAL = "manual", "Typed in by hand"
    VASTAI = "vastai", "Rented on vast.ai"


class InstanceState(models.TextChoices):
    REQUESTED = "requested", "Requested"  # the intent is committed; nothing was sent
    CREATING = "creating", "Renting"  # the create call was, or may have been, sent
    BOOTING = "booting", "Booting"  # vast.ai knows it; its container is not up
    PROVISIONING = "provisioning", "Preparing"  # models are downloaded, SwarmUI starts
    READY = "ready", "Ready"
    DRAINING = "draining", "Finishing its work"  # gets no new work
    DESTROYING = "destroying", "Being given back"  # asked again until vast.ai says that it is gone
    DESTROYED = "destroyed", "Given back"  # terminal: two complete lists lack it
    FAILED = "failed", "Never rented"  # terminal: proven never created
    LOST = "lost", "Lost"  # terminal: gone without our doing


INSTANCE_OVER = (InstanceState.DESTROYED, InstanceState.FAILED, InstanceState.LOST)


class InstanceQuerySet(models.QuerySet["Instance"]):
    def alive(self) -> "InstanceQuerySet":
        return self.exclude(state__in=INSTANCE_OVER)

    def over(self) -> "InstanceQuerySet":
        return self.filter(state__in=INSTANCE_OVER)

    def rented(self) -> "InstanceQuerySet":
        return self.filter(kind=InstanceKind.VASTAI)


class Instance(models.Model):
    """One machine with SwarmUI on it. The row is the intent: it is committed before anything is rented."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=InstanceKind.choices, default=InstanceKind.VASTAI)
    state = models.CharField(max_length=16, choices=InstanceState.choices, default=InstanceState.REQUESTED)
    label = models.CharField(max_length=120, unique=True, help_text="i2v/<deployment>/<id>; how vast.ai names it back.")
    host = models.ForeignKey(Host, models.SET_NULL, null=True, blank=True, related_name="instances")
    vast_id = models.PositiveBigIntegerField(null=True, blank=True, unique=True)
    offer_id = models.PositiveBigIntegerField(null=True, blank=True)
    offer = models.JSONField(default=dict, blank=True, help_text="The offer as it was taken, with its score.")
    gpu_name = models.CharField(max_length=60, blank=True)
    url = models.CharField(max_length=500, blank=True, help_text="Where SwarmUI answers.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was rented.")
    end_reason = models.CharField(max_length=300, blank=True, help_text="Why it ends.")
    trouble = models.CharField(max_length=300, blank=True, help_text="What is wrong now, for people.")
    vast_status = models.CharField(max_length=40, blank=True)

    usd_per_hour = models.DecimalField(
        max_digits=10, decimal_places=5, default=0, help_text="GPU and storage, running."
    )
    storage_usd_per_hour = models.DecimalField(max_digits=10, decimal_places=5, default=0)
    inet_usd_per_gb = models.DecimalField(max_digits=10, decimal_places=5, default=0)
    reserved_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)
    spent_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)

    step = models.CharField(max_length=40, blank=True, help_text="What provisioning does now.")
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    download_mbps = models.FloatField(null=True, blank=True)
    gpu_use_percent = models.FloatField(null=True, blank=True, help_text="As vast.ai measured it last.")
    log_tail = models.TextField(blank=True, help_text="The last lines of its log, without secrets.")

    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="The create call may have been sent.")
    running_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    idle_since = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    extended_until = models.DateTimeField(null=True, blank=True, help_text="A person asked to keep it until then.")
    max_until = models.DateTimeField(null=True, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)
    absent_lists = models.PositiveSmallIntegerField(default=0, help_text="Complete lists in a row that lack it.")
    destroy_tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state"], name="instance_state")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=InstanceState.READY) | ~Q(url=""), name="a_ready_instance_has_an_address"
            ),
            models.UniqueConstraint(
                fields=["offer_id"],
                condition=Q(state__in=(InstanceState.REQUESTED, InstanceState.CREATING)),
                name="an_offer_is_taken_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gpu_name or self.kind} {self.vast_id or self.label}"

    @property
    def is_over(self) -> bool:
        return self.state in INSTANCE_OVER

    def move(self, *sources: str, to: str, **values: Any) -> bool:
        """Change the state when it is one of `sources`; False when somebody else was first."""
        now = timezone.now()
        values = {"state": to, "state_since": now, **values}
        if to in INSTANCE_OVER:
            values.setdefault("ended_at", now)
        if not Instance.objects.filter(pk=self.pk, state__in=sources).update(**values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True


class InstanceEvent(models.Model):
    """One line of a machine's timeline."""

    instance = models.ForeignKey(Instance, models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)
    message = models.CharField(max_length=300)
    data = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["instance", "at"], name="event_instance_at")]

    def __str__(self) -> str:
        return self.message


class ModelFile(models.Model):
    """A file that SwarmUI needs, as it lies in our bucket."""

    name = models.CharField(max_length=200, unique=True, help_text="File name on the machine.")
    folder = models.CharField(
        max_length=200, help_text="Below SwarmUI's model root: diffusion_models/Wan, Lora/Wan, VAE, ..."
    )
    r2_key = models.CharField("key in the bucket", max_length=300, unique=True)
    size_bytes = models.PositiveBigIntegerField(default=0, help_text="0: not uploaded yet.")
    sha256 = models.CharField(max_length=64, blank=True)
    needed_by = models.JSONField(
        default=list, blank=True, help_text="Slugs of the catalogue rows that need it; empty: all."
    )
    uploaded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["folder", "name"]

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"


class LedgerEntry(models.Model):
    """One movement of money. Entries are never changed; a correction is another entry."""

    class Kind(models.TextChoices):
        RESERVE = "reserve"  # promised to an intent; counts against the caps
        RELEASE = "release"  # the rest of a promise, given back
        SPEND = "spend"  # what a machine has cost, settled period by period

    instance = models.ForeignKey(Instance, models.PROTECT, related_name="ledger")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    usd = models.DecimalField(max_digits=12, decimal_places=6)
    at = models.DateTimeField(default=timezone.now)
    key = models.CharField(max_length=120, unique=True, help_text="What makes booking it twice impossible.")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["at"], name="ledger_at")]
        constraints = [models.CheckConstraint(condition=Q(usd__gte=0), name="ledger_amounts_are_positive")]

    def __str__(self) -> str:
        return f"{self.kind} {self.usd}"


class FleetSample(models.Model):
    """The fleet in one minute, for the plot."""

    at = models.DateTimeField(unique=True, help_text="The start of the minute.")
    machines = models.PositiveSmallIntegerField(help_text="Rented, whatever they do.")
    ready = models.PositiveSmallIntegerField(default=0)
    waiting = models.PositiveIntegerField(help_text="Videos that wait for a GPU.")
    spend_usd = models.DecimalField(max_digits=12, decimal_places=4, help_text="Of all machines, since ever.")

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class Alarm(models.Model):
    """Something that a person should look at: open until `cleared_at`."""

    class Kind(models.TextChoices):
        UNKNOWN_MACHINE = "unknown_machine", "A machine that no row knows"
        SLOW_DESTROY = "slow_destroy", "Giving back takes too long"
        CAP = "cap", "Near a spending cap"
        CREDIT = "credit", "Little credit left"
        STUCK = "stuck", "A machine is stuck"

    kind = models.CharField(max_length=32, choices=Kind.choices)
    key = models.CharField(max_length=120, help_text="What it is about; one is open at a time.")
    message = models.CharField(max_length=300)
    instance = models.ForeignKey(Instance, models.SET_NULL, null=True, blank=True, related_name="alarms")
    raised_at = models.DateTimeField(default=timezone.now)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(cleared_at=None), name="an_alarm_is_raised_once")
        ]

    def __str__(self) -> str:
        return self.message


class AlarmNotice(models.Model):
    """One message about an alarm that has to reach people: the outbox, sent until it arrives."""

    class Channel(models.TextChoices):
        MAIL = "mail", "E-mail to staff"
        WEBHOOK = "webhook", "Webhook"

    class Event(models.TextChoices):
        RAISED = "raised"
        CLEARED = "cleared"

    alarm = models.ForeignKey(Alarm, models.CASCADE, related_name="notices")
    channel = models.CharField(max_length=16, choices=Channel.choices)
    event = models.CharField(max_length=16, choices=Event.choices)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: sent, or given up.")
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alarm", "channel", "event"], name="a_notice_is_written_once"),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="notice_due", condition=~Q(next_try_at=None))]

    def __str__(self) -> str:
        return f"{self.channel}: {self.alarm} {self.event}"
