"""The operator's view of the fleet: the configuration, machines with their timelines, hosts, files, money, alarms."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from gpu.errors import BadAddress
from gpu.forms import PolicyForm
from gpu.models import (
    Alarm,
    AlarmNotice,
    GpuConfig,
    Host,
    Instance,
    InstanceEvent,
    LedgerEntry,
    ModelFile,
    PersonBudget,
)
from gpu.services import config, machines, offer_table, policy
from i2v_site.errors import DomainError

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    ConfigAdmin = admin.ModelAdmin[GpuConfig]
    InstanceAdminBase = admin.ModelAdmin[Instance]
    HostAdminBase = admin.ModelAdmin[Host]
    FileAdmin = admin.ModelAdmin[ModelFile]
    LedgerAdmin = admin.ModelAdmin[LedgerEntry]
    AlarmAdminBase = admin.ModelAdmin[Alarm]
    BudgetAdmin = admin.ModelAdmin[PersonBudget]
    EventInlineBase = admin.TabularInline[InstanceEvent, Instance]
    NoticeInlineBase = admin.TabularInline[AlarmNotice, Alarm]
    FileForm = forms.ModelForm[ModelFile]
else:
    ConfigAdmin = InstanceAdminBase = HostAdminBase = FileAdmin = LedgerAdmin = AlarmAdminBase = BudgetAdmin = (
        admin.ModelAdmin
    )
    EventInlineBase = NoticeInlineBase = admin.TabularInline
    FileForm = forms.ModelForm

NOTHING = "-"


class ReadOnly:
    """Rows that only the platform itself writes."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


def row_link(row: models.Model | None) -> str:
    """A link to the admin page of another row; a dash when there is none."""
    if row is None:
        return NOTHING
    meta = row._meta  # noqa: SLF001 (documented, whatever its name)
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, str(row))


# --- the configuration ----------------------------------------------------------------------------------------------
class GpuConfigForm(PolicyForm):
    class Meta(PolicyForm.Meta):
        fields = ("swarmui_url", *policy.FIELDS)

    def clean_swarmui_url(self) -> str:
        try:
            return config.checked_address(self.cleaned_data["swarmui_url"])
        except BadAddress as exc:
            raise forms.ValidationError(exc.message) from exc


@admin.register(GpuConfig)
class GpuConfigAdmin(ConfigAdmin):
    form = GpuConfigForm
    readonly_fields = ["available", "offers", "updated_at"]
    fieldsets = [
        (None, {"fields": ["swarmui_url", "available", "offers", "updated_at"]}),
        *((title, {"fields": names}) for title, names in policy.GROUPS),  # type: ignore[list-item]  # it is one
    ]

    @admin.display(description="Answers now", boolean=True)
    def available(self, _row: GpuConfig) -> bool:
        return config.swarmui_available()

    @admin.display(description="Offers")
    def offers(self, _row: GpuConfig) -> str:
        return format_html('<a href="{}">What can be rented now, with scores</a>', reverse("admin:gpu_offers"))

    def save_model(self, _request: HttpRequest, obj: GpuConfig, form: Any, _change: bool) -> None:
        # The admin writes its own line in the audit log, so the services get no actor.
        config.save_config(swarmui_url=obj.swarmui_url)
        policy.save_policy(
            values={name: form.cleaned_data[name] for name in policy.FIELDS if name in form.cleaned_data}
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        return redirect(reverse("admin:gpu_gpuconfig_change", args=[config.load().pk]))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: GpuConfig | None = None) -> bool:
        return False


# --- machines -------------------------------------------------------------------------------------------------------
class EventInline(ReadOnly, EventInlineBase):
    model = InstanceEvent
    readonly_fields = ["at", "kind", "message", "actor"]
    fields = tuple(readonly_fields)
    extra = 0
    verbose_name_plural = "timeline"

    def get_queryset(self, request: HttpRequest) -> QuerySet[InstanceEvent]:
        return super().get_queryset(request).select_related("actor")


Act = Callable[[Instance, User], Any]
# Shown before anything is done: what the action means for the machines chosen.
_QUESTIONS = {
    "extend": ("Keep these machines for one more lease?", "Each costs its price for as long.", "Extend"),
    "drain": ("Let these machines finish and give them back?", "They get no new work.", "Drain"),
    "destroy": ("Give these machines back now?", "Videos on them are made again elsewhere.", "Destroy"),
}


@admin.register(Instance)
class InstanceAdmin(ReadOnly, InstanceAdminBase):
    list_display = [
        "__str__",
        "state",
        "host_link",
        "usd_per_hour",
        "spent_usd",
        "charged_usd",
        "difference",
        "lease_until",
        "trouble",
        "created_at",
    ]
    list_filter = ["state", "kind", "gpu_name", "created_at"]
    list_select_related = ["host"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["label", "=vast_id", "gpu_name", "trouble", "end_reason"]
    search_help_text = "A label, vast.ai's number, a GPU, words of a trouble or of the reason of an end."
    actions = ["extend", "drain", "destroy"]
    inlines = [EventInline]
    fieldsets = [
        (None, {"fields": ["state", "kind", "label", "gpu_name", "url", ("trouble", "reason", "end_reason")]}),
        ("vast.ai", {"fields": ["vast_id", "vast_status", "offer_id", "host_link", "offer", "gpu_use_percent"]}),
        (
            "Money",
            {
                "fields": [
                    ("usd_per_hour", "storage_usd_per_hour", "inet_usd_per_gb"),
                    ("reserved_usd", "spent_usd"),
                    ("reckoned", "charged_usd", "difference"),
                    ("bill_settled", "charges_checked_at", "bill_next_at"),
                ]
            },
        ),
        ("Preparing", {"fields": ["step", ("bytes_done", "bytes_total"), "download_mbps", "log_tail"]}),
        (
            "Times",
            {
                "fields": [
                    ("created_at", "sent_at", "running_at", "ready_at"),
                    ("state_since", "idle_since", "seen_at", "ended_at"),
                    ("lease_until", "extended_until", "max_until"),
                    ("absent_lists", "destroy_tries", "next_try_at"),
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Instance]:
        # What we reckoned ourselves: the entries before any correction.
        reckoned = Sum("ledger__usd", filter=Q(ledger__kind=LedgerEntry.Kind.SPEND))
        return super().get_queryset(request).select_related("host").annotate(reckoned_usd=reckoned)

    def get_urls(self) -> list[URLPattern]:
        offers = path("offers/", self.admin_site.admin_view(self.offers_view), name="gpu_offers")
        return [offers, *super().get_urls()]

    def offers_view(self, request: HttpRequest) -> HttpResponse:
        """What can be rented now, with the score and its parts."""
        if not self.has_view_permission(request):
            return redirect("admin:index")
        try:
            rows, problem = offer_table.look(), ""
        except DomainError as exc:
            rows, problem = [], exc.message
        context = self.admin_site.each_context(request) | {"title": "Offers", "rows": rows, "problem": problem}
        return TemplateResponse(request, "admin/gpu/offers.html", context)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("gpu.change_instance"))

    @admin.display(description="Host", ordering="host__machine_id")
    def host_link(self, row: Instance) -> str:
        return row_link(row.host)

    @admin.display(description="As we reckoned")
    def reckoned(self, row: Any) -> str:
        return NOTHING if row.reckoned_usd is None else f"{row.reckoned_usd:.4f}"

    @admin.display(description="Bill above that")
    def difference(self, row: Any) -> str:
        """What vast.ai charged beyond what we had reckoned; below zero when it was less."""
        return NOTHING if row.charged_usd is None else f"{row.charged_usd - (row.reckoned_usd or 0):+.4f}"

    @admin.action(description="Extend the lease of the selected machines", permissions=["operate"])
    def extend(self, request: HttpRequest, queryset: QuerySet[Instance]) -> HttpResponse | None:
        return self._asked(
            request, queryset, "extend", lambda row, actor: machines.extend_lease(instance=row, actor=actor)
        )

    @admin.action(description="Drain the selected machines", permissions=["operate"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Instance]) -> HttpResponse | None:
        return self._asked(
            request, queryset, "drain", lambda row, actor: machines.drain(instance=row, reason="asked for", actor=actor)
        )

    @admin.action(description="Destroy the selected machines", permissions=["operate"])
    def destroy(self, request: HttpRequest, queryset: QuerySet[Instance]) -> HttpResponse | None:
        return self._asked(
            request,
            queryset,
            "destroy",
            lambda row, actor: machines.destroy(instance=row, reason="asked for", actor=actor),
        )

    def _asked(self, request: HttpRequest, queryset: QuerySet[Instance], action: str, act: Act) -> HttpResponse | None:
        """The question first; the act when the form with it comes back confirmed."""
        if request.POST.get("confirmed") == "1":
            self._each(request, queryset, action, act)
            return None
        title, text, button = _QUESTIONS[action]
        context = self.admin_site.each_context(request) | {
            "title": title,
            "text": text,
            "button": button,
            "action": action,
            "rows": queryset,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/gpu/confirm_action.html", context)

    def _each(self, request: HttpRequest, queryset: QuerySet[Instance], action: str, act: Act) -> None:
        actor = cast("User", request.user)
        for row in queryset:
            try:
                act(row, actor)
            except DomainError as exc:
                self.message_user(request, f"{row}: {exc.message}", messages.WARNING)
            else:
                self.log_change(request, row, action)
                self.message_user(request, f"{row}: {_QUESTIONS[action][2].lower()} asked for.", messages.SUCCESS)


_REMEMBERED = ["machine_id", "boots", "boot_seconds", "download_mbps", "seconds_per_video", "failures", "seen_at"]


@admin.register(Host)
class HostAdmin(HostAdminBase):
    """What we remember; a person may lift or set the time for which a host is avoided."""

    list_display = [*_REMEMBERED, "avoid_until"]
    list_filter = [("avoid_until", admin.EmptyFieldListFilter)]
    search_fields = ["=machine_id", "last_failure"]
    fields = [*_REMEMBERED, "avoid_until", "last_failure"]
    readonly_fields = [*_REMEMBERED, "last_failure"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Host | None = None) -> bool:
        return False


# --- files and money ------------------------------------------------------------------------------------------------
class ModelFileForm(FileForm):
    class Meta:
        model = ModelFile
        fields = ["name", "folder", "r2_key", "size_bytes", "sha256", "needed_by"]

    def clean_sha256(self) -> str:
        digest = str(self.cleaned_data["sha256"]).strip().lower()
        if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise forms.ValidationError("64 hexadecimal digits, or nothing.")
        return digest

    def clean_needed_by(self) -> list[str]:
        slugs = self.cleaned_data["needed_by"] or []
        if not isinstance(slugs, list) or not all(isinstance(slug, str) for slug in slugs):
            raise forms.ValidationError('A list of slugs: ["wan-2-2"].')
        return slugs

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if "/" in name or name.startswith("."):
            raise forms.ValidationError("A file name, without a folder.")
        return name

    def clean_folder(self) -> str:
        folder = str(self.cleaned_data["folder"]).strip("/")
        if ".." in folder.split("/"):
            raise forms.ValidationError("A folder below SwarmUI's model root.")
        return folder


@admin.register(ModelFile)
class ModelFileAdmin(FileAdmin):
    form = ModelFileForm
    list_display = ["name", "folder", "size_bytes", "uploaded_at"]
    list_filter = ["folder", ("uploaded_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "r2_key", "=sha256"]
    readonly_fields = ["uploaded_at"]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnly, LedgerAdmin):
    list_display = ["at", "book", "kind", "usd", "person", "instance_link", "note"]
    list_filter = ["book", "kind", "at", ("person", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["instance", "person"]
    list_per_page = 100
    show_full_result_count = False
    search_fields = ["key", "note", "=subject", "instance__label", "person__username"]
    search_help_text = "A job's or a machine's id, a name, a label, words of a note."
    fields = ["at", "book", "kind", "usd", "subject", "person", "instance_link", "key", "note"]
    date_hierarchy = "at"

    @admin.display(description="Machine", ordering="instance")
    def instance_link(self, entry: LedgerEntry) -> str:
        return row_link(entry.instance)


@admin.register(PersonBudget)
class PersonBudgetAdmin(BudgetAdmin):
    """Caps of single people, changed where they are listed."""

    list_display = ["person", "daily_cap_usd", "monthly_cap_usd"]
    list_editable = ["daily_cap_usd", "monthly_cap_usd"]
    list_select_related = ["person"]
    search_fields = ["person__username", "person__email"]
    autocomplete_fields = ["person"]


# --- alarms ---------------------------------------------------------------------------------------------------------
class NoticeInline(ReadOnly, NoticeInlineBase):
    model = AlarmNotice
    readonly_fields = ["channel", "event", "tries", "next_try_at", "sent_at", "error"]
    fields = tuple(readonly_fields)
    extra = 0


@admin.register(Alarm)
class AlarmAdmin(ReadOnly, AlarmAdminBase):
    list_display = ["message", "kind", "instance_link", "raised_at", "cleared_at"]
    list_filter = ["kind", ("cleared_at", admin.EmptyFieldListFilter)]
    list_select_related = ["instance"]
    date_hierarchy = "raised_at"
    fields = ["message", "kind", "instance_link", "raised_at", "cleared_at"]
    inlines = [NoticeInline]

    @admin.display(description="Machine")
    def instance_link(self, alarm: Alarm) -> str:
        return row_link(alarm.instance)
