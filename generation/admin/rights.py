"""The operator's view of rights: reports to be decided, files that are refused, what was done, erasures."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from generation.admin.rows import NOTHING, ReadOnly, row_link
from generation.models import AuditEntry, Blocked, Erasure, Fingerprint, Report
from generation.services import fingerprints, reports, takedown
from generation.services.links import link
from i2v_site.errors import DomainError

ALIKE_SHOWN = 12


class NoteForm(forms.Form):
    note = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), max_length=2000, label="Why it is decided so")


class Overdue(admin.SimpleListFilter):
    title = "overdue"
    parameter_name = "overdue"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("1", "Overdue")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Report]) -> QuerySet[Report]:
        return queryset.filter(reports.overdue()) if self.value() else queryset


@admin.register(Report)
class ReportAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    """What waits for a decision comes first, the most urgent on top."""

    list_display = ["kind", "state", "due", "about", "created_at", "decided_by"]
    list_filter = ["state", Overdue, "kind"]
    list_select_related = ["job", "clip", "decided_by"]
    ordering = ["-state", "due_at"]
    actions = ["take_down", "dismiss"]
    fieldsets = [
        (None, {"fields": ["kind", "state", "due", "text", "email", "address", "file_sha256", "created_at"]}),
        ("What it is about", {"fields": ["about", "owner", "watch", "copies", "alike"]}),
        ("Decision", {"fields": ["decided_at", "decided_by", "note"]}),
    ]

    def has_delete_permission(self, _request: HttpRequest, _obj: Report | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("generation.change_report"))

    def get_readonly_fields(self, _request: HttpRequest, _obj: Report | None = None) -> list[str]:
        return [str(name) for _title, options in self.fieldsets for name in options["fields"]]

    @admin.display(description="Due", ordering="due_at")
    def due(self, row: Report) -> str:
        moment = f"{row.due_at:%Y-%m-%d %H:%M} UTC"
        late = row.state == Report.State.OPEN and row.due_at < timezone.now()
        return format_html("<strong>{} (overdue)</strong>", moment) if late else moment

    @admin.display(description="About")
    def about(self, row: Report) -> str:
        return row_link(row.job) if row.job else (str(row.clip) if row.clip else row.address or NOTHING)

    @admin.display(description="Owner")
    def owner(self, row: Report) -> str:
        subject = row.job or row.clip
        return row_link(subject.owner) if subject else NOTHING

    @admin.display(description="Video")
    def watch(self, row: Report) -> str:
        """By a link of its own: staff must see what everybody else must not."""
        key = (row.job.video_key if row.job else "") or (row.clip.key if row.clip else "")
        return (
            format_html('<a href="{}" rel="noreferrer">Look at it</a>', link(key, for_staff=True)) if key else NOTHING
        )

    @admin.display(description="Identical copies")
    def copies(self, row: Report) -> str:
        jobs, clips = reports.copies_of(row)
        found = [(str(one.pk), one.owner.get_username()) for one in jobs]
        found += [(str(one.pk), one.owner.get_username()) for one in clips]
        return format_html_join(", ", "{} ({})", found) if found else NOTHING

    @admin.display(description="Looks alike (not taken down with it)")
    def alike(self, row: Report) -> str:
        mine = Fingerprint.objects.filter(job=row.job_id, clip=row.clip_id).first() if row.job or row.clip else None
        if mine is None:
            return NOTHING
        found = [one for one in fingerprints.similar(mine.looks, ALIKE_SHOWN + 1) if one.fingerprint.pk != mine.pk]
        rows = [(row_link(one.fingerprint.job or one.fingerprint.clip), f"{one.distance:.1f}") for one in found]
        return format_html_join(", ", "{} ({} of 64 bits)", rows) if rows else NOTHING

    @admin.action(description="Take down, with identical copies", permissions=["operate"])
    def take_down(self, request: HttpRequest, queryset: QuerySet[Report]) -> HttpResponse | None:
        return self._decide(request, queryset, "take_down", "Take down, with identical copies")

    @admin.action(description="Dismiss and show again", permissions=["operate"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Report]) -> HttpResponse | None:
        return self._decide(request, queryset, "dismiss", "Dismiss and show again")

    def _decide(self, request: HttpRequest, queryset: QuerySet[Report], action: str, title: str) -> HttpResponse | None:
        """A page that asks why; with the answer, the act."""
        form = NoteForm(request.POST if "note" in request.POST else None)
        if not form.is_valid():
            context = self.admin_site.each_context(request) | {
                "title": title,
                "form": form,
                "reports": queryset,
                "action": action,
                "opts": self.opts,
            }
            return TemplateResponse(request, "admin/generation/report/decide.html", context)
        actor = User.objects.get(username=request.user.get_username())
        act: Callable[..., Any] = takedown.take_down if action == "take_down" else takedown.dismiss
        for row in queryset:
            try:
                act(report=row, actor=actor, note=form.cleaned_data["note"])
            except DomainError as exc:
                self.message_user(request, f"{row}: {exc.message}", messages.WARNING)
            else:
                self.log_change(request, row, title)
                self.message_user(request, f"{row}: {title}.", messages.SUCCESS)
        return None


class _NeverDeleted(ReadOnly):
    def has_delete_permission(self, *_: Any) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(_NeverDeleted, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["at", "actor", "action", "subject", "details"]
    list_filter = ["action", "at"]
    search_fields = ["subject", "actor"]
    show_full_result_count = False


@admin.register(Blocked)
class BlockedAdmin(_NeverDeleted, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["sha256", "reason", "created_at"]
    search_fields = ["=sha256"]


@admin.register(Erasure)
class ErasureAdmin(_NeverDeleted, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["id", "requested_at", "finished_at", "left"]
