"""What was promised, spent and corrected: for rented machines, for cloud calls, and for each person."""

from typing import Any, NoReturn

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from gpu.models.machines import Instance


class Book(models.TextChoices):
    MACHINE = "machine", gettext_lazy("Rented machines")  # what vast.ai takes
    CLOUD = "cloud", gettext_lazy("Cloud calls")  # what fal.ai takes
    PERSON = (
        "person",
        gettext_lazy("People"),
    )  # what people's videos are charged: a share of the two above, never beside them


class EntriesAreFinalError(TypeError):
    """Somebody tried to change the past; a correction is another entry."""


class LedgerEntryQuerySet(models.QuerySet["LedgerEntry"]):
    """Entries are read and inserted. (The account of a person goes by Django's own way, which clears `person`.)"""

    def update(self, **_values: Any) -> NoReturn:
        raise EntriesAreFinalError("Ledger entries are never changed.")

    def delete(self) -> NoReturn:
        raise EntriesAreFinalError("Ledger entries are never deleted.")

    def bulk_update(self, *_args: Any, **_options: Any) -> NoReturn:
        raise EntriesAreFinalError("Ledger entries are never changed.")


class LedgerEntry(models.Model):
    """One movement of money. Entries are never changed; a correction is another entry."""

    class Kind(models.TextChoices):
        RESERVE = "reserve", gettext_lazy("Reserve")  # promised; counts against the caps
        RELEASE = "release", gettext_lazy("Release")  # the rest of a promise, given back
        SPEND = "spend", gettext_lazy("Spend")  # what it has cost
        CORRECT = (
            "correct",
            gettext_lazy("Correct"),
        )  # the difference to what turned out later; the only kind that may be negative

    book = models.CharField(max_length=16, choices=Book.choices)
    subject = models.UUIDField(help_text="The machine, or the job, that it is about.")
    instance = models.ForeignKey(Instance, models.PROTECT, null=True, blank=True, related_name="ledger")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="ledger_entries"
    )
    kind = models.CharField(max_length=16, choices=Kind.choices)
    usd = models.DecimalField(max_digits=12, decimal_places=6)
    at = models.DateTimeField(default=timezone.now)
    key = models.CharField(max_length=120, unique=True, help_text="What makes booking it twice impossible.")
    note = models.CharField(max_length=200, blank=True)

    objects = LedgerEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ["at", "pk"]
        indexes = [
            models.Index(fields=["book", "at"], name="ledger_book_at"),
            models.Index(fields=["subject"], name="ledger_subject"),
            models.Index(fields=["person", "at"], name="ledger_person_at"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(usd__gte=0) | Q(kind="correct"), name="ledger_amounts_are_positive"),
            models.CheckConstraint(
                condition=~Q(book="machine") | Q(instance__isnull=False), name="ledger_machine_entries_name_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.usd}"

    def save(self, *args: Any, **options: Any) -> None:
        """Insert it; an entry that is stored is never written again."""
        if not self._state.adding:
            raise EntriesAreFinalError("Ledger entries are never changed.")
        super().save(*args, **(options | {"force_insert": True}))

    def delete(self, *_args: Any, **_options: Any) -> NoReturn:
        raise EntriesAreFinalError("Ledger entries are never deleted.")


class Purse(models.Model):
    """What is promised now to the cloud, or to one person's videos: the row that submits lock, and a sum kept ready.

    `account` is "cloud" or "person:<id>". The ledger's entries are the truth; `manage.py ledger` compares the two.
    """

    account = models.CharField(max_length=40, primary_key=True)
    reserved_usd = models.DecimalField(max_digits=12, decimal_places=6, default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(reserved_usd__gte=0), name="purses_are_not_negative")]

    def __str__(self) -> str:
        return f"{self.account}: {self.reserved_usd}"


class DayTotal(models.Model):
    """What one account has spent on one day (UTC), corrections included: a sum of entries kept ready.

    `account` is "machine", "cloud" or "person:<id>".
    """

    account = models.CharField(max_length=40)
    day = models.DateField()
    spent_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="one_total_a_day")]

    def __str__(self) -> str:
        return f"{self.account} {self.day}: {self.spent_usd}"


class PersonBudget(models.Model):
    """Caps of one person, where they differ from everybody's."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="budget")
    daily_cap_usd = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty: as for everybody.",
    )
    monthly_cap_usd = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty: as for everybody.",
    )

    def __str__(self) -> str:
        return f"Budget of {self.person}"
