"""Rented machines, the hosts that they stand on, and the files that they need."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy


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
    MANUAL = "manual", gettext_lazy("Typed in by hand")
    VASTAI = "vastai", gettext_lazy("Rented on vast.ai")


class InstanceState(models.TextChoices):
    REQUESTED = "requested", gettext_lazy("Requested")  # the intent is committed; nothing was sent
    CREATING = "creating", gettext_lazy("Renting")  # the create call was, or may have been, sent
    BOOTING = "booting", gettext_lazy("Booting")  # vast.ai knows it; its container is not up
    PROVISIONING = "provisioning", gettext_lazy("Preparing")  # models are downloaded, SwarmUI starts
    READY = "ready", gettext_lazy("Ready")
    DRAINING = "draining", gettext_lazy("Finishing its work")  # gets no new work
    DESTROYING = "destroying", gettext_lazy("Being given back")  # asked again until vast.ai says that it is gone
    DESTROYED = "destroyed", gettext_lazy("Given back")  # terminal: two complete lists lack it
    FAILED = "failed", gettext_lazy("Never rented")  # terminal: proven never created
    LOST = "lost", gettext_lazy("Lost")  # terminal: gone without our doing


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
    features = models.JSONField(default=list, blank=True, help_text="What its SwarmUI says that it can do besides.")
    vast_status = models.CharField(max_length=40, blank=True)

    usd_per_hour = models.DecimalField(
        max_digits=10, decimal_places=5, default=0, help_text="GPU and storage, running."
    )
    storage_usd_per_hour = models.DecimalField(max_digits=10, decimal_places=5, default=0)
    inet_usd_per_gb = models.DecimalField(max_digits=10, decimal_places=5, default=0)
    reserved_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)
    spent_usd = models.DecimalField(max_digits=10, decimal_places=4, default=0)

    charged_usd = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True, help_text="What vast.ai's own bill says."
    )
    charges_checked_at = models.DateTimeField(null=True, blank=True)
    bill_next_at = models.DateTimeField(null=True, blank=True, help_text="When vast.ai's bill is looked at again.")
    bill_settled = models.BooleanField(default=False, help_text="Over, and what it has cost does not change any more.")

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
