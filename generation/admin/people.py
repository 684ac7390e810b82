"""The operator's view of what people keep here: pictures, presets, tokens."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from generation.admin.rows import ReadOnly, row_link, thumbnail
from generation.models import ApiToken, Preset, SourceImage
from generation.services.intake import delete_picture
from i2v_site.errors import DomainError


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
