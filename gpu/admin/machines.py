"""The operator's view of the machines with their timelines, and of the hosts that we remember."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_noop

from gpu.admin.rows import NOTHING, ReadOnly, row_link
from gpu.models import Host, Instance, InstanceEvent, LedgerEntry
from gpu.services import machines, offer_table
from i2v_site.errors import DomainError

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    InstanceAdminBase = admin.ModelAdmin[Instance]
    HostAdminBase = admin.ModelAdmin[Host]
    EventInlineBase = admin.TabularInline[InstanceEvent, Instance]
else:
    InstanceAdminBase = HostAdminBase = admin.ModelAdmin
    EventInlineBase = admin.TabularInline


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
            request,
            queryset,
            "drain",
            lambda row, actor: machines.drain(instance=row, reason=gettext_noop("asked for"), actor=actor),
        )

    @admin.action(description="Destroy the selected machines", permissions=["operate"])
    def destroy(self, request: HttpRequest, queryset: QuerySet[Instance]) -> HttpResponse | None:
        return self._asked(
            request,
            queryset,
            "destroy",
            lambda row, actor: machines.destroy(instance=row, reason=gettext_noop("asked for"), actor=actor),
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
