"""The operator's view of the work: jobs with their attempts, and the signs of life of what makes them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from generation.admin.rows import NOTHING, ReadOnly, row_link, thumbnail
from generation.models import Attempt, Heartbeat, VideoJob
from generation.services.deleting import delete_job
from generation.services.jobs import cancel_job, retry_job
from generation.services.links import link
from i2v_site.errors import DomainError


class AttemptInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # takes no parameter when it runs
    model = Attempt
    extra = 0
    can_delete = False
    readonly_fields = [
        "number",
        "outcome",
        "engine",
        "endpoint",
        "created_at",
        "sent_at",
        "ended_at",
        "timings",
        "error_code",
        "error_message",
        "provider_ref",
        "request_sent",
    ]
    fields = tuple(readonly_fields)


@admin.register(VideoJob)
class VideoJobAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = [
        "short_prompt",
        "status",
        "owner_link",
        "model_link",
        "picture",
        "tries",
        "created_at",
    ]
    list_filter = ["status", "model", "error_code", ("deleted_at", admin.EmptyFieldListFilter), "created_at"]
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = "created_at"
    search_fields = ["prompt", "=owner__username", "=owner__email", "error_code"]
    search_help_text = (
        "Words of the prompt, a job's id, a user name or e-mail address, an error code, an attempt's nonce."
    )
    actions = ["cancel", "retry", "delete_with_files"]
    inlines = [AttemptInline]
    fieldsets = [
        (
            None,
            {"fields": ["status", "message", "progress", ("error_code", "error_message"), "prompt", "negative_prompt"]},
        ),
        ("Links", {"fields": ["owner_link", "model_link", "image_link", "parent_link", "video_link", "image_url"]}),
        (
            "Settings",
            {
                "fields": [
                    ("width", "height", "size"),
                    ("frames", "fps"),
                    ("steps", "cfg_scale", "seed"),
                    ("focus_x", "focus_y"),
                ]
            },
        ),
        (
            "Times and lease",
            {
                "fields": [
                    ("created_at", "started_at", "finished_at", "deleted_at"),
                    ("attempts_made", "next_attempt_at"),
                    ("lease_owner", "lease_until"),
                    ("rights_version", "rights_confirmed_at"),
                ]
            },
        ),
        ("Files", {"fields": ["video_key", "poster_key", "loop_key", "video_bytes", "video_sha256"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[VideoJob]:
        return super().get_queryset(request).select_related("owner", "model", "image", "parent")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[VideoJob], search_term: str
    ) -> tuple[QuerySet[VideoJob], bool]:
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(Q(pk=wanted) | Q(attempts__nonce=wanted.hex)), True

    def has_delete_permission(self, _request: HttpRequest, _obj: VideoJob | None = None) -> bool:
        return False  # the action below takes the files along

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("generation.change_videojob"))

    @admin.display(description="Prompt", ordering="prompt")
    def short_prompt(self, job: VideoJob) -> str:
        return job.prompt[:60] + ("…" if len(job.prompt) > 60 else "")

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, job: VideoJob) -> str:
        return row_link(job.owner)

    @admin.display(description="Model", ordering="model__name")
    def model_link(self, job: VideoJob) -> str:
        return row_link(job.model)

    @admin.display(description="Picture")
    def picture(self, job: VideoJob) -> str:
        return thumbnail(job.image, 48)

    @admin.display(description="Picture")
    def image_link(self, job: VideoJob) -> str:
        return row_link(job.image, thumbnail(job.image, 96)) if job.image else NOTHING

    @admin.display(description="Repeats")
    def parent_link(self, job: VideoJob) -> str:
        return row_link(job.parent)

    @admin.display(description="Video")
    def video_link(self, job: VideoJob) -> str:
        if not job.video_key:
            return NOTHING
        return format_html('<a href="{}">Play</a>', link(job.video_key, content_type="video/mp4"))

    @admin.display(description="Attempts", ordering="attempts_made")
    def tries(self, job: VideoJob) -> int:
        return job.attempts_made

    @admin.action(description="Cancel the selected videos", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[VideoJob]) -> None:
        self._each(request, queryset, lambda job: cancel_job(job=job), "cancelled")

    @admin.action(description="Make the selected videos again", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[VideoJob]) -> None:
        self._each(request, queryset, lambda job: retry_job(job=job), "started again")

    @admin.action(description="Delete the selected videos with their files", permissions=["operate"])
    def delete_with_files(self, request: HttpRequest, queryset: QuerySet[VideoJob]) -> None:
        self._each(request, queryset, lambda job: delete_job(job=job), "deleted")

    def _each(
        self, request: HttpRequest, queryset: QuerySet[VideoJob], act: Callable[[VideoJob], Any], done: str
    ) -> None:
        count, refused = 0, []
        for job in queryset:
            try:
                act(job)
            except DomainError as exc:
                refused.append(f"{self.short_prompt(job)}: {exc.message}")
            else:
                count += 1
                self.log_change(request, job, done)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)
        for text in refused[:10]:
            self.message_user(request, text, messages.WARNING)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["name", "beat_at"]

    def has_delete_permission(self, _request: HttpRequest, _obj: Heartbeat | None = None) -> bool:
        return False
