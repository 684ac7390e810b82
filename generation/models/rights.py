"""What we know of files that left us, what was reported about them, and who did what about it."""

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from generation.models.jobs import VideoJob
from generation.models.studio import Clip


class Fingerprint(models.Model):
    """By what a file of ours is known again: its digest, and how it looks."""

    key = models.CharField(max_length=200, unique=True)
    sha256 = models.CharField(max_length=64, db_index=True)
    looks = models.JSONField(
        default=list, help_text="Perceptual hashes of frames spread over the video: 16 hex digits each."
    )
    job = models.ForeignKey(VideoJob, models.CASCADE, null=True, blank=True, related_name="fingerprints")
    clip = models.ForeignKey(Clip, models.CASCADE, null=True, blank=True, related_name="fingerprints")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.sha256[:12]


class Blocked(models.Model):
    """A file that was taken down: it is refused when it is made or given again."""

    sha256 = models.CharField(max_length=64, unique=True)
    looks = models.JSONField(default=list)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "blocked files"

    def __str__(self) -> str:
        return self.sha256[:12]


class Report(models.Model):
    """Somebody says, with or without an account, that a video should not be here; or a check asks for a look."""

    class Kind(models.TextChoices):
        INTIMATE = "intimate", gettext_lazy("It shows me, or somebody, in an intimate way without consent")
        PERSON = "person", gettext_lazy("It shows me without my consent")
        COPYRIGHT = "copyright", gettext_lazy("It uses my picture or work")
        ILLEGAL = "illegal", gettext_lazy("It is illegal or harmful in another way")
        OTHER = "other", gettext_lazy("Something else")
        CHECK = "check", gettext_lazy("A check asks for a look")

    class State(models.TextChoices):
        OPEN = "open", gettext_lazy("Open")
        REMOVED = "removed", gettext_lazy("Taken down")
        DISMISSED = "dismissed", gettext_lazy("Dismissed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    address = models.CharField(max_length=500, blank=True, help_text="Where it was seen, as the reporter gave it.")
    text = models.TextField(blank=True, max_length=4000)
    email = models.EmailField(blank=True, help_text="Of the reporter, if they want an answer.")
    job = models.ForeignKey(VideoJob, models.SET_NULL, null=True, blank=True, related_name="reports")
    clip = models.ForeignKey(Clip, models.SET_NULL, null=True, blank=True, related_name="reports")
    file_sha256 = models.CharField(max_length=64, blank=True, help_text="Of a file that the reporter gave.")
    due_at = models.DateTimeField(help_text="Until when somebody must have decided.")
    created_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="decided_reports"
    )
    note = models.TextField(blank=True, help_text="Why it was decided so; not shown to the reporter.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["due_at"], name="report_open", condition=Q(state="open"))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.state})"


class EntriesAreFinalError(TypeError):
    """Somebody tried to change what was done."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Entries are read and inserted."""

    def update(self, **_values: Any) -> NoReturn:
        raise EntriesAreFinalError("Audit entries are never changed.")

    def delete(self) -> NoReturn:
        raise EntriesAreFinalError("Audit entries are never deleted.")

    def bulk_update(self, *_args: Any, **_options: Any) -> NoReturn:
        raise EntriesAreFinalError("Audit entries are never changed.")


class AuditEntry(models.Model):
    """Who did what about rights and reports; written once, never changed."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=150, blank=True, help_text="A user name as it was then; empty: the platform.")
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=80, help_text="What it was done to, e.g. job:<id>.", db_index=True)
    details = models.JSONField(default=dict, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"

    def save(self, *args: Any, **options: Any) -> None:
        """Insert it; an entry that is stored is never written again."""
        if not self._state.adding:
            raise EntriesAreFinalError("Audit entries are never changed.")
        super().save(*args, **(options | {"force_insert": True}))

    def delete(self, *_args: Any, **_options: Any) -> NoReturn:
        raise EntriesAreFinalError("Audit entries are never deleted.")


class Erasure(models.Model):
    """An account that is being erased; the row outlives it, as the proof that it was done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    left = models.JSONField(default=dict, blank=True, help_text="What is still to do, or had to be kept and why.")

    class Meta:
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return str(self.id)
