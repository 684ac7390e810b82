"""The operator's view of batches: how many videos each has and what became of them."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from generation.admin.rows import ReadOnly, row_link
from generation.models import UNFINISHED, Batch, Status


@admin.register(Batch)
class BatchAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["__str__", "owner_link", "videos", "unfinished", "done", "failed", "promised_usd", "created_at"]
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = "created_at"
    search_fields = ["name", "=owner__username", "=owner__email"]
    fields = ("id", "name", "owner_link", "videos", "promised_usd", "created_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        def having(*statuses: str) -> Count:
            return Count("jobs", filter=Q(jobs__status__in=statuses))

        rows: QuerySet[Batch] = super().get_queryset(request).select_related("owner")
        return rows.annotate(
            video_count=Count("jobs"),
            unfinished_count=having(*UNFINISHED),
            done_count=having(Status.SUCCEEDED),
            failed_count=having(Status.FAILED),
        )

    @admin.display(description=_("owner"))
    def owner_link(self, row: Batch) -> Any:
        return row_link(row.owner)

    @admin.display(description=_("videos"), ordering="video_count")
    def videos(self, row: Any) -> Any:
        address = f"{reverse('admin:generation_videojob_changelist')}?batch__id__exact={row.pk}"
        return format_html('<a href="{}">{}</a>', address, row.video_count)

    @admin.display(description=_("unfinished"), ordering="unfinished_count")
    def unfinished(self, row: Any) -> int:
        return int(row.unfinished_count)

    @admin.display(description=_("done"), ordering="done_count")
    def done(self, row: Any) -> int:
        return int(row.done_count)

    @admin.display(description=_("failed"), ordering="failed_count")
    def failed(self, row: Any) -> int:
        return int(row.failed_count)
