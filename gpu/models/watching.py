"""How the fleet was, minute by minute, and what somebody should look at."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from gpu.models.machines import Instance


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
        UNKNOWN_MACHINE = "unknown_machine", gettext_lazy("A machine that no row knows")
        SLOW_DESTROY = "slow_destroy", gettext_lazy("Giving back takes too long")
        CAP = "cap", gettext_lazy("Near a spending cap")
        CREDIT = "credit", gettext_lazy("Little credit left")
        STUCK = "stuck", gettext_lazy("A machine is stuck")
        LEDGER = "ledger", gettext_lazy("The ledger does not add up")

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
        MAIL = "mail", gettext_lazy("E-mail to staff")
        WEBHOOK = "webhook", gettext_lazy("Webhook")

    class Event(models.TextChoices):
        RAISED = "raised", gettext_lazy("Raised")
        CLEARED = "cleared", gettext_lazy("Cleared")

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
