"""The operator's view of the alarms and of who was told."""

from typing import TYPE_CHECKING

from django.contrib import admin

from gpu.admin.rows import ReadOnly, row_link
from gpu.models import Alarm, AlarmNotice

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    AlarmAdminBase = admin.ModelAdmin[Alarm]
    NoticeInlineBase = admin.TabularInline[AlarmNotice, Alarm]
else:
    AlarmAdminBase = admin.ModelAdmin
    NoticeInlineBase = admin.TabularInline


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
