"""The operator's view: the catalogue, jobs with their attempts, pictures, presets, tokens, signs of life."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from generation.models import ApiToken, Attempt, Heartbeat, Preset, SourceImage, VideoJob, VideoModel
from generation.services import prices
from generation.services.intake import delete_picture
from generation.services.jobs import cancel_job, delete_job, parse_size, retry_job
from generation.services.links import link
from i2v_site.errors import DomainError

_SIZE = re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}", re.ASCII)
NOTHING = "-"
_STAGES = ("high", "low", "all")


def row_link(row: models.Model | None, text: str = "") -> str:
    """A link to the admin page of another row; a dash when there is none."""
    if row is None:
        return NOTHING
    meta = row._meta  # noqa: SLF001 (documented, whatever its name)
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text or str(row))


def thumbnail(image: SourceImage | None, side: int = 64) -> str:
    if image is None:
        return NOTHING
    source = link(image.thumbnail_key or image.key)
    return format_html('<img src="{}" alt="{}" height="{}" loading="lazy">', source, image.name, side)


class ReadOnly:
    """Rows that only the platform itself writes."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False


class VideoModelForm(forms.ModelForm):  # type: ignore[type-arg]  # takes no parameter when it runs
    licence_url = forms.URLField(assume_scheme="https")

    class Meta:
        model = VideoModel
        fields = "__all__"  # noqa: DJ007 (every column is the operator's)

    def clean_sizes(self) -> list[str]:
        sizes = self.cleaned_data["sizes"]
        if not isinstance(sizes, list):
            raise forms.ValidationError('A list of sizes: ["832x480"].')
        for size in sizes:
            if not isinstance(size, str) or not _SIZE.fullmatch(size):
                raise forms.ValidationError(f'{size!r} does not look like "832x480".')
            if any(side % 16 for side in parse_size(size)):
                raise forms.ValidationError(f"The sides of {size} must be multiples of 16.")
        return sizes

    def clean_loras(self) -> list[dict[str, Any]]:
        loras = self.cleaned_data["loras"] or []
        if not isinstance(loras, list):
            raise forms.ValidationError("A list of LoRAs.")
        for lora in loras:
            _check_lora(lora)
        return loras

    def clean_parameters(self) -> dict[str, Any]:
        parameters = self.cleaned_data["parameters"] or {}
        if parameters and (found := prices.problems_of(parameters)):
            raise forms.ValidationError(found)
        return dict(parameters)

    def clean_price_by_resolution(self) -> dict[str, str]:
        tiers = self.cleaned_data["price_by_resolution"] or {}
        if not prices.are_tiers(tiers):
            raise forms.ValidationError('Prices by the shorter side, as texts: {"480p": "0.04"}.')
        return dict(tiers)

    def clean_frame_choices(self) -> list[int]:
        choices = self.cleaned_data["frame_choices"] or []
        if not isinstance(choices, list) or not all(type(one) is int and one > 0 for one in choices):
            raise forms.ValidationError("A list of frame counts: [81, 161].")
        return sorted(choices)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("provider") == "fal":
            for name in ("endpoint", "parameters", "price_usd", "price_unit"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, "A model in the cloud needs this.")
        if data.get("frame_choices") and data.get("default_frames") not in data["frame_choices"]:
            self.add_error("default_frames", "This is none of the frame counts that it makes.")
        if data.get("provider") == "swarmui" and not data.get("high_noise_model"):
            self.add_error("high_noise_model", "A SwarmUI model needs the name of its model file.")
        sizes = data.get("sizes") or []
        for size in sizes if data.get("max_side") and data.get("max_pixels") else []:
            width, height = parse_size(size)
            if max(width, height) > data["max_side"] or width * height > data["max_pixels"]:
                self.add_error("sizes", f"{size} is larger than the limits below allow.")
        return data


def _check_lora(lora: Any) -> None:
    if not isinstance(lora, dict) or set(lora) != {"name", "weight", "stage"}:
        raise forms.ValidationError('Each LoRA has exactly "name", "weight" and "stage".')
    weight = lora["weight"]
    if not isinstance(lora["name"], str) or not lora["name"].strip():
        raise forms.ValidationError("A LoRA's name is the text by which SwarmUI lists it.")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not -10 <= weight <= 10:
        raise forms.ValidationError("A LoRA's weight is a number from -10 to 10.")
    if lora["stage"] not in _STAGES:
        raise forms.ValidationError('A LoRA\'s stage is "high", "low" or "all".')


@admin.register(VideoModel)
class VideoModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    form = VideoModelForm
    list_display = ["name", "provider", "rating", "licence", "price", "position", "enabled"]
    list_editable = ["position", "enabled"]
    list_filter = ["provider", "rating", "enabled", "commercial_use"]
    search_fields = ["name", "slug", "high_noise_model"]
    prepopulated_fields = {"slug": ["name"]}
    save_as = True
    fieldsets = [
        (None, {"fields": ["name", "slug", "summary", "provider", "enabled", "position", "family"]}),
        ("Rating and licence", {"fields": ["rating", "licence_name", "licence_url", "commercial_use"]}),
        (
            "Files at SwarmUI",
            {"fields": ["high_noise_model", "low_noise_model", "swap_percent", "loras", "architecture"]},
        ),
        (
            "In the cloud",
            {
                "fields": [
                    "endpoint",
                    "parameters",
                    ("price_usd", "price_unit", "price_seen_on"),
                    "price_by_resolution",
                ],
                "description": "An endpoint of fal.ai, how our settings are called there, and what fal.ai takes.",
            },
        ),
        ("Sampling", {"fields": ["sampler", "scheduler", "allow_prompt_syntax", "default_negative_prompt"]}),
        ("Sizes", {"fields": ["sizes", ("min_side", "max_side", "max_pixels")]}),
        (
            "Defaults and limits",
            {
                "fields": [
                    ("default_frames", "min_frames", "max_frames", "frames_step"),
                    "frame_choices",
                    ("default_fps", "min_fps", "max_fps"),
                    ("default_steps", "min_steps", "max_steps"),
                    ("default_cfg", "min_cfg", "max_cfg"),
                    "typical_seconds",
                    "prompt_reads_chars",
                ]
            },
        ),
    ]

    @admin.display(description="Price", ordering="price_usd")
    def price(self, row: VideoModel) -> str:
        return f"${row.price_usd.normalize():f} {row.get_price_unit_display()}" if row.price_usd else NOTHING

    @admin.display(description="Licence", ordering="licence_name")
    def licence(self, row: VideoModel) -> str:
        return format_html('<a href="{}" rel="noreferrer">{}</a>', row.licence_url, row.licence_name)


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


@admin.register(SourceImage)
class SourceImageAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["picture", "name", "owner_link", "width", "height", "size_bytes", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "=owner__username", "=sha256"]
    date_hierarchy = "created_at"
    fields = ["picture", "name", "owner_link", "width", "height", "size_bytes", "content_type", "sha256", "created_at"]
    actions = ["delete_with_files"]

    def has_delete_permission(self, _request: HttpRequest, _obj: SourceImage | None = None) -> bool:
        return False  # the action below takes the files along

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("generation.delete_sourceimage"))

    @admin.display(description="Picture")
    def picture(self, image: SourceImage) -> str:
        return thumbnail(image)

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, image: SourceImage) -> str:
        return row_link(image.owner)

    @admin.action(description="Delete the selected pictures with their files", permissions=["operate"])
    def delete_with_files(self, request: HttpRequest, queryset: QuerySet[SourceImage]) -> None:
        for image in queryset:
            self.log_deletions(request, queryset.filter(pk=image.pk))
            try:
                delete_picture(image=image)
            except DomainError as exc:
                self.message_user(request, f"{image}: {exc.message}", messages.WARNING)


@admin.register(Preset)
class PresetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["name", "owner_link", "model", "created_at"]
    list_select_related = ["owner", "model"]
    search_fields = ["name", "=owner__username"]
    list_filter = ["model"]
    raw_id_fields = ["owner"]

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, preset: Preset) -> str:
        return row_link(preset.owner)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    """Whose tokens there are; deleting one revokes it. Secret and hash are never shown."""

    list_display = ["name", "owner_link", "starts_with", "created", "last_used_at", "expiry"]
    list_select_related = ["user"]
    search_fields = ["name", "=user__username"]
    fields = ["name", "owner_link", "starts_with", "created", "last_used_at", "expiry"]

    @admin.display(description="Owner", ordering="user__username")
    def owner_link(self, token: ApiToken) -> str:
        return row_link(token.user)

    @admin.display(description="Starts with")
    def starts_with(self, token: ApiToken) -> str:
        return f"{token.token_key[:8]}…"


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["name", "beat_at"]

    def has_delete_permission(self, _request: HttpRequest, _obj: Heartbeat | None = None) -> bool:
        return False


# Last, because it builds on what stands above.
from generation import notice_admin  # noqa: E402, F401
