"""The operator's view of clips: what was made of which videos, and why one failed."""

from django.contrib import admin

from generation.admin.rows import ReadOnly, row_link
from generation.models import Clip, ClipPart


class PartInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # takes no parameter when it runs
    model = ClipPart
    extra = 0
    can_delete = False
    readonly_fields = ["position", "video", "start_frame", "end_frame"]
    fields = tuple(readonly_fields)

    @admin.display(description="Video")
    def video(self, part: ClipPart) -> str:
        return row_link(part.job)


@admin.register(Clip)
class ClipAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["kind", "owner_link", "state", "error_code", "tries", "frames", "created_at", "finished_at"]
    list_filter = ["state", "kind", "created_at"]
    list_select_related = ["owner"]
    show_full_result_count = False
    search_fields = ["=owner__username", "=id", "=sha256"]
    fields = [
        *("id", "kind", "owner_link", "options", "state", "error_code", "error_message", "tries", "lease_until"),
        *("key", "bytes", "sha256", "width", "height", "frames", "fps"),
        *("created_at", "finished_at", "deleted_at", "hidden_at"),
    ]
    inlines = [PartInline]

    def has_delete_permission(self, *_: object) -> bool:
        return False  # its files would stay behind

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, clip: Clip) -> str:
        return row_link(clip.owner)
